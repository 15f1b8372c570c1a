"""Requests as the carrier, a provider and an agency's program send them, and two ways to send many of them.

Requests are made and signed before they are sent, so that the load takes as little of the machine as it can.
"""

from __future__ import annotations

import asyncio
import hmac
import html
import json
import random
import re
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

from adapters.twilio import read_form, sign
from crypto import Secret
from tests.bench.far_end import seconds_at_provider
from tests.bench.stage import PUBLIC_URL, TOKEN, Side, Stage
from tests.support.signed_requests import STATUS, VOICE, call_form
from tests.support.world import Client

TALK_SECONDS: Final = 30
_ACTION: Final = re.compile(r'action="([^"]+)"')
_CALL_ID: Final = re.compile(r"/calls/([^/]+)/")
_PROVIDERS_ID: Final = re.compile(r"sip:([^@]+)@")


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes | None = None  # None: a GET
    good: bytes = b""  # what stands in every good answer


@dataclass(frozen=True, slots=True)
class Answer:
    """`took` and `own` in milliseconds: until the answer, and without the provider's part."""

    took: float
    body: bytes

    @property
    def own(self) -> float:
        return self.took - seconds_at_provider(self.body) * 1000


@dataclass(slots=True)
class Call:
    """A new call, and what is known of it once it was answered."""

    client: Client
    form: dict[str, str]
    document: str = field(default="")

    def ring(self, good: bytes = b"<Sip") -> Request:
        return _from_carrier(VOICE, self.form, good)

    def hang_up(self) -> Request:
        """The caller has hung up on the AI."""
        action = _ACTION.search(self.document)
        if action is None:
            raise RuntimeError(f"nothing follows this document: {self.document[:300]}")
        leg = {"DialCallStatus": "completed", "DialCallDuration": str(TALK_SECONDS), "DialBridged": "true"}
        return _from_carrier(html.unescape(action[1]), self.form | {"CallStatus": "completed"} | leg)

    def close(self) -> Request:
        """The carrier's last word."""
        return _from_carrier(STATUS, self.form | {"CallStatus": "completed", "CallDuration": str(TALK_SECONDS)})

    def report(self) -> Request:
        """Retell's last word."""
        our_id, its_id = _CALL_ID.search(self.document), _PROVIDERS_ID.search(self.document)
        assert our_id is not None
        assert its_id is not None
        call = {
            "call_id": its_id[1],
            "metadata": {"router_call_id": our_id[1], "twilio_call_sid": self.form["CallSid"]},
            "from_number": self.form["From"],
            "to_number": self.form["To"],
            "disconnection_reason": "user_hangup",
            "duration_ms": TALK_SECONDS * 1000,
            "transcript": "Agent: Acme Plumbing, how can I help you?\nUser: My sink is leaking.\n" * 10,
        }
        body = json.dumps({"event": "call_ended", "call": call}).encode()
        at = str(int(time.time() * 1000))
        digest = hmac.new(self.client.keys["retell"].encode(), body + at.encode(), "sha256").hexdigest()
        headers = {"Content-Type": "application/json", "X-Retell-Signature": f"v={at},d={digest}"}
        return Request(f"/webhooks/retell/{self.client.agency_id}", headers, body)


def new_calls(stage: Stage, clients: Sequence[Client], count: int) -> list[Call]:
    """One client after the other, each call from another phone."""
    return [
        Call(client, call_form(client, From=stage.next_caller()))
        for client in (clients[number % len(clients)] for number in range(count))
    ]


def _from_carrier(path: str, form: dict[str, str], good: bytes = b"<Response") -> Request:
    body = urlencode(form).encode()
    signature = sign(Secret(TOKEN), PUBLIC_URL + path, read_form(body))
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    return Request(path, headers, body, good)


async def send(http: aiohttp.ClientSession, side: Side, request: Request) -> Answer:
    method = "GET" if request.body is None else "POST"
    began = time.perf_counter()
    async with http.request(method, side.url + request.path, data=request.body, headers=request.headers) as answer:
        body = await answer.read()
    took = (time.perf_counter() - began) * 1000
    if answer.status >= 300 or request.good not in body:
        raise RuntimeError(f"{side.name}: {request.path[:60]}: HTTP {answer.status}: {body[:300]!r}")
    return Answer(took, body)


async def send_all(http: aiohttp.ClientSession, side: Side, requests: Sequence[Request], at_once: int) -> list[Answer]:
    """A closed loop: never more than so many at once. The answers in the order of the requests."""
    answers: dict[int, Answer] = {}
    numbered = iter(enumerate(requests))

    async def sender() -> None:
        for number, request in numbered:
            answers[number] = await send(http, side, request)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(sender())
    return [answers[number] for number in range(len(requests))]


async def ring_all(stage: Stage, side: Side, calls: Sequence[Call], at_once: int) -> list[Answer]:
    """New calls, which know their documents afterwards."""
    answers = await send_all(stage.http, side, [call.ring() for call in calls], at_once)
    for call, answer in zip(calls, answers, strict=True):
        call.document = answer.body.decode()
    return answers


async def end_all(stage: Stage, side: Side, calls: Iterable[Call], at_once: int) -> None:
    ended = [*calls]
    await send_all(stage.http, side, [call.hang_up() for call in ended], at_once)
    await send_all(stage.http, side, [call.close() for call in ended], at_once)


async def arrive(works: Sequence[Callable[[], Coroutine[Any, Any, None]]], rate: float) -> None:
    """An open loop: so many begin in a second on average, at random moments, whatever became of those before."""
    chance = random.Random(len(works))
    loop = asyncio.get_running_loop()
    at = loop.time()
    async with asyncio.TaskGroup() as group:
        for work in works:
            at += chance.expovariate(rate)
            await asyncio.sleep(at - loop.time())
            group.create_task(work())
