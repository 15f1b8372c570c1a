"""A server on loopback that answers as scripted, byte by byte where HTTP itself is to go wrong."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)  # keys are in them, and tests print frames
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script: TypeAlias = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


class _Reader(asyncio.StreamReader):
    """Tells when the client is gone without reading on."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.ended.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.ended.set()


@dataclass(slots=True)
class Loopback:
    script: Script
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)  # a request is there
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # a client has closed its connection
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def last(self) -> Asked:
        return self.asked[-1]

    async def wait_asked(self, times: int = 1) -> None:
        async with asyncio.timeout(5), self.arrived:
            await self.arrived.wait_for(lambda: len(self.asked) >= times)

    async def serve(self, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while not writer.is_closing():
                asked = await _read_request(reader)
                async with self.arrived:
                    self.asked.append(asked)
                    self.arrived.notify_all()
                await self._answer_while_connected(asked, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has hung up, or the test is over
        finally:
            self._tasks.discard(task)
            self.gone.set()
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError, ssl.SSLError):
                await writer.wait_closed()

    async def _answer_while_connected(self, asked: Asked, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        """The script is dropped as soon as the client hangs up, so that a hanging one notices."""
        answering = asyncio.ensure_future(self.script(asked, writer))
        ended = asyncio.ensure_future(reader.ended.wait())
        try:
            await asyncio.wait({answering, ended}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
                await writer.drain()
        finally:
            answering.cancel()
            ended.cancel()

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Loopback]:
    loopback = Loopback(script)
    server = await asyncio.get_running_loop().create_server(
        lambda: asyncio.StreamReaderProtocol(_Reader(), loopback.serve), "127.0.0.1", 0, ssl=tls
    )
    port = server.sockets[0].getsockname()[1]
    loopback.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield loopback
    finally:
        server.close()
        await loopback.stop()


def reply(status: int, body: object = b"", **headers: str) -> Script:
    """A whole answer; anything but bytes goes out as JSON. Header names with underscores for dashes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    sent = {"content-type": "application/json", "content-length": str(len(content)), **given}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + content)

    return script


def raw(*pieces: bytes, then: str = "close") -> Script:
    """Exactly these bytes; then `close`, `reset` or `hang`."""

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if then == "hang":
            await asyncio.Event().wait()
        if then == "reset":
            linger = struct.pack("ii", 1, 0)  # closing with linger 0 sends RST
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        writer.close()

    return script


def hang() -> Script:
    return raw(then="hang")


def echo_key(status: int, shape: Callable[[str], object]) -> Script:
    """A system that puts the key that it got into its answer, as it stood in its header."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        sent = asked.headers.get("authorization") or asked.headers["xi-api-key"]
        await reply(status, shape(sent))(asked, writer)

    return script


async def _read_request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = start.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, target, headers, body)
