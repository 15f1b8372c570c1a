"""Answers that don't come, don't go on, or come late; none outlives its caller or the sandbox."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class Stall(Response):
    """Sends nothing, or the beginning of an answer, and no more until the caller goes or the sandbox stops."""

    def __init__(
        self, stopping: asyncio.Event, status: int = 200, beginning: bytes = b"", *, cut: bool = False
    ) -> None:
        super().__init__(status_code=status)
        self._stopping = stopping
        self._beginning = beginning
        self._cut = cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._beginning:
            headers = [(b"content-type", b"application/json"), (b"content-length", b"4096")]
            await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
            await send({"type": "http.response.body", "body": self._beginning, "more_body": True})
        if not self._cut:
            await until_gone(receive, self._stopping)
        hang_up(scope)
        await until_gone(receive)


class Late(Response):
    """A proper answer after a while, unless the caller goes or the sandbox stops before."""

    def __init__(self, proper: Response, seconds: float, stopping: asyncio.Event) -> None:
        super().__init__()
        self._proper = proper
        self._seconds = seconds
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if await until_gone(receive, self._stopping, self._seconds):
            hang_up(scope)
            await until_gone(receive)
            return
        await self._proper(scope, receive, send)


async def until_gone(receive: Receive, stopping: asyncio.Event | None = None, seconds: float | None = None) -> bool:
    """Waits until the caller hangs up or the sandbox stops; False if `seconds` pass before that."""
    waits: list[asyncio.Future[object]] = [asyncio.ensure_future(receive())]
    if stopping is not None:
        waits.append(asyncio.ensure_future(stopping.wait()))
    try:
        done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return bool(done)


def hang_up(scope: Scope) -> None:
    """Closes the connection once what was sent is out; `server.py` puts the transport into the scope."""
    scope["state"]["transport"].close()
