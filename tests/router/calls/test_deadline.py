"""TwiML is out in time whatever happens: providers that hang, handoffs that come late, a database that is away, our own bugs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from adapters import registry
from adapters.base import Handoff, InboundCall, SipHandoff, Target
from adapters.retell.api import Client as RetellClient
from adapters.retell.calls import Calls
from adapters.sandbox.carrier import Script
from crypto import Keyring
from router.calls.fallback import Fallback, fallback_address
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.posting import PostedCall, only_document, taker_of, takers_of
from tests.support.waiting import wait_until
from tests.support.world import OWNER, PROVIDERS, Client, World, open_world

__all__ = ["captured_events"]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("little_patience")]

RINGS = {"mode": "ai", "on_failure": "ring_through"}
SOON = Script(caller="hangs-up-during-ai")


@pytest.fixture
async def hurried(database_dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    """A service that is given little time; the carrier's own patience of 15 s is far longer."""
    async with open_world(database_dsn, tmp_path, answer_deadline=3, handoff_timeout=0.5) as world:
        yield world


@pytest.mark.parametrize("fault", ["hang", "slow-body"])
@pytest.mark.parametrize(("routing", "taker"), [({}, "voicemail"), (RINGS, "owner")], ids=["voicemail", "ring through"])
async def test_when_every_provider_hangs_the_caller_goes_where_the_mode_says(hurried: World, fault, routing, taker):
    client = await hurried.add_client(providers=PROVIDERS, routing=routing)
    for provider in PROVIDERS:
        hurried.sandbox.state.faults.set(provider, fault)
    timeline = await hurried.call(client)
    assert (timeline.answered_by, timeline.failures) == (taker, [])
    # The first leaves something for the second; after that there is no time for a third.
    events = await hurried.events(timeline)
    assert ("handoff.failed", "vapi", "timeout") in events
    assert ("handoff.failed", "retell", "timeout") in events
    assert ("handoff.skipped", "bland", "no_time") in events
    assert hurried.asked_with(client, "bland") == 0


async def test_a_provider_that_hangs_leaves_time_for_the_next(hurried: World):
    client = await hurried.add_client(providers=["bland", "vapi"])
    hurried.sandbox.state.faults.set("bland", "hang")
    timeline = await hurried.call(client, SOON)
    assert (timeline.answered_by, timeline.provider) == ("ai", "vapi")


async def test_providers_that_hang_after_a_failed_leg_do_not_keep_the_caller_waiting(hurried: World):
    client = await hurried.add_client(providers=PROVIDERS)
    hurried.sandbox.state.faults.set("retell", "hang")
    hurried.sandbox.state.faults.set("bland", "hang")
    timeline = await hurried.call(client, Script(ai="fails"))
    assert (timeline.answered_by, timeline.failures) == ("voicemail", [])


async def test_a_handoff_that_comes_late_is_noted_and_ended_at_retell(hurried: World):
    client = await hurried.add_client(providers=["retell", "vapi"])
    hurried.sandbox.state.faults.set("retell", {"fault": "late", "seconds": 1})
    timeline = await hurried.call(client, SOON)
    assert (timeline.answered_by, timeline.provider) == ("ai", "vapi")
    await wait_until(lambda: has_event(hurried, timeline.call_sid, "handoff.late"))
    (org,) = hurried.sandbox.state.retell.orgs
    ((call_id, call),) = org.calls.items()
    (stop,) = hurried.sandbox.state.requests_to("retell", f"/v2/stop-call/{call_id}")
    assert stop.headers["authorization"] == f"Bearer {client.keys['retell']}"
    assert call.state == "ended"
    assert ("handoff.failed", "retell", "timeout") in await hurried.events(timeline)


async def test_a_handoff_that_comes_late_is_noted_and_ended_at_vapi(hurried: World):
    client = await hurried.add_client(providers=["vapi", "retell"])
    hurried.sandbox.state.faults.set("vapi", {"fault": "late", "seconds": 1})
    timeline = await hurried.call(client, SOON)
    assert (timeline.answered_by, timeline.provider) == ("ai", "retell")
    await wait_until(lambda: has_event(hurried, timeline.call_sid, "handoff.late"))
    (org,) = hurried.sandbox.state.vapi.orgs
    ((call_id, call),) = org.calls.items()
    (stop,) = hurried.sandbox.state.requests_to("vapi", f"/control/{call_id}")
    assert "authorization" not in stop.headers
    assert call.state == "ended"


