"""The service as processes that are killed, stopped and started, with a database that comes and goes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from xml.etree import ElementTree as ET

import asyncpg
import httpx
import pytest

from adapters.sandbox.api import new_id
from adapters.sandbox.carrier import Quirks
from adapters.sandbox.carrier.parameters import inbound_parameters
from adapters.sandbox.carrier.requests import Reply, Requests
from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.world import DemoWorld
from crypto import Secret, new_key_entry
from router.cli.demo import provision
from tests.router.cli.commands import Command, Commands, get, running_commands
from tests.router.cli.service import ADMIN_TOKEN, place_call, providers, url_of
from tests.support.database_proxy import DatabaseProxy, proxied
from tests.support.local_http import local_client
from tests.support.posting import at_once
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

VOICE = "/webhooks/twilio/voice"
CALLS, AT_ONCE = 60, 10


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with running_commands(tmp_path) as commands:
        commands.environ |= {
            "CALLROUTER_PLATFORM_KEYS": new_key_entry(),
            "CALLROUTER_FALLBACK_KEYS": new_key_entry(),
            "CALLROUTER_ADMIN_TOKEN": ADMIN_TOKEN,
            "CALLROUTER_ANSWER_DEADLINE": "5",
            "CALLROUTER_HANDOFF_TIMEOUT": "2",
            # All of these calls are at once, and from one caller.
            "CALLROUTER_CALLER_CALLS": "1000",
        }
        yield commands


@pytest.fixture
async def proxy(database_dsn: str) -> AsyncIterator[DatabaseProxy]:
    async with proxied(database_dsn) as proxy:
        yield proxy
        proxy.go_on()


@dataclass(slots=True)
class Setting:
    """Services on one database, with providers in the test's process and a demo agency set up."""

    commands: Commands
    sandbox: RunningSandbox
    world: DemoWorld
    db: Any
    http: httpx.AsyncClient

    def start(self, name: str, dsn: str, **environ: str) -> Command:
        folder = Path(self.commands.environ["HOME"]) / name
        return self.commands.start("serve", DATABASE_URL=dsn, CALLROUTER_DATA_DIR=str(folder), **environ)

    async def post(self, url: str, path: str, call_sid: str, **more: str) -> Reply:
        """Twilio's request; fails with httpx.HTTPError if the process dies over it."""
        parameters = inbound_parameters(
            account_sid=self.world.account_sid,
            call_sid=call_sid,
            caller="+14155550123",
            called=self.world.bland.number,
            status="ringing",
            token="token-of-the-call",
            forwarded_from=None,
        )
        sender = Requests(self.http, Secret(self.world.auth_token), Quirks())
        (reply,) = await sender.send("POST", urljoin(url, path), parameters | more)
        return reply

    def asked(self) -> list[str]:
        """The calls that Bland was asked to take, by Twilio's id."""
        requests = self.sandbox.state.requests_to("bland", operation="handoff")
        return [find_call_sid(request.body) for request in requests]


@pytest.fixture
async def setting(commands: Commands, database_dsn: str) -> AsyncIterator[Setting]:
    async with (
        providers(commands) as (sandbox, world),
        local_client(timeout=30, limits=httpx.Limits(keepalive_expiry=0)) as http,
    ):
        db = await asyncpg.connect(database_dsn)
        yield Setting(commands, sandbox, world, db, http)
        await db.close()


def find_call_sid(body: dict[str, Any]) -> str:
    return str(body["request_data"]["twilio_call_sid"])


async def are_there(setting: Setting, call_sids: list[str]) -> dict[str, list[str]]:
    """The calls that are in the database, with their events in order."""
    rows = await setting.db.fetch(
        "SELECT c.call_sid, array_agg(e.event ORDER BY e.at, e.seq) AS events "
        "FROM calls c JOIN call_events e ON e.call_id = c.id WHERE c.call_sid = ANY ($1) GROUP BY c.id",
        call_sids,
    )
    return {row["call_sid"]: list(row["events"]) for row in rows}


async def test_killing_one_of_two_loses_no_call_and_asks_no_provider_twice(setting: Setting, database_dsn):
    one, other = setting.start("one", database_dsn), setting.start("other", database_dsn)
    urls = [await url_of(one), await url_of(other)]
    await provision(urls[0], ADMIN_TOKEN, setting.world)
    setting.sandbox.state.faults.set("bland", {"fault": "late", "seconds": 0.2})
    answered: list[str] = []
    lanes = asyncio.Semaphore(AT_ONCE)

    async def ring(number: int) -> Reply:
        call_sid = new_id("CA")
        async with lanes:
            if len(answered) >= CALLS // 3 and one.process.poll() is None:
                one.process.kill()
            reply = await setting.post(urls[number % 2], VOICE, call_sid)
            if reply.status is None:  # the process is gone: Twilio turns to the next
                reply = await setting.post(urls[1], VOICE, call_sid)
        answered.append(call_sid)
        return reply

    replies = await at_once(CALLS, ring)
    assert await asyncio.to_thread(one.end) == -signal.SIGKILL
    assert {reply.status for reply in replies} == {200}
    assert all(ET.fromstring(reply.body) is not None for reply in replies)  # noqa: S314  (our own)
    found = await are_there(setting, answered)
    assert set(found) == set(answered)
    assert all("call.received" in events for events in found.values())
    asked = setting.asked()
    assert len(asked) == len(set(asked)) > CALLS // 2


