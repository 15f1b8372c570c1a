"""The floor: a bare ASGI application that does what each request cannot do without, and nothing else.

A new call: verify the signature, read the route and write the call in one statement, open the key, ask the provider,
answer. Its end, and a report of its provider: verify, and one UPDATE. A list: find the token, and one SELECT. No ladder,
no deadline, no repetition, no log, no events, no trouble of any kind.

Run as a process: python -m tests.bench.floor, with BENCH_PORT, BENCH_URL (the address that is signed, without a path),
BENCH_PROVIDER, BENCH_TOKEN, BENCH_KEYS and DATABASE_URL.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from datetime import datetime
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
_END_CALL: Final = """UPDATE calls SET ended_at = now(), outcome = 'ai' WHERE account_sid = $1 AND call_sid = $2"""
_CLOSE_CALL: Final = """UPDATE calls SET seconds = $3::integer WHERE account_sid = $1 AND call_sid = $2"""
_FIND_KEY: Final = (
    """SELECT sealed, version FROM keys WHERE agency_id = $1 AND kind = 'retell' AND retired_at IS NULL"""
)
_TELL_STORY: Final = """UPDATE calls SET end_reason = $3, provider_call_id = $4 WHERE id = $1 AND agency_id = $2"""
_FIND_TOKEN: Final = """SELECT agency_id FROM tokens WHERE hash = $1"""
_LISTS: Final[Mapping[str, str]] = {
    "calls": """
        SELECT id, call_sid, client_id, from_number, to_number, provider, outcome, started_at, answered_at, ended_at, seconds
          FROM calls WHERE agency_id = $1 ORDER BY started_at DESC, id DESC LIMIT 51
    """,
    "clients": """
        SELECT id, name, personal_phone, caller_id, provider, routing::text, assistant::text, created_at
          FROM clients WHERE agency_id = $1 ORDER BY created_at, id LIMIT 51
    """,
    "numbers": """
        SELECT e164, client_id, carrier, account, state, fallback_state, created_at
          FROM numbers WHERE agency_id = $1 ORDER BY created_at, e164 LIMIT 51
    """,
}
_NOTHING: Final = b"<Response/>"


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
            connector = aiohttp.TCPConnector(limit=2000)
            self._http = aiohttp.ClientSession(connector=connector)
        await self._pool
        path, headers = scope["path"], dict(scope["headers"])
        body = await read_body(receive)
        if path.startswith("/webhooks/twilio/"):
            await self._hear_carrier(path, scope["query_string"].decode(), headers, body, send)
        elif path.startswith("/webhooks/retell/"):
            await self._hear_provider(path, headers, body, send)
        else:
            await self._list(path, headers, send)

    async def _hear_carrier(self, path: str, query: str, headers: Any, body: bytes, send: Any) -> None:
        form = read_form(body)
        url = f"{self._url}{path}?{query}" if query else self._url + path
        if not verify(self._tokens, url, form, headers.get(b"x-twilio-signature", b"").decode()):
            await reply(send, b"", b"text/plain", status=403)
            return
        call = read_text(form)
        if path.endswith("/voice"):
            await reply(send, await self._take_call(call), b"text/xml")
        elif path.endswith("/status"):
            await self._pool.execute(_CLOSE_CALL, call["AccountSid"], call["CallSid"], int(call["CallDuration"]))
            await reply(send, _NOTHING, b"text/xml")
        else:
            await self._pool.execute(_END_CALL, call["AccountSid"], call["CallSid"])
            await reply(send, _NOTHING, b"text/xml")

    async def _take_call(self, call: Mapping[str, str]) -> bytes:
        our_id = secrets.token_hex(12)
        row = await self._pool.fetchrow(
            _TAKE_CALL, our_id, call["AccountSid"], call["CallSid"], call["From"], call["To"]
        )
        key = self._keyring.open(row["sealed"], *key_context(row["agency_id"], "retell", row["version"]))
        asked = {"agent_id": "agent_1", "direction": "inbound", "from_number": call["From"], "to_number": call["To"]}
        headers = {"Authorization": f"Bearer {key.reveal()}"}
        async with self._http.post(f"{self._provider}/v2/register-phone-call", json=asked, headers=headers) as answer:
            call_id = (await answer.json())["call_id"]
        action = f"/webhooks/twilio/calls/{our_id}/ai-1"
        sip = f"sip:{call_id}@sip.retellai.com"
        return f'<Response><Dial action="{action}"><Sip>{sip}</Sip></Dial></Response>'.encode()

    async def _hear_provider(self, path: str, headers: Any, body: bytes, send: Any) -> None:
        agency_id = path.rpartition("/")[2]
        row = await self._pool.fetchrow(_FIND_KEY, agency_id)
        key = self._keyring.open(row["sealed"], *key_context(agency_id, "retell", row["version"]))
        at, _, given = headers[b"x-retell-signature"].decode().removeprefix("v=").partition(",d=")
        if not hmac.compare_digest(hmac.new(key.reveal().encode(), body + at.encode(), "sha256").hexdigest(), given):
            await reply(send, b"", b"text/plain", status=401)
            return
        call = json.loads(body)["call"]
        our_id = call["metadata"]["router_call_id"]
        await self._pool.execute(_TELL_STORY, our_id, agency_id, call.get("disconnection_reason"), call["call_id"])
        await reply(send, b"", b"text/plain", status=204)

    async def _list(self, path: str, headers: Any, send: Any) -> None:
        token = headers[b"authorization"].partition(b" ")[2]
        agency_id = await self._pool.fetchval(_FIND_TOKEN, hashlib.sha256(token).digest())
        rows = await self._pool.fetch(_LISTS[path.rpartition("/")[2]], agency_id)
        items = [{name: _plain(value) for name, value in row.items()} for row in rows]
        await reply(send, json.dumps({"items": items}).encode(), b"application/json")


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


if __name__ == "__main__":
    serve(Floor())
