"""What goes between a process and its database, counted message by message by a proxy between them.

PostgreSQL documentation: Frontend/Backend Protocol, Message Formats.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, fields, replace
from typing import Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

from tests.support.serving import listen

_QUERY, _EXECUTE, _READY, _IDLE = b"Q", b"E", b"Z", b"I"
_HEAD: Final = 5  # a type, and the length of what follows


@dataclass(slots=True)
class Counts:
    """`commits`: transactions that ended, those of a single statement included. `wal`: bytes of write-ahead log."""

    statements: float = 0
    commits: float = 0
    round_trips: float = 0
    wire: float = 0
    wal: float = 0

    def with_wal(self, wal: float) -> Counts:
        return replace(self, wal=wal)

    def minus(self, before: Counts) -> Counts:
        return Counts(*(getattr(self, one.name) - getattr(before, one.name) for one in fields(self)))

    def per(self, calls: int) -> Counts:
        return Counts(*(getattr(self, one.name) / calls for one in fields(self)))

    def describe(self) -> str:
        return (
            f"{self.statements:5.2f} statements, {self.commits:5.2f} commits, {self.round_trips:5.2f} round trips,"
            f" {self.wire / 1000:5.1f} kB on the wire, {self.wal / 1000:5.1f} kB of write-ahead log"
        )


class CountingProxy:
    """Forwards bytes both ways, and reads the messages in them."""

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        query = parse_qs(parts.query)
        self._socket = f"{query['host'][0]}/.s.PGSQL.{query.get('port', ['5432'])[0]}"
        self._listening = listen()
        self.dsn = f"postgresql://postgres@127.0.0.1:{self._listening.getsockname()[1]}{parts.path}?sslmode=disable"
        self.counts = Counts()
        self._handling: set[asyncio.Task[None]] = set()

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, sock=self._listening)

    async def close(self) -> None:
        for task in self._handling:
            task.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._forward(reader, writer))
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._socket)
        conversation = _Conversation(self.counts)
        pumps = [
            asyncio.create_task(_pump(reader, to_server, _Reader(conversation.asked, skips_first=True))),
            asyncio.create_task(_pump(from_server, writer, _Reader(conversation.answered))),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            to_server.transport.abort()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)


class _Conversation:
    """One connection: what was asked since the server was last ready."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._has_run = False

    def asked(self, kind: bytes, _: bytes, size: int) -> None:
        self._counts.wire += size
        if kind in (_QUERY, _EXECUTE):
            self._counts.statements += 1
            self._has_run = True

    def answered(self, kind: bytes, body: bytes, size: int) -> None:
        self._counts.wire += size
        if kind == _READY:
            self._counts.round_trips += 1
            self._counts.commits += self._has_run and body == _IDLE
            self._has_run = False


class _Reader:
    """Cuts bytes into messages. The first one of a client has no type."""

    def __init__(self, tell: Callable[[bytes, bytes, int], None], *, skips_first: bool = False) -> None:
        self._tell = tell
        self._rest = b""
        self._skips = skips_first

    def feed(self, data: bytes) -> None:
        self._rest += data
        while True:
            head = _HEAD - self._skips
            if len(self._rest) < head:
                return
            end = int.from_bytes(self._rest[head - 4 : head], "big") + 1 - self._skips
            if len(self._rest) < end:
                return
            message, self._rest = self._rest[:end], self._rest[end:]
            if not self._skips:
                self._tell(message[:1], message[_HEAD:], end)
            self._skips = False


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, messages: _Reader) -> None:
    while data := await reader.read(65536):
        messages.feed(data)
        writer.write(data)
        await writer.drain()


@contextlib.asynccontextmanager
async def counting_proxy(dsn: str) -> AsyncIterator[CountingProxy]:
    proxy = CountingProxy(dsn)
    server = await proxy.serve()
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


async def written(db: asyncpg.Connection) -> int:
    """Bytes of write-ahead log so far."""
    return int(await db.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))
