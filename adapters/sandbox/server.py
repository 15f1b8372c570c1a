"""Serves the sandbox over real HTTP inside the current event loop, for tests and for the demo."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import uvicorn
from starlette.routing import BaseRoute
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapters.sandbox.app import create_app
from adapters.sandbox.state import Sandbox

_GRACE = 1  # seconds that requests in flight get when the sandbox stops
_TICK = 0.005  # seconds; uvicorn's own end takes a tenth of a second at the least


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """Where the sandbox is served, and all that it knows."""

    url: str
    state: Sandbox

    @property
    def environment(self) -> dict[str, str]:
        """The settings that point the router at it."""
        return {f"CALLROUTER_{api.name.upper()}_URL": f"{self.url}/{api.name}" for api in self.state.apis}


@contextlib.asynccontextmanager
async def running_sandbox(
    host: str = "127.0.0.1", port: int = 0, state: Sandbox | None = None, more: Sequence[BaseRoute] = ()
) -> AsyncIterator[RunningSandbox]:
    """A sandbox that answers at `.url` while the block runs; port 0 takes a free one. Raises OSError if it is taken."""
    sandbox = state or Sandbox()
    sandbox.stopping = asyncio.Event()
    listening = _listen(host, port)
    config = uvicorn.Config(
        create_app(sandbox, more),
        http=_Protocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_GRACE,
    )
    async with serving(config, listening):
        try:
            yield RunningSandbox(f"http://{host}:{listening.getsockname()[1]}", sandbox)
        finally:
            sandbox.stopping.set()


def _listen(host: str, port: int) -> socket.socket:
    # asyncio switches Nagle's algorithm off only for sockets that say they are TCP; with it each answer takes 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


@contextlib.asynccontextmanager
async def serving(config: uvicorn.Config, listening: socket.socket) -> AsyncIterator[None]:
    """Answers on that socket while the block runs, and closes it; starts and stops faster than uvicorn's own server.

    Only for tests and the sandbox: router.cli uses uvicorn's own server, which drains and handles signals.
    """
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listening])
    if server.should_exit:
        raise RuntimeError("the application did not start")
    ticking = asyncio.create_task(server.main_loop())
    try:
        yield
    finally:
        ticking.cancel()
        await _end(server, listening)


async def _end(server: uvicorn.Server, listening: socket.socket) -> None:
    """Accept nothing more, give requests in flight their grace period, and end the application."""
    state = server.server_state
    for each in server.servers:
        each.close()
    listening.close()
    for connection in list(state.connections):
        connection.shutdown()
    try:
        async with asyncio.timeout(server.config.timeout_graceful_shutdown):
            while state.connections or state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(_TICK)
    except TimeoutError:
        for task in state.tasks:
            task.cancel()
    await server.lifespan.shutdown()


class _Protocol(HttpToolsProtocol):
    """Lets a fault cut its own connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)
