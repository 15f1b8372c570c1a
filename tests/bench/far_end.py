"""A provider that registers every call at once, as Retell does: as little work as can be.

Run as a process: python -m tests.bench.far_end, with the port in BENCH_PORT.
"""

from __future__ import annotations

import itertools
from typing import Any

from tests.bench.asgi import read_body, reply, serve

_numbers = itertools.count(1)


async def app(_scope: Any, receive: Any, send: Any) -> None:
    await read_body(receive)
    await reply(send, b'{"call_id":"call_%d"}' % next(_numbers), b"application/json", status=201)


if __name__ == "__main__":
    serve(app)
