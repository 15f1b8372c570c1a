"""A server with bounds, in front of an application that can be held up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from router.edge import Limits
from tests.support.raw_http import RawConnection
from tests.support.serving import serve_app


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """The commands run on the one, the tests of everything else on the other."""
    return "asyncio", {"use_uvloop": request.param}


LARGE = 64 * 1024 * 1024  # more than any buffer takes


class App:
    """Answers with what it was sent. `/held` waits until it is let go, `/large` answers much, `/early` reads nothing,
    `/broken` fails.
    """

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.asked: list[str] = []
        self.headers: list[tuple[bytes, bytes]] = []
        self.was_cut_off = asyncio.Event()
        self.is_done = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        finally:
            self.is_done.set()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        body, more = b"", scope["path"] != "/early"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.was_cut_off.set()
                return
            body, more = body + message["body"], message["more_body"]
        self.headers = list(scope["headers"])
        if scope["path"] == "/broken":
            raise RuntimeError
        if scope["path"] == "/held":
            await self.let_go.wait()
        if scope["path"] == "/large":
            body = bytes(LARGE)
        await _answer(send, body)


async def _answer(send: Send, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body[:1000], "more_body": len(body) > 1000})
    for start in range(1000, len(body), 100_000):
        more = start + 100_000 < len(body)
        await send({"type": "http.response.body", "body": body[start : start + 100_000], "more_body": more})


@pytest.fixture
async def app() -> App:
    return App()


@dataclass(slots=True)
class Edge:
    """The server, and all connections of a test to it."""

    url: str
    opened: list[RawConnection] = field(default_factory=list)

    async def open(self, begin: bytes = b"", limit: int = 64 * 1024) -> RawConnection:
        """`limit`: bytes of an answer that are read before the test asks for them."""
        connection = await RawConnection.open(self.url, limit)
        self.opened.append(connection)
        await connection.send(begin)
        return connection

    async def open_all(self, beginnings: Iterable[bytes]) -> list[RawConnection]:
        """One after the other."""
        return [await self.open(begin) for begin in beginnings]

    async def ask(self, path: str = "/") -> tuple[int, bytes]:
        """On a connection of its own."""
        connection = await self.open()
        answer = await connection.ask(path)
        connection.close()
        return answer


Serve = Callable[..., AbstractAsyncContextManager[Edge]]


@pytest.fixture
def serve(app: App) -> Serve:
    """Starts the server, with other limits where a test names them."""

    @asynccontextmanager
    async def serve(*, is_https: bool = False, **limits: Any) -> AsyncIterator[Edge]:
        async with serve_app(app, limits=Limits(**limits), is_https=is_https) as url:
            edge = Edge(url)
            try:
                yield edge
            finally:
                app.let_go.set()
                for connection in edge.opened:
                    connection.close()

    return serve