async def test_a_stopping_service_says_so_and_answers_until_it_stops(setting: Setting, database_dsn):
    serving = setting.start("one", database_dsn, CALLROUTER_DRAIN_DELAY="4")
    url = await url_of(serving)
    await provision(url, ADMIN_TOKEN, setting.world)
    setting.sandbox.state.faults.set("bland", {"fault": "late", "seconds": 0.5})
    call_sids = [new_id("CA") for _ in range(20)]
    ringing = [asyncio.create_task(setting.post(url, VOICE, call_sid)) for call_sid in call_sids[:10]]
    await wait_until(lambda: len(setting.asked()) == 10)
    serving.tell(signal.SIGTERM)
    await asyncio.to_thread(serving.wait_for_events, "service.draining")
    assert (await asyncio.to_thread(get, f"{url}/readyz")).status_code == 503
    ringing += [asyncio.create_task(setting.post(url, VOICE, call_sid)) for call_sid in call_sids[10:]]
    assert {reply.status for reply in await asyncio.gather(*ringing)} == {200}
    assert await asyncio.to_thread(serving.end) == 0
    assert sorted(setting.asked()) == sorted(call_sids)
    found = await are_there(setting, call_sids)
    assert set(found) == set(call_sids)
    assert {events[-1] for events in found.values()} == {"handoff.succeeded"}


async def test_a_service_stopped_while_the_database_is_silent_loses_nothing(setting: Setting, proxy: DatabaseProxy):
    serving = setting.start("one", proxy.dsn)
    url = await url_of(serving)
    await provision(url, ADMIN_TOKEN, setting.world)
    assert (await place_call(url, setting.world)).answered_by == "ai"
    proxy.stall()
    call_sid = new_id("CA")
    assert (await setting.post(url, VOICE, call_sid)).status == 200
    serving.tell(signal.SIGTERM)
    assert await asyncio.to_thread(serving.end) == 0
    proxy.go_on()
    again = setting.start("one", proxy.dsn)
    await asyncio.to_thread(again.wait_for_events, "spool.replayed")
    assert (await are_there(setting, [call_sid]))[call_sid][0] == "call.received"


async def test_a_start_without_the_database_serves_what_the_last_run_remembered(setting: Setting, proxy: DatabaseProxy):
    serving = setting.start("one", proxy.dsn)
    url = await url_of(serving)
    await provision(url, ADMIN_TOKEN, setting.world)
    assert (await place_call(url, setting.world)).answered_by == "ai"
    serving.tell(signal.SIGTERM)
    assert await asyncio.to_thread(serving.end) == 0
    proxy.refuse()

    empty, serving = setting.start("empty", proxy.dsn), setting.start("one", proxy.dsn)
    url = await url_of(empty)
    probe = await asyncio.to_thread(get, f"{url}/readyz")
    assert (probe.status_code, probe.json()["status"]) == (503, "unavailable")
    assert (await setting.post(url, VOICE, new_id("CA"))).status == 503

    url = await url_of(serving)
    assert len(serving.events("database.lost")) == 1
    probe = await asyncio.to_thread(get, f"{url}/readyz")
    assert (probe.status_code, probe.json()["status"]) == (200, "degraded")
    call_sid = new_id("CA")
    assert (await setting.post(url, VOICE, call_sid)).status == 200
    assert setting.asked().count(call_sid) == 1
    serving.process.kill()
    await asyncio.to_thread(serving.end)
    assert await are_there(setting, [call_sid]) == {}

    proxy.go_on()
    again = setting.start("one", proxy.dsn)
    (replayed,) = await asyncio.to_thread(again.wait_for_events, "spool.replayed")
    assert replayed["count"] > 0
    assert (await are_there(setting, [call_sid]))[call_sid] == [
        "call.received",
        "handoff.requested",
        "handoff.succeeded",
    ]
    probe = await asyncio.to_thread(get, f"{await url_of(again)}/readyz")
    assert (probe.status_code, probe.json()["status"]) == (200, "ok")
    # The one that was there before has found it, too.
    await asyncio.to_thread(empty.wait_for_events, "database.regained")
    assert again.events("database.lost") == []
