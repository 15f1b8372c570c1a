"""The providers: they take every call at once, as little work as can be, or as this bench tells them to.

Retell registers a call, and Vapi answers with a stream. A Retell call's id ends with the microseconds that the request
spent here, so that the load can tell the provider's share of a wait. `PUT /behaviour/MILLISECONDS` delays all replies,
`PUT /behaviour/hang` leaves Retell's requests unanswered.

Run as a process: python -m tests.bench.far_end, with the port in BENCH_PORT.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from typing import Any, Final

from tests.bench.asgi import read_body, reply, serve

RETELL: Final = "/v2/register-phone-call"
_BEHAVIOUR: Final = "/behaviour/"
_JSON: Final = b"application/json"
_STREAM: Final = (
    b'{"id":"call_%d","phoneCallProviderDetails":{"twiml":'
    b'"<Response><Connect><Stream url=\\"wss://far-end.test/call\\"/></Connect></Response>"}}'
)
_TOOK: Final = re.compile(rb"sip:call_\d+_(\d+)@")


def seconds_at_provider(document: bytes) -> float:
    """How long the provider took that the document hands the call to."""
    took = _TOOK.search(document)
    return int(took[1]) / 1e6 if took else 0.0


class FarEnd:
    """Answers as it was told last."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._delay = 0.0
        self._hangs = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        began, path = time.perf_counter(), scope["path"]
        await read_body(receive)
        if path.startswith(_BEHAVIOUR):
            self._behave(path.removeprefix(_BEHAVIOUR))
            await reply(send, b"{}", _JSON)
            return
        if self._hangs and path == RETELL:
            await receive()  # until its client gives up
            return
        if self._delay:
            await asyncio.sleep(self._delay)
        number = next(self._numbers)
        if path != RETELL:
            await reply(send, _STREAM % number, _JSON, status=201)
            return
        took = int((time.perf_counter() - began) * 1e6)
        await reply(send, b'{"call_id":"call_%d_%d"}' % (number, took), _JSON, status=201)

    def _behave(self, how: str) -> None:
        self._hangs = how == "hang"
        self._delay = 0.0 if self._hangs else int(how) / 1000


if __name__ == "__main__":
    serve(FarEnd())
