"""Where attackers send when the service is left in peace: reads everything, and answers every complete request.

So a quiet run has the same load on the machine as an attack, but for what the service does about it.
Run as a process: python -m tests.siege.sink, with the port in BENCH_PORT.
"""

from __future__ import annotations

import asyncio
import os
from typing import cast

import httptools

_REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Sink(asyncio.Protocol):
    """One connection. `requests` counts the beginnings of requests on all of them."""

    requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_message_begin(self) -> None:
        Sink.requests += 1

    def on_message_complete(self) -> None:
        self._transport.write(_REPLY)


async def open_sink(port: int = 0) -> asyncio.Server:
    return await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=1000)


async def _main() -> None:
    server = await open_sink(int(os.environ["BENCH_PORT"]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
