"""What passed us by is found at the carrier: ends of calls, whole calls, messages. Each once, on however many replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from adapters.carrier import CarrierCall
from adapters.sandbox.api import new_id
from adapters.sandbox.carrier import Carrier, SandboxControl, Script, Timeline
from crypto import Keyring, Secret, new_key_entry
from router.app import make_service
from router.calls import unseen
from router.calls.fallback import Fallback, fallback_address
from router.calls.old_answers import OldAnswers
from router.calls.state import call_id_of
from router.calls.sweep import OverdueCalls, legs_of
from router.calls.unseen import UnseenCalls, conclude
from router.dialling import Dialling
from router.health import ServiceHealth
from router.messages.mailbox import voicemail_id_of
from router.webhooks.fallback import fallback_routes
from tests.support.posting import PostedCall
from tests.support.serving import serve_app
from tests.support.world import CALLER, Client, World, open_world

pytestmark = pytest.mark.anyio

NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing answers
FALLBACK_KEYS = Keyring.parse(new_key_entry())
A_WHILE = 6 * 60.0


@pytest.fixture
async def world(database_dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database_dsn, tmp_path) as world:
        yield world


@pytest.fixture
async def sweeps(world: World) -> AsyncIterator[list[tuple[OverdueCalls, UnseenCalls]]]:
    """Those of two processes."""
    async with AsyncExitStack() as stack:
        services = [make_service(world.settings, ServiceHealth(), world.clock) for _ in range(2)]
        for service in services:
            await stack.enter_async_context(service.doing_jobs())
        yield [(service.calls.overdue, service.calls.unseen) for service in services]


async def close_overdue(sweeps: list[tuple[OverdueCalls, UnseenCalls]]) -> None:
    await asyncio.gather(*(overdue.close() for overdue, _ in sweeps))


async def find_unseen(sweeps: list[tuple[OverdueCalls, UnseenCalls]]) -> None:
    await asyncio.gather(*(unseen.find() for _, unseen in sweeps))


def carrier_of(world: World, client: Client, base: str, fallback_url: str | None = None) -> Carrier:
    """A carrier whose status callbacks are lost."""

    async def pass_time(seconds: float) -> None:
        world.clock.advance(seconds)

    return Carrier(
        client.account_sid,
        Secret(client.auth_token),
        f"{base}/webhooks/twilio/voice",
        far_end=SandboxControl(world.sandbox.url, world.http),
        pass_time=pass_time,
        fallback_url=fallback_url,
        strict=False,
    )


async def call_while_away(world: World, client: Client, script: Script) -> Timeline:
    """The router does not answer, so the carrier asks the static fallback."""
    fallback = Fallback(
        agency_id=client.agency_id,
        client_id=client.client_id,
        client_name="Acme Plumbing",
        number=client.number,
        phone="+15005550123",
        ring_seconds=15,
        screen=True,
        caller_id="caller",
        language="en-US",
        greeting=None,
        voicemail_seconds=60,
    )
    async with serve_app(Starlette(routes=fallback_routes(FALLBACK_KEYS, Dialling(), ""))) as base:
        carrier = carrier_of(world, client, NOWHERE, fallback_address(FALLBACK_KEYS, base, fallback))
        timeline = await carrier.place_call(to=client.number, from_=CALLER, script=script)
    assert timeline.fallback_used
    return timeline


async def keep_open_call(world: World, client: Client, status: str | None, *, account_sid: str | None = None) -> str:
    """A recorded call without an end; at the carrier it stands like that, None: it is not there."""
    call_sid, account = new_id("CA"), account_sid or client.account_sid
    await world.db.execute(
        "INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        call_id_of(account, call_sid),
        account,
        call_sid,
        client.agency_id,
        client.client_id,
        CALLER,
        client.number,
        world.clock(),
    )
    if status is not None:
        call = world.sandbox.state.twilio.keep_call(account, call_sid, CALLER, client.number, None)
        call.began_at = world.clock()
        call.stands(status, 60, 42)
    return call_sid


async def call_row(world: World, call_sid: str) -> Any:
    return await world.db.fetchrow("SELECT * FROM calls WHERE call_sid = $1", call_sid)


async def event_names(world: World, call_sid: str) -> list[str]:
    rows = await world.db.fetch(
        "SELECT e.event FROM call_events e JOIN calls c ON c.id = e.call_id WHERE c.call_sid = $1 ORDER BY e.at, e.seq",
        call_sid,
    )
    return [row["event"] for row in rows]


def asked_about_calls(world: World) -> int:
    return sum("/Calls/" in asked.path for asked in world.sandbox.state.requests_to("twilio"))


async def test_a_call_and_its_message_that_only_the_fallback_took_are_filed_once(world, sweeps):
    client = await world.add_client()
    timeline = await call_while_away(world, client, Script(owner="busy"))
    assert await call_row(world, timeline.call_sid) is None
    for _ in range(2):
        world.clock.advance(20 * 60)
        await find_unseen(sweeps)
    call = await call_row(world, timeline.call_sid)
    assert (call["outcome"], call["client_id"], call["from_number"]) == ("voicemail", client.client_id, CALLER)
    assert call["ended_at"] > call["started_at"]
    assert call["answered_at"] is None
    assert await world.events(timeline) == [
        ("call.received", None, "found_by_sweep"),
        ("voicemail.received", None, None),
        ("call.ended", None, "voicemail"),
    ]
    (message,) = await world.db.fetch("SELECT * FROM voicemails")
    assert message["id"] == voicemail_id_of(client.agency_id, client.account_sid, message["recording_sid"])
    assert (message["call_id"], message["agency_id"]) == (call["id"], client.agency_id)


async def test_a_call_that_is_still_on_is_filed_when_it_is_over(world, sweeps):
    client = await world.add_client()
    call_sid = new_id("CA")
    call = world.sandbox.state.twilio.keep_call(client.account_sid, call_sid, CALLER, client.number, None)
    call.began_at, call.status = world.clock(), "in-progress"
    world.clock.advance(30 * 60)
    await find_unseen(sweeps)
    assert await call_row(world, call_sid) is None
    call.stands("completed", 31 * 60, 31 * 60)
    world.clock.advance(20 * 60)
    await find_unseen(sweeps)
    filed = await call_row(world, call_sid)
    assert (filed["outcome"], filed["seconds"]) == ("abandoned", 31 * 60)
    assert filed["ended_at"] == filed["started_at"] + timedelta(minutes=31)


async def test_an_unreported_message_of_a_known_call_is_filed(world, sweeps):
    client = await world.add_client()
    call_sid = await keep_open_call(world, client, "completed")
    recording = world.sandbox.state.twilio.add_recording(client.account_sid, call_sid, new_id("RE"), 7.0)
    world.clock.advance(A_WHILE)
    for _ in range(2):
        await find_unseen(sweeps)
        await close_overdue(sweeps)
        world.clock.advance(20 * 60)
    assert [row["recording_sid"] for row in await world.db.fetch("SELECT * FROM voicemails")] == [recording.sid]
    assert (await call_row(world, call_sid))["outcome"] == "voicemail"
    assert sorted(await event_names(world, call_sid)) == ["call.ended", "voicemail.received"]


async def test_an_unreported_empty_recording_is_no_message_and_one_of_unknown_length_is(world, sweeps):
    client = await world.add_client()
    call_sid = await keep_open_call(world, client, "completed")
    world.sandbox.state.twilio.add_recording(client.account_sid, call_sid, new_id("RE"), 0.0)
    unknown = world.sandbox.state.twilio.add_recording(client.account_sid, call_sid, new_id("RE"), -1.0)
    world.clock.advance(20 * 60)
    await find_unseen(sweeps)
    (message,) = await world.db.fetch("SELECT * FROM voicemails")
    assert (message["recording_sid"], message["seconds"]) == (unknown.sid, None)


async def test_of_many_unseen_calls_each_sweep_files_some(world, sweeps, monkeypatch):
    """The lists are read page by page, and a sweep keeps no more calls in memory than it may."""
    monkeypatch.setattr(unseen, "_AT_ONCE", 2)
    monkeypatch.setattr(unseen, "_MOST_UNSEEN", 4)
    client = await world.add_client()
    timelines = [await call_while_away(world, client, Script(owner="busy")) for _ in range(7)]
    world.clock.advance(20 * 60)
    filed = []
    for _ in range(2):
        await sweeps[0][1].find()
        filed.append(await world.db.fetchval("SELECT count(*) FROM calls WHERE outcome = 'voicemail'"))
    assert filed == [4, 7]
    assert await world.db.fetchval("SELECT count(*) FROM voicemails") == len(timelines)
    await sweeps[0][1].find()
    assert await world.db.fetchval("SELECT count(*) FROM calls") == len(timelines)


async def test_a_caller_s_long_talk_is_known_in_whatever_order_the_legs_are_listed():
    def listed(sid: str, parent: str | None, seconds: int) -> CarrierCall:
        return CarrierCall(
            sid, CALLER, "", "completed", inbound=parent is None, started_at=None, ended_at=None, seconds=seconds,
            parent_sid=parent,
        )  # fmt: skip

    found = unseen._Found()
    found.add_legs([listed("CA3", "CA1", 90), listed("CA4", "CA9", 80)])
    found.add(None, listed("CA1", None, 100))
    found.add(None, listed("CA2", None, 50))
    found.add_legs([listed("CA5", "CA2", 40), listed("CA6", "CA1", 12)])
    assert found.longest_legs == {"CA1": 90, "CA2": 40}


async def test_stored_answers_go_minutes_after_the_call(world, database):
    """While the call is on they stay, because they say where it stands."""
    client = await world.add_client()
    over = await world.call(client)
    live = PostedCall(world, client)
    await live.ring()
    old_answers = OldAnswers(database, world.clock)

    async def with_answers() -> set[str]:
        await old_answers.erase()
        rows = await world.db.fetch("SELECT DISTINCT call_sid FROM call_steps WHERE answer IS NOT NULL")
        return {row["call_sid"] for row in rows}

    await world.find_ended_call(over)
    assert await with_answers() == {over.call_sid, live.call_sid}
    world.clock.advance(16 * 60)
    assert await with_answers() == {live.call_sid}
    world.clock.advance(24 * 3600)
    assert await with_answers() == set()
    steps = await world.db.fetchval("SELECT count(*) FROM call_steps WHERE answered_at IS NOT NULL")
    assert steps >= 3  # none of them is answered a second time


async def test_calls_from_before_the_number_was_ours_are_left_out(world, sweeps):
    client = await world.add_client()
    for to, minutes in ((client.number, -30), ("+15005559999", 1)):
        call = world.sandbox.state.twilio.keep_call(client.account_sid, new_id("CA"), CALLER, to, None)
        call.began_at = world.clock() + timedelta(minutes=minutes)
        call.stands("completed", 60, 60)
    world.clock.advance(10 * 60)
    await find_unseen(sweeps)
    assert await world.db.fetchval("SELECT count(*) FROM calls") == 0


async def test_an_account_that_cannot_be_read_is_read_later_and_nothing_is_lost(world, sweeps):
    client = await world.add_client()
    timeline = await call_while_away(world, client, Script(owner="busy"))
    world.clock.advance(A_WHILE)
    for fault in ("429", "503"):
        world.sandbox.state.faults.set("twilio", fault)
        await find_unseen(sweeps)
        world.sandbox.state.faults.clear()
        await find_unseen(sweeps)  # too soon: it is left in peace for a while
        assert await call_row(world, timeline.call_sid) is None
        world.clock.advance(A_WHILE)
    await find_unseen(sweeps)
    assert (await call_row(world, timeline.call_sid))["outcome"] == "voicemail"


async def test_an_agency_s_own_account_is_read_with_its_own_key(world, sweeps):
    client = await world.add_client(own_account=True)
    timeline = await call_while_away(world, client, Script(owner="busy"))
    world.clock.advance(A_WHILE)
    await find_unseen(sweeps)
    assert (await call_row(world, timeline.call_sid))["account_sid"] == client.account_sid


async def test_a_call_whose_end_was_lost_is_closed_as_the_carrier_reports_it(world, sweeps):
    client = await world.add_client()
    timeline = await carrier_of(world, client, world.urls[0]).place_call(
        to=client.number, from_=CALLER, script=Script(ai="answers")
    )
    assert (await call_row(world, timeline.call_sid))["ended_at"] is None
    ended_at = world.clock()
    world.clock.advance(A_WHILE)
    for _ in range(2):
        await close_overdue(sweeps)
    call = await call_row(world, timeline.call_sid)
    assert call["outcome"] == "ai"
    assert abs(call["ended_at"] - ended_at) < timedelta(minutes=1)
    assert (await event_names(world, timeline.call_sid)).count("call.ended") == 1


async def test_a_call_that_is_on_is_left_alone_and_looked_at_again_later(world, sweeps):
    client = await world.add_client()
    call_sid = await keep_open_call(world, client, "in-progress")
    await close_overdue(sweeps)
    assert asked_about_calls(world) == 0
    world.clock.advance(A_WHILE)
    await close_overdue(sweeps)
    await close_overdue(sweeps)
    assert asked_about_calls(world) == 1
    assert (await call_row(world, call_sid))["ended_at"] is None
    world.clock.advance(16 * 60)
    await close_overdue(sweeps)
    assert asked_about_calls(world) == 2


async def test_a_call_that_the_carrier_does_not_know_is_abandoned_after_a_day(world, sweeps):
    client = await world.add_client()
    call_sid = await keep_open_call(world, client, None)
    world.clock.advance(3600)
    await close_overdue(sweeps)
    assert (await call_row(world, call_sid))["ended_at"] is None
    world.clock.advance(24 * 3600)
    await close_overdue(sweeps)
    call = await call_row(world, call_sid)
    assert (call["outcome"], call["seconds"]) == ("abandoned", None)


async def test_one_account_s_many_open_calls_do_not_keep_another_s_waiting(world, sweeps):
    busy, quiet = await world.add_client(), await world.add_client(own_account=True)
    for _ in range(60):
        await keep_open_call(world, busy, None)
    waiting = await keep_open_call(world, quiet, "completed")
    world.clock.advance(A_WHILE)
    await sweeps[0][0].close()
    assert (await call_row(world, waiting))["ended_at"] is not None


async def test_calls_to_a_provider_s_own_number_are_left_to_the_provider(world, sweeps):
    client = await world.add_client()
    await world.db.execute("UPDATE numbers SET account_sid = 'retell', carrier = 'retell'")
    call_sid = await keep_open_call(world, client, None, account_sid="retell")
    world.clock.advance(25 * 3600)
    await close_overdue(sweeps)
    await find_unseen(sweeps)
    assert (await call_row(world, call_sid))["ended_at"] is None
    assert await world.db.fetchval("SELECT count(*) FROM sweeps") == 0


def test_a_call_s_longest_answered_leg_counts():
    def leg(parent: str | None, status: Any, seconds: int | None) -> CarrierCall:
        return CarrierCall(
            new_id("CA"),
            "",
            "",
            status,
            inbound=False,
            started_at=None,
            ended_at=None,
            seconds=seconds,
            parent_sid=parent,
        )

    legs = [
        leg("CA1", "completed", 12),
        leg("CA1", "completed", 90),
        leg("CA1", "completed", 3),
        leg("CA2", "no-answer", None),
        leg(None, "completed", 600),
    ]
    assert legs_of(legs) == {"CA1": 90}


@pytest.mark.parametrize(
    ("status", "has_message", "longest_leg", "outcome"),
    [
        ("completed", True, 0, "voicemail"),
        ("completed", True, 300, "voicemail"),
        ("completed", False, 300, "owner"),
        ("completed", False, 12, "abandoned"),
        ("no-answer", False, 0, "abandoned"),
        ("busy", False, 0, "rejected"),
    ],
)
def test_how_an_unseen_call_went_is_said_only_as_far_as_it_is_known(
    status: Any, has_message: bool, longest_leg: int, outcome: str
):
    call = CarrierCall(
        "CA" + "0" * 32, CALLER, "+15005550001", status, inbound=True, started_at=None, ended_at=None, seconds=None
    )
    assert conclude(call, has_message=has_message, longest_leg=longest_leg) == outcome
