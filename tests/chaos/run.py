"""The chaos run: offer calls, break things on a schedule, put them right, count.

`make chaos` runs it for minutes, the suite for some seconds. Bounded in time and in count; everything it starts it
ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import secrets
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from adapters import registry
from adapters.sandbox.carrier import Carrier, SandboxControl, Script, Timeline
from adapters.sandbox.server import RunningSandbox, running_sandbox
from crypto import Keyring, Secret, new_key_entry
from router.calls.fallback import Fallback, fallback_address
from router.settings import load_settings
from router.store.schema import migrate
from tests.chaos.machinery import FALLBACK_URL, PUBLIC_URL, Balancer, Postgres, Replica, free_port, make_environment
from tests.support.waiting import wait_until
from tests.support.world import KEPT_SHORTER, OWNER, PROVIDERS, Client, FakeClock, World

DEADLINE_MS = 10_000
_REPLICAS = 2
_AGENCIES = 8
_MOST_AT_ONCE = 300
_SCRIPTS = (
    Script(caller="hangs-up-during-ai"),
    Script(caller="hangs-up-during-ai"),
    Script(ai="fails"),
    Script(ai="closes"),
    Script(ai="fails", owner="mailbox"),
    Script(caller="hangs-up-while-ringing"),
)
_CHANCE = random.Random(4711)  # the same order of things in every run
_FAULTS = ("503", "hang", "reset", "429", "garbage", "late")


@dataclass(slots=True)
class Report:
    """What became of the calls. All but the first two have to be 0."""

    offered: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    over_deadline: int = 0
    lost: int = 0
    events_lost: int = 0
    events_doubled: int = 0
    providers_asked_twice: int = 0
    broken: list[str] = field(default_factory=list)  # what was done to the service, in order
    reasons: Counter[str] = field(default_factory=Counter)  # why a fallback was used
    details: list[str] = field(default_factory=list)  # of each thing that is not 0, for whoever has to find it

    @property
    def faults(self) -> dict[str, int]:
        return {
            "over deadline": self.over_deadline,
            "lost": self.lost,
            "events lost": self.events_lost,
            "events doubled": self.events_doubled,
            "providers asked twice": self.providers_asked_twice,
        }

    def describe(self) -> str:
        answered = ", ".join(f"{count} by {who}" for who, count in self.answered.most_common())
        lines = [f"calls offered: {self.offered}", f"answered: {answered}"]
        lines += [f"{name}: {count}" for name, count in self.faults.items()]
        lines += [f"fallback because of: {reason} ({count})" for reason, count in self.reasons.most_common(5)]
        lines.append(f"broken meanwhile: {', '.join(self.broken)}")
        return "\n".join((*lines, *self.details[:20]))


@dataclass(slots=True)
class Stage:
    """Everything that is up during a run."""

    world: World
    postgres: Postgres
    replicas: list[Replica]
    balancer: Balancer
    client: httpx.AsyncClient
    clients: list[Client]
    fallback_keyring: Keyring
    timelines: list[Timeline] = field(default_factory=list)


async def run(folder: Path, *, seconds: float, rate: float, pause: float) -> Report:
    """Offer `rate` calls a second for `seconds`, breaking something every `pause` seconds."""
    report = Report()
    async with _open_stage(folder) as stage:
        breaking = asyncio.create_task(_break_things(stage, report, pause, until=time.monotonic() + seconds))
        await _offer_calls(stage, report, seconds, rate)
        await breaking
        await _wait_for_records(stage)
        await _count(stage, report)
    return report


@contextlib.asynccontextmanager
async def _open_stage(folder: Path) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        postgres = await asyncio.to_thread(Postgres, folder)
        stack.callback(postgres.stop)
        await migrate(postgres.dsn)
        sandbox = await stack.enter_async_context(running_sandbox())
        sandbox.state.requests = deque()  # all of them are counted in the end
        world, environment, fallback_keyring = await _make_world(stack, postgres, sandbox)
        replicas = [Replica(environment, folder / f"replica-{number}", free_port()) for number in range(_REPLICAS)]
        fallback = Replica(environment, folder / "fallback", free_port(), "fallback")
        for process in (*replicas, fallback):
            process.start()
            stack.callback(_end, process)
        await asyncio.gather(*(process.wait_until_ready() for process in (*replicas, fallback)))
        balancer = Balancer([replica.url for replica in replicas], fallback.url)
        client = await stack.enter_async_context(httpx.AsyncClient(transport=balancer, timeout=15))
        clients = [
            await world.add_client(providers=PROVIDERS, routing={"on_failure": "ring_through"})
            for _ in range(_AGENCIES)
        ]
        yield Stage(world, postgres, replicas, balancer, client, clients, fallback_keyring)


async def _make_world(
    stack: contextlib.AsyncExitStack, postgres: Postgres, sandbox: RunningSandbox
) -> tuple[World, dict[str, str], Keyring]:
    account_sid, auth_token = "AC" + secrets.token_hex(16), secrets.token_hex(16)
    sandbox.state.twilio.add_account(account_sid, auth_token)
    platform_keys, fallback_keys = new_key_entry(), new_key_entry()
    values = {
        "DATABASE_URL": postgres.dsn,
        "CALLROUTER_PLATFORM_KEYS": platform_keys,
        "CALLROUTER_FALLBACK_KEYS": fallback_keys,
        "CALLROUTER_PUBLIC_URL": PUBLIC_URL,
        "CALLROUTER_TWILIO_ACCOUNT_SID": account_sid,
        "CALLROUTER_TWILIO_AUTH_TOKEN": auth_token,
        "CALLROUTER_DRAIN_DELAY": "0.2",
        "CALLROUTER_HANDOFF_TIMEOUT": "2",
        "CALLROUTER_LOG_FORMAT": "json",
        **sandbox.environment,
    }
    environment = make_environment(values)
    db = await asyncpg.connect(postgres.dsn)
    http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=30, limits=KEPT_SHORTER))
    settings = load_settings(
        {name: value for name, value in environment.items() if name.isupper()},
        declared=registry.settings_of(registry.PROVIDERS),
    )
    world = World(
        sandbox, settings, Keyring.parse(platform_keys), FakeClock(), db, [PUBLIC_URL], account_sid, auth_token, http
    )
    return world, environment, Keyring.parse(fallback_keys, derives=False)


def _end(replica: Replica) -> None:
    if replica.process is not None and replica.process.poll() is None:
        replica.stop()


async def _offer_calls(stage: Stage, report: Report, seconds: float, rate: float) -> None:
    """Calls start at the rate whatever became of the earlier ones, but never too many at once."""
    started, calls = time.monotonic(), set[asyncio.Task[None]]()
    for number in range(round(seconds * rate)):
        await asyncio.sleep(max(started + number / rate - time.monotonic(), 0))
        while len(calls) >= _MOST_AT_ONCE:
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        report.offered += 1
        call = asyncio.create_task(
            _place(stage, report, _CHANCE.choice(stage.clients), _CHANCE.choice(_SCRIPTS), number)
        )
        calls.add(call)
        call.add_done_callback(calls.discard)
    await asyncio.gather(*calls)


async def _place(stage: Stage, report: Report, client: Client, script: Script, number: int) -> None:
    carrier = Carrier(
        client.account_sid,
        Secret(client.auth_token),
        f"{PUBLIC_URL}/webhooks/twilio/voice",
        far_end=SandboxControl(stage.world.sandbox.url, stage.world.http),
        pass_time=_pass_no_time,
        fallback_url=_fallback_url(stage, client),
        status_url=f"{PUBLIC_URL}/webhooks/twilio/status",
        strict=False,
        client=stage.client,
    )
    timeline = await carrier.place_call(to=client.number, from_=f"+1415{2000000 + number:07d}", script=script)
    stage.timelines.append(timeline)
    report.answered[_who(timeline)] += 1
    if timeline.fallback_used:
        report.reasons[timeline.failures[0] if timeline.failures else "?"] += 1
    if _is_lost(timeline):
        report.lost += 1
        report.details.append(f"lost: {timeline.call_sid} {timeline.answered_by} {timeline.failures}\n{timeline}")
    slow = [request for request in timeline.requests if request.status == httpx.codes.OK and request.ms > DEADLINE_MS]
    report.over_deadline += len(slow)
    report.details += [f"over deadline: {request.describe()} ({timeline.call_sid})" for request in slow]


async def _pass_no_time(_seconds: float) -> None:
    """The replicas' clocks are real, and no call here depends on what goes by."""


