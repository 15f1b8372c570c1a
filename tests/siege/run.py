"""The run: calls of other agencies during each attack, and while the same attackers send to a sink instead.

Quiet and besieged spells take turns, so that whatever else the machine does falls on both. Bounded in time and in count;
everything it starts it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import asyncpg
import httpx
import psutil

from adapters.registry import PROVIDERS, settings_of
from adapters.sandbox.server import running_sandbox
from adapters.twilio import read_form, sign
from crypto import Keyring, Secret, new_key_entry
from router.settings import load_settings
from router.store.schema import migrate
from tests.chaos.machinery import Postgres, free_port
from tests.siege.attacks import PUBLIC_URL, STATUS, VOICE, Aim
from tests.siege.far_end import HANGING, SLOW
from tests.support.local_http import local_client
from tests.support.processes import running, wait_until_it_answers
from tests.support.signed_requests import call_form
from tests.support.world import Client, FakeClock, World

MOST_SLOWER = 1.3
MOST_GROWTH, MOST_KEPT = 50, 25  # MB; what is kept is the allocator's, and grows no further
_ACCOUNT, _TOKEN, _ADMIN = "AC" + "5" * 32, "auth-token-of-the-siege", "admin-token-of-the-siege-0123456789"
_AGENCIES = 10
_SPELLS = 5  # of each kind, for each attack
_WARM_UP_SECONDS = 8.0
_AFTER_SECONDS = 15
_AHEAD_SECONDS, _END_SECONDS = 2.5, 10.0  # of the attackers' process
_CALL_SECONDS = 15.0
_TALK_SECONDS = 1.0

# The attacking agency has been a customer for a year.
_HISTORY = """
INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at, answered_at,
                   ended_at, outcome, answered_by, provider, seconds, cost)
SELECT 'call_old_' || n, $1, 'CAold' || n, $2, $3, '+14155550123', '+15005550001', at, at + interval '1 second',
       at + interval '1 minute', 'ai', 'ai', 'retell', 59, 0.1
  FROM (SELECT n, now() - n * interval '5 minutes' AS at FROM generate_series(1, 100000) n) AS old;
"""
_EVENTS = """
INSERT INTO call_events (id, call_id, at, event, step)
SELECT 'event_old_' || n, 'call_old_' || n, now() - n * interval '5 minutes', 'call.ended', 'end'
  FROM generate_series(1, 50000) n
