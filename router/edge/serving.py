"""uvicorn, set up so that its connections have bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp

from router.edge.connections import Connections
from router.edge.limits import Limits
from router.edge.protocol import BoundedProtocol

_NO_SNIFFING: Final = ("X-Content-Type-Options", "nosniff")
_HTTPS_ONLY: Final = ("Strict-Transport-Security", "max-age=31536000")


def bounded_config(
    app: ASGIApp | Callable[[], ASGIApp], limits: Limits, *, is_https: bool = False, **options: Any
) -> uvicorn.Config:
    """For one server. `is_https`: it is reached over HTTPS, if only through a proxy. `options` are uvicorn's own.

    Every answer gets these headers from the server, because not every answer comes from an application.
    """
    protocol = partial(BoundedProtocol, Connections(limits))
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", protocol),
        ws="none",  # a connection that changes to another protocol would leave the bounds behind
        backlog=limits.backlog,
        log_config=None,
        access_log=False,
        server_header=False,
        headers=[_NO_SNIFFING, _HTTPS_ONLY] if is_https else [_NO_SNIFFING],
        proxy_headers=False,
        **options,
    )