def _fallback_url(stage: Stage, client: Client) -> str:
    """What the number has at the carrier: served by a process of its own."""
    fallback = Fallback(
        client.agency_id, client.client_id, "Acme", client.number, OWNER, 15, True, "caller", "en-US", None, 120
    )
    return fallback_address(stage.fallback_keyring, FALLBACK_URL, fallback)


def _who(timeline: Timeline) -> str:
    return f"fallback, then {timeline.answered_by}" if timeline.fallback_used else timeline.answered_by


def _is_lost(timeline: Timeline) -> bool:
    """A caller who heard an error, or nothing, and did not hang up first."""
    return timeline.answered_by in ("application-error", "fallback", "nobody", "spoken")


async def _break_things(stage: Stage, report: Report, pause: float, until: float) -> None:
    """One thing after the other, each mended before the next; all of them at least once."""
    breaks: list[tuple[str, Callable[[Stage, float], Awaitable[None]]]] = [
        ("a provider fails", _fail_provider),
        ("postgres paused", _pause_postgres),
        ("a replica killed", _kill_replica),
        ("postgres killed", _kill_postgres),
    ]
    number = 0
    while number < len(breaks) or time.monotonic() + pause < until:
        await asyncio.sleep(pause / 2)
        name, do = breaks[number % len(breaks)]
        report.broken.append(name)
        stage.world.sandbox.state.faults.clear()
        if _CHANCE.random() < 0.5:
            stage.world.sandbox.state.faults.set(_CHANCE.choice(PROVIDERS), _CHANCE.choice(_FAULTS))
        await do(stage, pause / 2)
        number += 1
    stage.world.sandbox.state.faults.clear()