async def test_a_handoff_that_comes_late_is_noted_where_nothing_can_be_ended(hurried: World):
    client = await hurried.add_client(providers=["bland", "retell"])
    hurried.sandbox.state.faults.set("bland", {"fault": "late", "seconds": 1})
    timeline = await hurried.call(client, SOON)
    assert timeline.provider == "retell"
    await wait_until(lambda: has_event(hurried, timeline.call_sid, "handoff.late"))
    assert hurried.asked_with(client, "bland") == 1


async def test_a_failure_that_comes_late_changes_nothing(hurried: World):
    client = await hurried.add_client(providers=["retell", "vapi"])
    hurried.sandbox.state.faults.set("retell", {"fault": "late", "seconds": 1})
    (org,) = hurried.sandbox.state.retell.orgs
    org.balance = 0
    timeline = await hurried.call(client, SOON)
    assert timeline.provider == "vapi"
    assert ("handoff.failed", "retell", "timeout") in await hurried.events(timeline)
    assert hurried.sandbox.state.requests_to("retell", operation="other") == []


BUGS = ("raises", "recurses", "is cancelled", "times out by itself", "gives nothing", "gives what no document can hold")


def retell_that(**changes: object) -> registry.Declarations:
    """All providers, with changes to Retell."""
    return tuple(replace(one, **changes) if one.name == "retell" else one for one in registry.PROVIDERS)


def calls_with(bug: str) -> Calls:
    """Retell's adapter with a bug of ours in it."""

    class Broken(Calls):
        async def hand_off(self, client: RetellClient, call: InboundCall, target: Target) -> Handoff:
            match bug:
                case "raises":
                    raise RuntimeError(f"a bug that tells {client.key.reveal()}")
                case "recurses":
                    return await self.hand_off(client, call, target)
                case "is cancelled":
                    raise asyncio.CancelledError
                case "times out by itself":
                    raise TimeoutError
                case "gives nothing":
                    return None  # type: ignore[return-value]
            return SipHandoff(uri=object())  # type: ignore[arg-type]

    return Broken()


@pytest.mark.parametrize("bug", BUGS)
async def test_a_bug_in_an_adapter_leaves_the_caller_with_the_next_provider_or_a_person(
    database_dsn, tmp_path, captured_events: CapturedEvents, bug
):
    providers = retell_that(calls=calls_with(bug))
    async with open_world(database_dsn, tmp_path, providers=providers) as world:
        client = await world.add_client(providers=["retell", "vapi"], routing=RINGS)
        timeline = await world.call(client, SOON)
        assert timeline.answered_by in ("ai", "owner")
        assert (timeline.failures, timeline.violations) == ([], [])
        assert world.asked_with(client, "retell") == 0
        given_up = ("handoff.failed", "retell", "unreachable") in await world.events(timeline)
    assert given_up or captured_events.named("request.failed")


async def test_a_bug_while_a_late_handoff_is_ended_does_not_hide_that_it_was_late(database_dsn, tmp_path):
    async def end_call(*_: Any) -> None:
        raise RuntimeError("a bug")

    providers = retell_that(end_call=end_call)
    async with open_world(database_dsn, tmp_path, handoff_timeout=0.5, providers=providers) as world:
        client = await world.add_client(providers=["retell", "vapi"])
        world.sandbox.state.faults.set("retell", {"fault": "late", "seconds": 1})
        timeline = await world.call(client, SOON)
        assert timeline.provider == "vapi"
        await wait_until(lambda: has_event(world, timeline.call_sid, "handoff.late"))


UNREADABLE = {
    "an unknown mode": """UPDATE clients SET routing = '{"mode": "nonsense"}'""",
    "routing that is no object": "UPDATE clients SET routing = '[]'",
    "a time zone that is none": """UPDATE clients SET routing =
        '{"hours": {"timezone": "Mars/Olympus", "open": [], "closed_mode": "voicemail"}}'""",
    "hours that are none": """UPDATE clients SET routing =
        '{"hours": {"timezone": "UTC", "open": [{"days": ["mon"], "from": "?", "to": "!"}]}}'""",
    "a limit that is no number": """UPDATE clients SET assistant = '{"max_seconds": "long"}'""",
}


