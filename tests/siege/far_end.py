"""What stands around the besieged service: a provider, Twilio's recordings, and agencies' endpoints, in one process.

A provider's key that begins with HANGING gets no answer. Run as a process: python -m tests.siege.far_end, with the port in
BENCH_PORT.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from tests.bench.asgi import read_body, reply, serve

HANGING = "hanging-"
SLOW, FAST = "/endpoints/slow", "/endpoints/fast"
_SLOW_SECONDS = 9.0
_FOREVER = 60.0
_KEY = b'{"org_id":"org","concurrency_limit":100000,"current_concurrency":0}'
_PIECE, _PIECES = bytes(64 * 1024), 320

_numbers = itertools.count(1)


async def app(scope: Any, receive: Any, send: Any) -> None:
    await read_body(receive)
    path, authorization = scope["path"], dict(scope["headers"]).get(b"authorization", b"")
    if path == "/v2/register-phone-call":
        if HANGING.encode() in authorization:
            await asyncio.sleep(_FOREVER)
        await reply(send, b'{"call_id":"call_%d"}' % next(_numbers), b"application/json", status=201)
    elif path.endswith(".mp3"):
        await _play(send)
    else:
        if path == SLOW:
            await asyncio.sleep(_SLOW_SECONDS)
        await reply(send, _KEY, b"application/json")


async def _play(send: Any) -> None:
    """20 MB, as fast as they are read."""
    length = len(_PIECE) * _PIECES
    headers = [(b"content-type", b"audio/mpeg"), (b"content-length", b"%d" % length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(_PIECES):
        await send({"type": "http.response.body", "body": _PIECE, "more_body": number < _PIECES - 1})


if __name__ == "__main__":
    serve(app)
