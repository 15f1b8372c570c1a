"""An ASGI application over real HTTP on loopback, in the test's own event loop."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

from starlette.types import ASGIApp

from adapters.sandbox.server import serving
from router.edge import Limits, bounded_config


def listen() -> socket.socket:
    """A free port on loopback, taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(512)
    return listening


def url_of(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextlib.asynccontextmanager
async def serve_app(
    app: ASGIApp,
    listening: socket.socket | None = None,
    *,
    lifespan: bool = False,
    limits: Limits | None = None,
    is_https: bool = False,
) -> AsyncIterator[str]:
    """Yields the URL under which the application answers while the block runs."""
    listening = listening or listen()
    config = bounded_config(
        app, limits or Limits(), is_https=is_https, lifespan="on" if lifespan else "off", timeout_graceful_shutdown=1
    )
    async with serving(config, listening):
        yield url_of(listening)