@pytest.mark.parametrize("what", UNREADABLE)
async def test_settings_that_cannot_be_read_leave_the_caller_with_a_person(world: World, what):
    client = await world.add_client(providers=PROVIDERS)
    await world.db.execute(UNREADABLE[what])
    timeline = await world.call(client, Script(owner="accepts"), fallback_url=fallback_url(world, client))
    assert timeline.answered_by in ("owner", "voicemail")
    assert timeline.violations == []
    assert {request.status for request in timeline.requests} <= {200, 503}


async def test_hours_in_a_time_zone_that_is_none_do_not_even_need_the_fallback(world: World):
    client = await world.add_client(providers=PROVIDERS)
    await world.db.execute(UNREADABLE["a time zone that is none"])
    timeline = await world.call(client)
    assert (timeline.answered_by, timeline.failures) == ("voicemail", [])


@pytest.mark.parametrize("what", UNREADABLE)
async def test_settings_that_become_unreadable_during_a_call_leave_the_caller_with_a_person(world: World, what):
    client = await world.add_client(providers=PROVIDERS, routing=RINGS)
    call = PostedCall(world, client)
    first = only_document([await call.ring()])
    await world.db.execute(UNREADABLE[what])
    reply = await call.go_on(first)
    assert takers_of([reply]) in (["owner"], ["retell"])


async def test_without_a_database_a_call_that_comes_in_reaches_somebody(world: World):
    client = await world.add_client(providers=PROVIDERS)
    async with database_away(world):
        timeline = await world.call(client, fallback_url=fallback_url(world, client))
    assert timeline.answered_by in ("ai", "owner", "voicemail")
    assert timeline.violations == []
    assert {request.status for request in timeline.requests} <= {200, 503}


async def test_a_call_that_gets_no_turn_in_a_crowd_reaches_somebody_and_is_no_bug_of_ours(
    database_dsn, tmp_path, captured_events: CapturedEvents, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("router.app.calls._CLAIMS_AT_ONCE", 0)
    async with open_world(database_dsn, tmp_path, answer_deadline=2) as world:
        client = await world.add_client()
        timeline = await world.call(client, fallback_url=fallback_url(world, client))
    assert timeline.answered_by in ("owner", "voicemail")
    assert timeline.requests[0].status == 503
    assert "request.failed" not in captured_events.names()


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_without_a_database_a_number_that_was_called_before_still_reaches_its_ai(world: World, provider):
    client = await world.add_client(providers=[provider])
    await world.call(client, SOON)
    async with database_away(world):
        timeline = await world.call(client, SOON)
    assert (timeline.answered_by, timeline.provider, timeline.failures) == ("ai", provider, [])


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_call_that_loses_its_database_on_the_way_goes_on_to_a_person(world: World, provider):
    client = await world.add_client(providers=[provider], routing=RINGS)
    call = PostedCall(world, client)
    first = only_document([await call.ring()])
    async with database_away(world):
        owner = only_document([await call.go_on(first)])
        voicemail = only_document([await call.go_on(owner, DialCallStatus="no-answer")])
    assert [taker_of(document) for document in (first, owner, voicemail)] == [provider, "owner", "voicemail"]
    assert OWNER in owner


def fallback_url(world: World, client: Client) -> str:
    """What stands as the number's VoiceFallbackUrl at the carrier."""
    assert world.settings.fallback_keys is not None
    return fallback_address(
        Keyring.parse(world.settings.fallback_keys.get_secret_value(), derives=False),
        world.urls[0],
        Fallback(
            agency_id=client.agency_id,
            client_id=client.client_id,
            client_name="Acme Plumbing",
            number=client.number,
            phone=OWNER,
            ring_seconds=15,
            screen=True,
            caller_id="caller",
            language="en-US",
            greeting=None,
            voicemail_seconds=120,
        ),
    )


@contextlib.asynccontextmanager
async def database_away(world: World) -> AsyncIterator[None]:
    """The database closes all connections and accepts no others."""
    name = await world.db.fetchval("SELECT current_database()")
    dsn = world.settings.dsn
    admin = await asyncpg.connect(dsn.replace(f"/{name}?", "/postgres?", 1))
    try:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        yield
    finally:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await admin.close()


async def has_event(world: World, call_sid: str, event: str) -> bool:
    return await world.db.fetchval(
        "SELECT EXISTS (SELECT FROM call_events e JOIN calls c ON c.id = e.call_id "
        "WHERE c.call_sid = $1 AND e.event = $2)",
        call_sid,
        event,
    )
