"""The attacks, each as somebody would carry it out who does not stop at a refusal; bounded in rate and in time.

Run as a process: python -m tests.siege.attacks NAME, with the aim as JSON on its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode, urlsplit

import aiohttp

from adapters.twilio import read_form, sign
from crypto import Secret

PUBLIC_URL = "http://siege.test"
VOICE, STATUS = "/webhooks/twilio/voice", "/webhooks/twilio/status"
_REQUEST_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Aim:
    """Where to send, for how long, and what the attackers have: an agency's token, its Twilio account, its numbers."""

    url: str
    seconds: float
    public_url: str = PUBLIC_URL
    agency_id: str = "agency"
    token: str = "token"
    account_sid: str = "AC" + "0" * 32
    auth_token: str = "auth-token"
    number: str = "+15005550001"
    hanging_number: str = "+15005550002"
    voicemail_id: str = "voicemail"
    endpoint_id: str = "endpoint"

    @property
    def agency(self) -> str:
        return f"{self.url}/v1/agencies/{self.agency_id}"

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}


class Attackers:
    """Sends requests, and counts how they were answered: by status, or by what went wrong."""

    def __init__(self, aim: Aim, session: aiohttp.ClientSession) -> None:
        self.aim = aim
        self.answers: Counter[str] = Counter()
        self._session = session

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        try:
            yield
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.answers[type(error).__name__] += 1

    async def send(self, method: str, url: str, **more: Any) -> None:
        with self.counting():
            async with self._session.request(method, url, **more) as answer:
                await answer.read()
                self.answers[str(answer.status)] += 1

    async def open(self, url: str, bytes_a_second: int) -> None:
        """Read an answer that slowly, for as long as it lasts."""
        with self.counting():
            async with self._session.get(url, headers=self.aim.bearer, timeout=_ENDLESS) as answer:
                self.answers[str(answer.status)] += 1
                async for _ in answer.content.iter_chunked(bytes_a_second):
                    await asyncio.sleep(1)
        await asyncio.sleep(1)

    async def ring(self, number: str, caller: str, seconds: float = 0) -> None:
        """A call, signed as Twilio would; it ends so many seconds after it was answered."""
        form = {
            "AccountSid": self.aim.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": "CA" + secrets.token_hex(16),
            "CallStatus": "ringing",
            "Direction": "inbound",
            "From": caller,
            "To": number,
        }
        await self._post_signed(VOICE, form)
        await asyncio.sleep(seconds)
        await self._post_signed(STATUS, form | {"CallStatus": "completed", "CallDuration": "5"})

    async def _post_signed(self, path: str, form: Mapping[str, str]) -> None:
        body = urlencode(form).encode()
        signature = sign(Secret(self.aim.auth_token), self.aim.public_url + path, read_form(body))
        headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature}
        await self.send("POST", self.aim.url + path, data=body, headers=headers)


_ENDLESS: Final = aiohttp.ClientTimeout(total=None, connect=_REQUEST_SECONDS)


async def _pace(rate: float, at_once: int, send: Callable[[], Awaitable[None]]) -> None:
    """`rate` a second, as long as no more than `at_once` wait for their answers."""
    gate = asyncio.Semaphore(at_once)

    async def once() -> None:
        try:
            await send()
        finally:
            gate.release()

    async with asyncio.TaskGroup() as group:
        began = asyncio.get_running_loop().time()
        for number in itertools.count():
            await asyncio.sleep(began + number / rate - asyncio.get_running_loop().time())
            if gate.locked():
                continue
            await gate.acquire()
            group.create_task(once())


async def _hold(attackers: Attackers, count: int, work: Callable[[int], Awaitable[None]]) -> None:
    """So many connections at once, each opened again when it ends."""

    async def again(number: int) -> None:
        while True:
            with attackers.counting():
                await work(number)
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(again(number))


@contextlib.asynccontextmanager
async def _connected(aim: Aim) -> Any:
    there = urlsplit(aim.url)
    reader, writer = await asyncio.open_connection(there.hostname, there.port, family=socket.AF_INET)
    try:
        yield reader, writer
    finally:
        writer.close()


async def flood_headers(attackers: Attackers) -> None:
    """Four connections send small headers without end, 20 MB a second together."""
    piece = b"".join(b"x-%d: %s\r\n" % (number, b"a" * 50) for number in range(1600))

    async def flood(_: int) -> None:
        async with _connected(attackers.aim) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nhost: a\r\n")
            while not reader.at_eof() and not writer.is_closing():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(len(piece) * 4 / 20e6)
            attackers.answers["closed"] += 1

    await _hold(attackers, 4, flood)


async def send_halves(attackers: Attackers) -> None:
    """300 connections with half a request each: half of its headers, or half of its body."""
    halves = (b"POST %s HTTP/1.1\r\nhost: a\r\nx-a: b", b"POST %s HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\na")

    async def linger(number: int) -> None:
        async with _connected(attackers.aim) as (reader, writer):
            writer.write(halves[number % 2] % VOICE.encode())
            while not reader.at_eof():
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1000), 2)
                writer.write(b"a")
            attackers.answers["closed"] += 1

    await _hold(attackers, 300, linger)


