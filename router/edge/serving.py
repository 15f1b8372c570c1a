"""uvicorn, set up so that its connections have bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from router.edge.connections import Connections
from router.edge.limits import Limits
from router.edge.protocol import BoundedProtocol


def bounded_config(app: ASGIApp | Callable[[], ASGIApp], limits: Limits, **options: Any) -> uvicorn.Config:
    """For one server. `options` are uvicorn's own."""
    protocol = partial(BoundedProtocol, Connections(limits))
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", protocol),
        ws="none",  # a connection that changes to another protocol would leave the bounds behind
        backlog=limits.backlog,
        timeout_keep_alive=cast("int", limits.idle_timeout),  # asyncio takes fractions, too
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        **options,
    )