"""
_VOICEMAIL = """
INSERT INTO voicemails (id, account_sid, recording_sid, call_id, agency_id, client_id, from_number, at, seconds, mail_state)
VALUES ('voicemail_old', $1, $3, 'call_old_1', $2, $4, '+14155550123', now(), 60, 'none')
"""


@dataclass(slots=True)
class Spell:
    """Calls of other agencies over some seconds. Times in milliseconds, until the answer."""

    took: list[float] = field(default_factory=list)
    without_ai: list[str] = field(default_factory=list)  # what they got instead

    @property
    def slowest(self) -> float:
        """99 of 100 calls are answered within."""
        return statistics.quantiles(self.took, n=100)[98] if len(self.took) > 1 else 0.0


def slowest_of(spells: list[Spell]) -> float:
    """Of the middle one of these spells, so that one in which the machine had something else to do decides nothing."""
    return statistics.median(spell.slowest for spell in spells) if spells else 0.0


@dataclass(slots=True)
class Result:
    """One attack. Memory in MB, of all processes of the service."""

    attack: str
    quiet: list[Spell] = field(default_factory=list)
    besieged: list[Spell] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)  # to the attackers
    before: float = 0.0
    most: float = 0.0
    after: float = 0.0

    @property
    def slower(self) -> float:
        quiet = slowest_of(self.quiet)
        return slowest_of(self.besieged) / quiet if quiet else 1.0

    @property
    def without_ai(self) -> list[str]:
        return [document for spell in self.besieged for document in spell.without_ai]

    @property
    def misses(self) -> list[str]:
        """The goals that were not reached."""
        goals = {
            "slower": self.slower <= MOST_SLOWER,
            "no AI": not self.without_ai,
            "memory": self.most - self.before < MOST_GROWTH,
            "kept": self.after - self.before < MOST_KEPT,
        }
        return [name for name, reached in goals.items() if not reached]

    def describe(self) -> str:
        return (
            f"{self.attack:12}{slowest_of(self.quiet):9.1f}{slowest_of(self.besieged):9.1f}{self.slower:8.2f}"
            f"{len(self.without_ai):7}/{sum(len(spell.took) for spell in self.besieged):<6}"
            f"{self.before:7.0f}{self.most:7.0f}{self.after:7.0f}   {', '.join(self.misses) or 'ok'}"
        )

    def describe_more(self) -> str:
        answers = ", ".join(f"{answer} {count} times" for answer, count in self.answers.most_common(6))
        others = Counter(document[:100] for document in self.without_ai)
        lines = [f"answers to the attackers: {answers or 'none'}"]
        lines += [f"instead of an AI, {count} times: {document}" for document, count in others.most_common(3)]
        return "\n".join(f"  {line}" for line in lines)


HEADINGS = (
    f"{'attack':12}{'quiet':>9}{'siege':>9}{'ratio':>8}{'no AI/calls':>14}{'before':>7}{'most':>7}{'after':>7}   goals\n"
    f"{'':12}{'99% within, ms':>18}{'':22}{'memory, MB':>21}"
)


@dataclass(slots=True)
class Stage:
    """Everything that is up during a run."""

    service: psutil.Process
    aim: Aim
    sink: str
    clients: list[Client]
    session: aiohttp.ClientSession
    callers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def memory(self) -> float:
        with contextlib.suppress(psutil.NoSuchProcess):
            processes = [self.service, *self.service.children(recursive=True)]
            return sum(process.memory_info().rss for process in processes) / 1e6
        return 0.0


async def run(folder: Path, attacks: list[str], *, seconds: float, rate: float) -> AsyncIterator[Result]:
    """`rate` calls a second of other agencies; each attack lasts `seconds`, in several spells."""
    async with _open_stage(folder) as stage:
        await _offer_calls(stage, Spell(), _WARM_UP_SECONDS, rate)
        for name in attacks:
            yield await _besiege(stage, name, seconds, rate)


async def _besiege(stage: Stage, name: str, seconds: float, rate: float) -> Result:
    result = Result(name, before=stage.memory)
    each = seconds / _SPELLS
    for _ in range(_SPELLS):
        aim = replace(stage.aim, seconds=_AHEAD_SECONDS + each)
        async with _attacking(name, replace(aim, url=stage.sink), Counter()):
            result.quiet.append(Spell())
            await _offer_calls(stage, result.quiet[-1], each, rate)
        async with _watching(stage, result), _attacking(name, aim, result.answers):
            result.besieged.append(Spell())
            await _offer_calls(stage, result.besieged[-1], each, rate)
    for _ in range(_AFTER_SECONDS):
        if stage.memory - result.before < MOST_KEPT:
            break
        await asyncio.sleep(1)
    result.after = stage.memory
    return result


@contextlib.asynccontextmanager
async def _watching(stage: Stage, result: Result) -> AsyncIterator[None]:
    async def watch() -> None:
        while True:
            result.most = max(result.most, stage.memory)
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


@contextlib.asynccontextmanager
async def _attacking(name: str, aim: Aim, answers: Counter[str]) -> AsyncIterator[None]:
    """In a process of its own, which is under way when the block begins, and gone after it."""
    attackers = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.siege.attacks", name),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said = asyncio.create_task(attackers.communicate(json.dumps(asdict(aim)).encode()))
    try:
        await asyncio.sleep(_AHEAD_SECONDS)
        yield
        async with asyncio.timeout(_END_SECONDS):
            answers.update(json.loads((await said)[0]))
    finally:
        said.cancel()
        with contextlib.suppress(ProcessLookupError):
            attackers.kill()
        await attackers.wait()


async def _offer_calls(stage: Stage, spell: Spell, seconds: float, rate: float) -> None:
    """Calls come when they come, however long those before them take."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds * rate)):
            await asyncio.sleep(began + number / rate - loop.time())
            group.create_task(_call(stage, spell))


async def _call(stage: Stage, spell: Spell) -> None:
    number = next(stage.callers)
    form = call_form(stage.clients[number % len(stage.clients)], From=f"+1415557{number % 10_000:04d}")
    began = time.perf_counter()
    try:
        document = await _post(stage, VOICE, form)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        document = f"{type(error).__name__}: {error}"
    spell.took.append((time.perf_counter() - began) * 1000)
    if "<Sip" not in document:
        spell.without_ai.append(document)
    await asyncio.sleep(_TALK_SECONDS)
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        await _post(stage, STATUS, form | {"CallStatus": "completed", "CallDuration": "1"})


async def _post(stage: Stage, path: str, form: dict[str, str]) -> str:
    body = urlencode(form).encode()
    signature = sign(Secret(_TOKEN), stage.aim.public_url + path, read_form(body))
    headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature}
    async with stage.session.post(stage.aim.url + path, data=body, headers=headers) as answer:
        return await answer.text()