async def post_big_reports(attackers: Attackers) -> None:
    """24 connections post 4 MB of JSON to Bland's webhook, twelve a second."""
    body = json.dumps({"call_id": "x", "transcripts": [{"text": "é" * 20}] * 26_000}).encode()
    url = f"{attackers.aim.url}/webhooks/bland/{attackers.aim.agency_id}"
    headers = {"content-type": "application/json", "x-webhook-signature": "0" * 64}
    await _pace(12, 24, lambda: attackers.send("POST", url, data=BytesIO(body), headers=headers))


async def probe(attackers: Attackers) -> None:
    """20 connections ask the probes and metrics, 300 times a second."""
    paths = itertools.cycle(("/metrics", "/readyz"))
    await _pace(300, 20, lambda: attackers.send("GET", attackers.aim.url + next(paths)))


async def guess_tokens(attackers: Attackers) -> None:
    """20 connections try wrong tokens, 200 a second."""

    def guess() -> Awaitable[None]:
        headers = {"authorization": f"Bearer {secrets.token_urlsafe(32)}"}
        return attackers.send("GET", attackers.aim.agency, headers=headers)

    await _pace(200, 20, guess)


async def post_unknown_fields(attackers: Attackers) -> None:
    """Eight connections post 95,000 unknown fields, 20 times a second."""
    body = json.dumps({f"f{number}": 1 for number in range(95_000)}).encode()
    headers = attackers.aim.bearer | {"content-type": "application/json"}
    url = f"{attackers.aim.agency}/clients"
    await _pace(20, 8, lambda: attackers.send("POST", url, data=BytesIO(body), headers=headers))


async def count_figures(attackers: Attackers) -> None:
    """30 counts of a year with 100,000 calls at once, again and again."""
    url = f"{attackers.aim.agency}/figures?from={_A_YEAR_AGO}"
    await _pace(60, 30, lambda: attackers.send("GET", url, headers=attackers.aim.bearer))


async def listen_slowly(attackers: Attackers) -> None:
    """320 listeners to a recording read 1 kB a second."""
    url = f"{attackers.aim.agency}/voicemails/{attackers.aim.voicemail_id}/audio"
    await _hold(attackers, 320, lambda _: attackers.open(url, 1000))


async def open_streams(attackers: Attackers) -> None:
    """600 event streams at once."""
    await _hold(attackers, 600, lambda _: attackers.open(f"{attackers.aim.agency}/events", 1000))


async def replay_deliveries(attackers: Attackers) -> None:
    """Calls whose events go to an endpoint that answers after 9 s, and a replay of 50,000 events every second."""
    aim = attackers.aim
    headers = aim.bearer | {"content-type": "application/json"}
    url, body = f"{aim.agency}/endpoints/{aim.endpoint_id}/replay", json.dumps({"since": f"{_A_YEAR_AGO}T00:00:00Z"})
    callers = itertools.cycle(range(100))
    async with asyncio.TaskGroup() as group:
        group.create_task(_pace(1, 5, lambda: attackers.send("POST", url, data=body, headers=headers)))
        group.create_task(_pace(5, 20, lambda: attackers.ring(aim.number, f"+141555503{next(callers):02d}")))


async def call_at_once(attackers: Attackers) -> None:
    """30 calls of one caller in the same moment, every second."""

    async def thirty() -> None:
        await asyncio.gather(*(attackers.ring(attackers.aim.number, "+14155550222") for _ in range(30)))

    await _pace(1, 3, thirty)


async def wait_at_a_provider(attackers: Attackers) -> None:
    """300 calls of an agency whose provider does not answer: they come in two seconds, and stay."""
    callers = itertools.cycle(range(10_000))
    number = attackers.aim.hanging_number
    await _pace(150, 300, lambda: attackers.ring(number, f"+1415556{next(callers):04d}", seconds=60))


_A_YEAR_AGO = (datetime.now(UTC) - timedelta(days=360)).date().isoformat()
Attack: TypeAlias = Callable[[Attackers], Awaitable[None]]

ATTACKS: Final[dict[str, Attack]] = {
    "headers": flood_headers,
    "halves": send_halves,
    "reports": post_big_reports,
    "probes": probe,
    "tokens": guess_tokens,
    "fields": post_unknown_fields,
    "figures": count_figures,
    "listeners": listen_slowly,
    "streams": open_streams,
    "deliveries": replay_deliveries,
    "caller": call_at_once,
    "hanging": wait_at_a_provider,
}


async def attack(name: str, aim: Aim) -> Counter[str]:
    """For the aim's time. How the requests were answered."""
    connector = aiohttp.TCPConnector(limit=0, force_close=False)
    timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
        attackers = Attackers(aim, session)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(aim.seconds):
                await ATTACKS[name](attackers)
        return attackers.answers


if __name__ == "__main__":
    json.dump(asyncio.run(attack(sys.argv[1], Aim(**json.load(sys.stdin)))), sys.stdout)