async def _fail_provider(stage: Stage, seconds: float) -> None:
    for provider in _CHANCE.sample(PROVIDERS, 2):
        stage.world.sandbox.state.faults.set(provider, _CHANCE.choice(_FAULTS))
    await asyncio.sleep(seconds)


async def _pause_postgres(stage: Stage, seconds: float) -> None:
    stage.postgres.pause()
    await asyncio.sleep(seconds)
    stage.postgres.go_on()


async def _kill_postgres(stage: Stage, seconds: float) -> None:
    await asyncio.to_thread(stage.postgres.kill)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(stage.postgres.restart)


async def _kill_replica(stage: Stage, seconds: float) -> None:
    replica = _CHANCE.choice(stage.replicas)
    await asyncio.to_thread(replica.kill)
    await asyncio.sleep(seconds / 2)
    replica.start()
    await replica.wait_until_ready()


async def _wait_for_records(stage: Stage) -> None:
    """Until every spool is empty, and no end waits for a call that has come from one since."""
    db = await asyncpg.connect(stage.postgres.dsn)

    async def is_settled() -> bool:
        ends_wait = "SELECT EXISTS (SELECT FROM early_ends e JOIN calls c ON c.id = e.call_id)"
        return not _is_anything_spooled(stage) and not await db.fetchval(ends_wait)

    try:
        await wait_until(is_settled)
    finally:
        await db.close()


def _is_anything_spooled(stage: Stage) -> bool:
    return any(path.stat().st_size for replica in stage.replicas for path in replica.folder.glob("data/spool/*"))


async def _count(stage: Stage, report: Report) -> None:
    db = await asyncpg.connect(stage.postgres.dsn)
    try:
        rows = await db.fetch(
            "SELECT c.call_sid, c.outcome, array_agg(e.event) AS events FROM calls c "
            "LEFT JOIN call_events e ON e.call_id = c.id GROUP BY c.id"
        )
        doubled = await db.fetchval(
            "SELECT count(*) FROM (SELECT FROM call_events GROUP BY call_id, event, step, provider "
            "HAVING count(*) > 1) AS twice"
        )
    finally:
        await db.close()
    report.events_doubled = doubled
    recorded = {row["call_sid"]: row for row in rows}
    for timeline in stage.timelines:
        missing = _missing_events(timeline, recorded.get(timeline.call_sid))
        report.events_lost += len(missing)
        if missing:
            report.details.append(f"events lost: {timeline.call_sid} {_who(timeline)} lacks {missing}")
    for provider, call_sid in _asked_twice(stage.world.sandbox):
        report.providers_asked_twice += 1
        report.details.append(f"asked twice: {provider} for {call_sid}")


def _missing_events(timeline: Timeline, recorded: Any) -> list[str]:
    """What the router told the carrier, it has to have on record."""
    answers = [request for request in timeline.requests if request.status == httpx.codes.OK]
    placed = [request for request in answers if request.url.endswith("/webhooks/twilio/voice")]
    if not placed:
        return []
    if recorded is None:
        return ["the call"]
    expected = {"call.received"}
    if "<Connect" in placed[0].body or "<Sip" in placed[0].body:
        expected.add("handoff.succeeded")
    if any("<Record" in request.body and "/webhooks/" in request.url for request in answers):
        expected.add("call.answered")
    if any(request.url.endswith("/status") for request in answers):
        expected.add("call.ended")
    return sorted(expected - set(recorded["events"]))


def _asked_twice(sandbox: RunningSandbox) -> list[tuple[str, str]]:
    asked: Counter[tuple[str, str]] = Counter()
    for request in sandbox.state.requests:
        if request.operation == "handoff" and (call_sid := _find_call_sid(request.raw)):
            asked[request.provider, call_sid] += 1
    return [mark for mark, count in asked.items() if count > 1]


def _find_call_sid(raw: bytes) -> str | None:
    """The CallSid among the metadata, wherever a provider takes that."""
    found = re.search(rb'"(CA[0-9a-f]{32})"', raw)
    return found[1].decode() if found else None