@contextlib.asynccontextmanager
async def _open_stage(folder: Path) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        postgres = await asyncio.to_thread(Postgres, folder)
        stack.callback(postgres.stop)
        await migrate(postgres.dsn)
        far_end, sink, service = free_port(), free_port(), free_port()
        stack.enter_context(running(["tests.siege.far_end"], {"BENCH_PORT": str(far_end)}))
        stack.enter_context(running(["tests.siege.sink"], {"BENCH_PORT": str(sink)}))
        sandbox = await stack.enter_async_context(running_sandbox())
        sandbox.state.twilio.add_account(_ACCOUNT, _TOKEN)
        outside = f"http://127.0.0.1:{far_end}"
        environment = {
            "DATABASE_URL": postgres.dsn,
            "CALLROUTER_ADMIN_TOKEN": _ADMIN,
            "CALLROUTER_PLATFORM_KEYS": new_key_entry(),
            "CALLROUTER_FALLBACK_KEYS": new_key_entry(),
            "CALLROUTER_PUBLIC_URL": PUBLIC_URL,
            "CALLROUTER_TWILIO_ACCOUNT_SID": _ACCOUNT,
            "CALLROUTER_TWILIO_AUTH_TOKEN": _TOKEN,
            "CALLROUTER_PRIVATE_ENDPOINTS": "on",
            "CALLROUTER_LOG_FORMAT": "json",
            **sandbox.environment,
            "CALLROUTER_RETELL_URL": outside,
            "CALLROUTER_TWILIO_URL": outside,
            "CALLROUTER_PORT": str(service),
            "CALLROUTER_DATA_DIR": str(folder / "data"),
        }
        db = await asyncpg.connect(postgres.dsn)
        stack.push_async_callback(db.close)
        http = await stack.enter_async_context(local_client())
        settings = load_settings(environment, declared=settings_of(PROVIDERS))
        keyring = Keyring.parse(environment["CALLROUTER_PLATFORM_KEYS"])
        world = World(sandbox, settings, keyring, FakeClock(), db, [PUBLIC_URL], _ACCOUNT, _TOKEN, http)
        clients = [await world.add_client(providers=["retell"]) for _ in range(_AGENCIES)]
        attacker = await world.add_client(providers=["retell"])
        hanging = await world.add_client(providers=["retell"], keys={"retell": f"{HANGING}key"})
        await _give_history(db, attacker)
        process = stack.enter_context(running(["router", "serve"], environment, folder / "log.jsonl"))
        url = f"http://127.0.0.1:{service}"
        await wait_until_it_answers(f"{url}/readyz")
        token, endpoint_id = await _enter_agency(http, url, attacker, outside)
        aim = Aim(
            url,
            0,
            agency_id=attacker.agency_id,
            token=token,
            account_sid=_ACCOUNT,
            auth_token=_TOKEN,
            number=attacker.number,
            hanging_number=hanging.number,
            voicemail_id="voicemail_old",
            endpoint_id=endpoint_id,
        )
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
        timeout = aiohttp.ClientTimeout(total=_CALL_SECONDS)
        session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        await stack.enter_async_context(session)
        yield Stage(process, aim, f"http://127.0.0.1:{sink}", clients, session)


async def _give_history(db: asyncpg.Connection, attacker: Client) -> None:
    await db.execute("SET synchronous_commit = off")
    await db.execute(_HISTORY.rstrip().rstrip(";"), _ACCOUNT, attacker.agency_id, attacker.client_id)
    await db.execute(_EVENTS)
    await db.execute(_VOICEMAIL, _ACCOUNT, attacker.agency_id, "RE" + "0" * 32, attacker.client_id)
    await db.execute("ANALYZE")


async def _enter_agency(http: httpx.AsyncClient, url: str, attacker: Client, outside: str) -> tuple[str, str]:
    """A token of the attacking agency, and its endpoint's id."""
    path, admin = f"{url}/v1/agencies/{attacker.agency_id}", {"authorization": f"Bearer {_ADMIN}"}
    made = await http.post(f"{path}/tokens", json={"name": "siege"}, headers=admin)
    token = made.raise_for_status().json()["token"]
    body = {"url": outside + SLOW, "events": ["*"]}
    endpoint = await http.post(f"{path}/endpoints", json=body, headers={"authorization": f"Bearer {token}"})
    return token, endpoint.raise_for_status().json()["id"]
