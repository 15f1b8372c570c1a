"""A way to the database that a test can block or cut: a small TCP proxy on loopback before the server's socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qs, urlsplit

from tests.support.database_talk import Talk
from tests.support.serving import listen


class DatabaseProxy:
    """Forwards bytes both ways until told otherwise."""

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        query = parse_qs(parts.query)
        self._upstream = f"{query['host'][0]}/.s.PGSQL.{query.get('port', ['5432'])[0]}"
        self._listening = listen()
        self.dsn = f"postgresql://postgres@127.0.0.1:{self._listening.getsockname()[1]}{parts.path}?sslmode=disable"
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._delay = 0.0
        self._last_words: bytes | None = None
        self._forgotten = 0  # connections up to this number are as if their other end had vanished
        self._handling: set[asyncio.Task[None]] = set()
        self.accepted = 0
        self.talks: list[Talk] = []  # one of each connection

    def stall(self) -> None:
        """From now on nothing goes through; connections stay as they are, and new ones are taken and left alone."""
        self._flowing.clear()

    def stall_behind(self, words: bytes) -> None:
        """Let a request with these words through, and then nothing, its answer included."""
        self._last_words = words

    def slow_down(self, seconds: float) -> None:
        """From now on each piece takes that much longer on its way; 0 is as fast as it goes."""
        self._delay = seconds

    def forget(self) -> None:
        """Nothing more comes through what is open, not even its end; new connections work."""
        self._forgotten = self.accepted

    def refuse(self) -> None:
        """Close what is open, and everything that comes."""
        self._refusing = True
        for task in self._handling:
            task.cancel()

    def go_on(self) -> None:
        self._delay = 0.0
        self._last_words = None
        self._refusing = False
        self._flowing.set()

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, sock=self._listening)

    async def close(self) -> None:
        for task in self._handling:
            task.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.create_task(self._handle(reader, writer))
        self._handling.add(task)
        # Also of a task that is cancelled before it begins.
        task.add_done_callback(self._handling.discard)
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._refusing:
            with contextlib.suppress(OSError):
                await self._forward(reader, writer)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._upstream)
        self.talks.append(talk := Talk())
        pumps = [
            asyncio.create_task(self._pump(reader, to_server, self.accepted, talk.ask)),
            asyncio.create_task(self._pump(from_server, writer, self.accepted, talk.answer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            to_server.transport.abort()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number: int,
        listen_in: Callable[[bytes], None],
    ) -> None:
        while data := await reader.read(65536):
            listen_in(data)
            if number <= self._forgotten:
                await asyncio.Event().wait()
            if self._last_words is not None and self._last_words in data:
                self._last_words = None
                self.stall()
            else:
                await self._flowing.wait()
            if self._delay:
                await asyncio.sleep(self._delay)
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def proxied(dsn: str) -> AsyncIterator[DatabaseProxy]:
    proxy = DatabaseProxy(dsn)
    server = await proxy.serve()
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
