"""An application over real HTTP inside the current event loop, which starts and ends as quickly as can be.

Not for what runs for weeks: router.cli has uvicorn's own server, which drains.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Final

import uvicorn

_TICK: Final = 0.005  # uvicorn's own end takes a tenth of a second at the least


@contextlib.asynccontextmanager
async def serving(config: uvicorn.Config, listening: socket.socket) -> AsyncIterator[None]:
    """Answers on that socket while the block runs, and closes it. Signals belong to whoever runs the process."""
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
    """Take nothing more, answer what is there if that is soon done, and end the application."""
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
