"""Connections on which a test decides each byte."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE = 30.0  # seconds: many times what anything here takes on an idle machine


@dataclass(slots=True)
class RawConnection:
    """One connection to a server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, url: str, limit: int = 64 * 1024) -> RawConnection:
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port, limit=limit))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send_all(self, pieces: Iterable[bytes]) -> int:
        """Until the other side has had enough; how many bytes were sent."""
        sent = 0
        try:
            for piece in pieces:
                await self.send(piece)
                sent += len(piece)
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        return sent

    async def read_to_end(self) -> bytes:
        """Everything that comes until the other side ends the connection, in whatever way."""
        received = b""
        async with asyncio.timeout(PATIENCE):
            try:
                while data := await self.reader.read(64 * 1024):
                    received += data
            except ConnectionError:
                pass
        return received

    async def read_answer(self) -> tuple[int, bytes]:
        """Status and body of one answer that says how long it is."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            size = next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)
            return int(head.split()[1]), await self.reader.readexactly(size)

    async def ask(self, path: str = "/") -> tuple[int, bytes]:
        await self.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return await self.read_answer()

    def close(self) -> None:
        self.writer.transport.abort()
