"""The floor: a bare ASGI application that does what answering a call cannot do without, and nothing else.

It verifies the signature, reads the route and writes the call in one statement, opens the key, asks the provider, and
answers. No ladder, no deadline, no repetition, no log, no events, no trouble of any kind.

Run as a process: python -m tests.bench.floor, with BENCH_PORT, BENCH_URL (its own, as it is signed), BENCH_PROVIDER,
BENCH_TOKEN, BENCH_KEYS and DATABASE_URL.
"""

from __future__ import annotations

import os
import secrets
from typing import Any, Final

import aiohttp
import asyncpg

from adapters.twilio import read_form, read_text, verify
from crypto import Keyring, Secret
from router.store.sealed import key_context
from tests.bench.asgi import read_body, reply, serve

_TAKE_CALL: Final = """
WITH route AS (
    SELECT n.agency_id, n.client_id, k.sealed, k.version
      FROM numbers n
      JOIN keys k ON k.agency_id = n.agency_id AND k.kind = 'retell' AND k.retired_at IS NULL
     WHERE n.account_sid = $2 AND n.e164 = $5
), call AS (
    INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at)
    SELECT $1, $2, $3, agency_id, client_id, $4, $5, now() FROM route
)
SELECT agency_id, sealed, version FROM route
"""


class Floor:
    """Opens its pool with the first request."""

    def __init__(self) -> None:
        self._url = os.environ["BENCH_URL"]
        self._provider = os.environ["BENCH_PROVIDER"]
        self._tokens = [Secret(os.environ["BENCH_TOKEN"])]
        self._keyring = Keyring.parse(os.environ["BENCH_KEYS"])
        self._pool: Any = None
        self._http: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._pool is None:
            self._pool = asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10, max_size=10)
            self._http = aiohttp.ClientSession()
        await self._pool
        form = read_form(await read_body(receive))
        given = next(value for name, value in scope["headers"] if name == b"x-twilio-signature")
        if not verify(self._tokens, self._url, form, given.decode()):
            await reply(send, b"", b"text/plain", status=403)
            return
        call = read_text(form)
        row = await self._pool.fetchrow(
            _TAKE_CALL, secrets.token_hex(12), call["AccountSid"], call["CallSid"], call["From"], call["To"]
        )
        key = self._keyring.open(row["sealed"], *key_context(row["agency_id"], "retell", row["version"]))
        asked = {"agent_id": "agent_1", "direction": "inbound", "from_number": call["From"], "to_number": call["To"]}
        headers = {"Authorization": f"Bearer {key.reveal()}"}
        async with self._http.post(f"{self._provider}/v2/register-phone-call", json=asked, headers=headers) as answer:
            call_id = (await answer.json())["call_id"]
        twiml = f"<Response><Dial><Sip>sip:{call_id}@sip.retellai.com</Sip></Dial></Response>"
        await reply(send, twiml.encode(), b"text/xml")


if __name__ == "__main__":
    serve(Floor())
