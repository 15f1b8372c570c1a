"""Calls while the database is away: known numbers are answered as ever, and all is recorded once it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import asyncpg
import pytest
from pydantic import SecretStr

from adapters.sandbox.api import new_id
from adapters.sandbox.carrier import Quirks, Script, Timeline
from adapters.sandbox.carrier.requests import Reply
from crypto import Keyring
from router.app import create_app, service
from router.calls.fallback import Fallback, fallback_address
from router.calls.state import call_id_of
from router.health import ServiceHealth
from router.store.schema import migrate
from tests.chaos.machinery import Postgres
from tests.support.database_proxy import DatabaseProxy, proxied
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.posting import PostedCall, action_of, at_once, only_document, taker_of, takers_of
from tests.support.serving import listen, serve_app, url_of
from tests.support.signed_requests import STATUS
from tests.support.waiting import wait_until
from tests.support.world import OWNER, PROVIDERS, Client, World, open_world

__all__ = ["captured_events"]

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.usefixtures("little_patience")]

WAYS: dict[str, Callable[[DatabaseProxy], None]] = {
    "paused": DatabaseProxy.stall,
    "killed": DatabaseProxy.refuse,
    "slow": lambda proxy: proxy.slow_down(2),
}
OUTAGES = pytest.mark.parametrize("away", WAYS.values(), ids=WAYS)
THREE = PROVIDERS[:3]
ENDED = {"CallStatus": "completed", "CallDuration": "33"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Ends that wait for their calls are looked at all the time."""
    monkeypatch.setattr(service, "EARLY_ENDS_SECONDS", 0.05)


@pytest.fixture
async def proxy(database_dsn: str) -> AsyncIterator[DatabaseProxy]:
    async with proxied(database_dsn) as proxy:
        yield proxy


@pytest.fixture
async def world(proxy: DatabaseProxy, database_dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    """The service behind the proxy; the test's own eyes look past it."""
    async with open_world(database_dsn, tmp_path, database_url=SecretStr(proxy.dsn)) as world:
        yield world
        proxy.go_on()


@asynccontextmanager
async def another_replica(world: World, dsn: str, folder: Path) -> AsyncIterator[int]:
    """One with its own way to the database, and a disk of its own. Yields its number."""
    listening = listen()
    settings = world.settings.model_copy(
        update={"database_url": SecretStr(dsn), "data_dir": folder, "public_url": url_of(listening)}
    )
    health = ServiceHealth()
    app = create_app(settings, health, clock=world.clock)
    async with serve_app(app, listening, lifespan=True) as url:
        world.urls.append(url)
        world.healths.append(health)
        yield len(world.urls) - 1


async def see(world: World, client: Client) -> Timeline:
    """The number's first call, with everything at hand."""
    return await world.call(client)


async def arrive(world: World, *call_sids: str) -> None:
    """All that happened on these calls comes to stand in the database, and nothing waits on the disk any more."""

    async def have_ended() -> bool:
        if list(world.settings.data_dir.glob("spool/*")):
            return False
        if await world.db.fetchval("SELECT EXISTS (SELECT FROM early_ends)"):
            return False
        ended = "SELECT count(*) FROM calls WHERE call_sid = ANY ($1) AND ended_at IS NOT NULL"
        return bool(await world.db.fetchval(ended, list(call_sids)) == len(call_sids))

    await wait_until(have_ended)


async def record(world: World, timeline: Timeline) -> dict[str, Any]:
    """What there is about a call afterwards, but for times and names."""
    call = await world.find_call(timeline)
    count = "SELECT count(*) FROM voicemails WHERE call_id = $1"
    steps = "SELECT step, answer IS NOT NULL FROM call_steps WHERE call_id = $1 ORDER BY claimed_at"
    return {
        "events": await world.events(timeline),
        "voicemails": await world.db.fetchval(count, call["id"]),
        "steps": [tuple(row) for row in await world.db.fetch(steps, call["id"])],
        **{name: call[name] for name in ("outcome", "answered_by", "provider", "from_number", "to_number", "seconds")},
        **{name: call[name] is not None for name in ("answered_at", "ended_at")},
    }


def fallback_of(world: World, client: Client) -> str:
    fallback = Fallback(
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
        voicemail_seconds=60,
    )
    assert world.settings.fallback_keys is not None
    keyring = Keyring.parse(world.settings.fallback_keys.get_secret_value(), derives=False)
    return fallback_address(keyring, world.urls[0], fallback)


LIVES: dict[str, tuple[dict[str, Any], Script]] = {
    "a stream takes it": ({"providers": ["vapi"]}, Script()),
    "a SIP address takes it": ({"providers": ["retell"]}, Script()),
    "a number takes it": ({"providers": ["bland"], "bland_mode": "number"}, Script()),
    "the agency's own account": ({"providers": ["vapi"], "own_account": True}, Script()),
    "the caller hangs up on the AI": ({"providers": ["retell"]}, Script(caller="hangs-up-during-ai")),
    "one AI after the other fails": ({"providers": PROVIDERS}, Script(ai=("fails", "busy", "answers"))),
    "the owner takes it": (
        {"providers": ["vapi"], "routing": {"on_failure": "ring_through"}},
        Script(ai="fails", owner="accepts"),
    ),
    "the owner's mailbox": (
        {"providers": ["retell"], "routing": {"mode": "owner_first"}, "own_account": True},
        Script(owner="mailbox"),
    ),
    "a message": ({"providers": [], "routing": {"mode": "voicemail"}}, Script()),
    "no message": ({"providers": [], "routing": {"mode": "ring_through"}}, Script(owner="busy", voicemail="silent")),
}


# Every life with the quickest of the outages, and some with each.
WITH_EACH = ("the agency's own account", "one AI after the other fails")


@pytest.mark.parametrize(
    ("away", "life"), [(away, life) for away in WAYS for life in LIVES if away == "killed" or life in WITH_EACH]
)
async def test_a_call_goes_its_way_and_is_recorded_as_if_nothing_were(world: World, proxy, away, life):
    setting, script = LIVES[life]
    client = await world.add_client(**setting)
    usual = await world.call(client, script)
    WAYS[away](proxy)
    # However often Twilio asks.
    timeline = await world.call(client, script, quirks=Quirks(copies=2))
    assert timeline.answered_by == usual.answered_by
    assert [leg.kind for leg in timeline.legs] == [leg.kind for leg in usual.legs]
    assert await world.find_call(timeline) is None
    proxy.go_on()
    await arrive(world, timeline.call_sid)
    assert await record(world, timeline) == await record(world, usual)


async def test_a_caller_who_hangs_up_on_the_ai_at_once_was_answered_by_it_all_the_same(world: World, proxy):
    """While the database is away, a process does not know whether the AI's stream had begun when the caller hung up."""
    client = await world.add_client(providers=["vapi"])
    await see(world, client)
    proxy.refuse()
    outcomes = {}
    for answered in (True, False):
        call = PostedCall(world, client)
        document = (await call.ring()).body.decode()
        stream = ET.fromstring(document).find("Connect/Stream")  # noqa: S314  (our own)
        assert stream is not None
        if answered:
            await call.post(stream.attrib["statusCallback"], StreamEvent="stream-started")
        await call.post(action_of(document), CallStatus="completed")
        await call.post(STATUS, CallStatus="completed", CallDuration="0")
        outcomes[call.call_sid] = ("ai", "ai", 0) if answered else ("abandoned", None, 0)
    proxy.go_on()
    await arrive(world, *outcomes)
    filed = await world.db.fetch(
        "SELECT call_sid, outcome, answered_by, seconds FROM calls WHERE call_sid = ANY ($1)", list(outcomes)
    )
    assert {row["call_sid"]: tuple(row)[1:] for row in filed} == outcomes


@OUTAGES
async def test_an_outage_is_logged_once(world: World, proxy, away, captured_events: CapturedEvents):
    client = await world.add_client(providers=["retell"])
    await see(world, client)
    away(proxy)
    timelines = [await world.call(client) for _ in range(4)]
    proxy.go_on()
    await arrive(world, *(timeline.call_sid for timeline in timelines))
    await wait_until(lambda: captured_events.named("spool.replayed"))
    told = [name for name in captured_events.names() if name.startswith(("database.", "spool.", "recorder."))]
    assert told == ["database.lost", "database.regained", "spool.replayed"]


@OUTAGES
async def test_a_number_that_was_never_called_is_left_to_the_carriers_fallback(world: World, proxy, away):
    client = await world.add_client(providers=["retell"])
    away(proxy)
    assert (await PostedCall(world, client).ring()).status == 503
    timeline = await world.call(client, Script(owner="accepts"), fallback_url=fallback_of(world, client))
    assert timeline.answered_by == "owner"
    assert world.asked("retell") == 0
    proxy.go_on()
    # And once the database is back, everybody knows it.
    reply = PostedCall(world, client).ring
    await wait_until(lambda: is_taken(reply))
    assert await world.db.fetchval("SELECT count(*) FROM calls WHERE call_sid = $1", timeline.call_sid) == 0


async def is_taken(ring: Callable[[], Any]) -> bool:
    reply: Reply = await ring()
    return reply.status == 200


@OUTAGES
async def test_a_request_that_is_repeated_meanwhile_has_one_answer(world: World, proxy, away):
    client = await world.add_client(providers=THREE)
    await see(world, client)
    away(proxy)
    call = PostedCall(world, client)
    first = only_document(await at_once(10, lambda _: call.ring()))
    assert only_document([await call.ring()]) == first
    second = only_document(await at_once(10, lambda _: call.go_on(first)))
    assert [taker_of(first), taker_of(second)] == ["vapi", "retell"]
    assert [world.asked_with(client, provider) for provider in THREE] == [2, 1, 0]


async def test_a_request_that_is_repeated_after_the_outage_is_not_taken_for_a_new_one(world: World, proxy):
    """Before the database has heard of the first, and after."""
    client = await world.add_client(providers=["retell"])
    await see(world, client)
    proxy.refuse()
    call = PostedCall(world, client)
    first = only_document([await call.ring()])
    proxy.go_on()

    async def is_there() -> bool:
        assert only_document([await call.ring()]) == first
        return bool(await world.db.fetchval("SELECT count(*) FROM calls WHERE call_sid = $1", call.call_sid))

    await wait_until(is_there)
    assert only_document([await call.ring()]) == first
    assert world.asked_with(client, "retell") == 2


async def test_an_answer_of_long_ago_is_not_repeated_meanwhile_either(world: World, proxy):
    """After a minute without an answer, the caller gets the voicemail."""
    client = await world.add_client(providers=THREE)
    await see(world, client)
    proxy.refuse()
    call = PostedCall(world, client)
    assert takers_of([await call.ring()]) == ["vapi"]
    world.clock.advance(61)
    assert takers_of([await call.ring(), await call.ring()]) == ["voicemail", "voicemail"]
    assert [world.asked_with(client, provider) for provider in THREE] == [2, 0, 0]


@OUTAGES
async def test_a_call_that_came_before_the_outage_goes_on_from_what_twilio_carries(world: World, proxy, away):
    client = await world.add_client(providers=THREE, routing={"on_failure": "ring_through"})
    call = PostedCall(world, client)
    replies = [await call.ring()]
    away(proxy)
    replies += [await call.go_on(replies[-1].body.decode())]
    replies += [await call.go_on(replies[-1].body.decode())]
    proxy.go_on()
    replies += [await call.go_on(replies[-1].body.decode())]
    away(proxy)
    replies += [await call.go_on(replies[-1].body.decode())]
    assert takers_of(replies) == [*THREE, "owner", "voicemail"]
    assert (await call.post(STATUS, **ENDED)).status == 200
    proxy.go_on()
    await arrive(world, call.call_sid)
    events = await world.db.fetch(
        "SELECT e.event, e.step FROM call_events e JOIN calls c ON c.id = e.call_id WHERE c.call_sid = $1 "
        "ORDER BY e.at, e.seq",
        call.call_sid,
    )
    told = [(row["event"], row["step"]) for row in events if row["event"] in ("call.received", "call.ended")]
    assert told == [("call.received", "inbound"), ("call.ended", "end")]
    assert sum(row["event"] == "handoff.failed" for row in events) == 3
    assert [world.asked_with(client, provider) for provider in THREE] == [1, 1, 1]


async def test_a_server_that_is_stopped_and_one_that_loses_power_lose_no_call(
    tmp_path: Path, captured_events: CapturedEvents
):
    """A real one, with all that it had not yet written to its disk."""
    folder = tmp_path / "server"
    folder.mkdir()
    server = await asyncio.to_thread(Postgres, folder)
    await migrate(server.dsn)
    async with open_world(server.dsn, tmp_path) as world:
        client = await world.add_client(providers=["vapi"])
        usual = await see(world, client)
        expected = await record(world, usual)
        server.pause()
        stopped = await world.call(client)
        server.go_on()
        await arrive(world, stopped.call_sid)
        assert await record(world, stopped) == expected
        await wait_until(lambda: captured_events.named("spool.replayed"))
        world.sandbox.state.faults.set("vapi", {"fault": "late", "seconds": 3})
        call = PostedCall(world, client)
        ringing = asyncio.create_task(call.ring())
        await wait_until(lambda: world.asked("vapi") == 3)
        await asyncio.to_thread(server.kill)
        document = only_document([await ringing])
        world.sandbox.state.faults.clear()
        killed = await world.call(client)
        assert (await call.go_on(document, CallStatus="completed")).status == 200
        assert (await call.post(STATUS, **ENDED)).status == 200  # what tells whether the AI had answered
        await asyncio.to_thread(server.restart)
        await world.db.close()
        world.db = await asyncpg.connect(server.dsn)
        await arrive(world, killed.call_sid, call.call_sid)
        assert await record(world, killed) == expected
        received = "SELECT count(*) FROM call_events WHERE event = 'call.received'"
        assert await world.db.fetchval(received) == 4
        await world.db.close()
    assert (stopped.answered_by, killed.answered_by) == ("ai", "ai")
    assert [len(captured_events.named(name)) for name in ("database.lost", "database.regained")] == [2, 2]
    await asyncio.to_thread(server.stop)


async def test_without_room_on_the_disk_calls_are_answered_and_told_of_from_memory(
    world: World, proxy, captured_events: CapturedEvents
):
    client = await world.add_client(providers=["vapi"])
    usual = await see(world, client)
    spool = world.settings.data_dir / "spool"
    spool.write_text("a file where the folder should be")
    proxy.refuse()
    timelines = [await world.call(client) for _ in range(3)]
    assert {timeline.answered_by for timeline in timelines} == {"ai"}
    assert {line["reason"] for line in captured_events.named("recorder.failed")} == {"FileExistsError"}
    spool.unlink()
    proxy.go_on()
    await arrive(world, *(timeline.call_sid for timeline in timelines))
    expected = await record(world, usual)
    assert [await record(world, timeline) for timeline in timelines] == [expected] * 3


async def test_a_database_that_comes_back_without_what_this_version_needs_is_not_used(
    world: World, proxy, captured_events: CapturedEvents
):
    """Restored from an old backup, or not migrated yet."""
    client = await world.add_client(providers=["retell"])
    usual = await see(world, client)
    proxy.refuse()
    timeline = await world.call(client)
    version = await world.db.fetchval("SELECT version_num FROM alembic_version")
    await world.db.execute("UPDATE alembic_version SET version_num = '0000'")
    before = proxy.accepted
    proxy.go_on()
    await wait_until(lambda: proxy.accepted >= before + 3)
    assert await world.find_call(timeline) is None
    assert captured_events.named("database.regained") == []
    await world.db.execute("UPDATE alembic_version SET version_num = $1", version)
    await arrive(world, timeline.call_sid)
    assert await record(world, timeline) == await record(world, usual)


async def test_connections_that_died_without_a_word_are_not_waited_for(
    world: World, proxy, captured_events: CapturedEvents
):
    """A way through the network is gone; a new one works."""
    client = await world.add_client(providers=["retell"])
    await see(world, client)
    proxy.forget()
    first = await world.call(client)
    await arrive(world, first.call_sid)
    await wait_until(lambda: captured_events.named("database.regained"))
    second = await world.call(client)
    await arrive(world, second.call_sid)
    assert len(captured_events.named("database.lost")) == 1
    assert (first.answered_by, second.answered_by) == ("ai", "ai")
    assert await record(world, first) == await record(world, second)


async def test_every_step_may_reach_another_replica_that_has_not_lost_the_database(
    world: World, proxy, database_dsn, tmp_path: Path, captured_events: CapturedEvents
):
    """The call's beginning is in one process's spool while its middle and its end reach another."""
    client = await world.add_client(providers=["retell"], routing={"on_failure": "voicemail"})
    await see(world, client)
    async with another_replica(world, database_dsn, tmp_path / "other") as other:
        proxy.refuse()
        message, abandoned = PostedCall(world, client), PostedCall(world, client)
        first = only_document([await message.ring()])
        assert taker_of(only_document([await abandoned.ring()])) == "retell"
        voicemail = only_document([await message.go_on(first, replica=other)])
        assert taker_of(voicemail) == "voicemail"
        recording = {"RecordingSid": new_id("RE"), "RecordingStatus": "completed", "RecordingDuration": "9"}
        callback = recording_callback_of(voicemail)
        for _ in range(2):
            assert (await message.post(callback, replica=other, **recording)).status == 200
        for call in (message, abandoned):
            assert (await call.post(STATUS, replica=other, **ENDED)).status == 200
        # What the caller said is there at once; the call that never came by is not lost either.
        assert await world.db.fetchval("SELECT count(*) FROM voicemails") == 1
        assert await world.db.fetchval("SELECT count(*) FROM calls WHERE call_sid = $1", abandoned.call_sid) == 0
        proxy.go_on()
        await arrive(world, message.call_sid, abandoned.call_sid)
        for call in (message, abandoned):
            await wait_until(lambda call=call: is_told_once(captured_events, call))
        calls = await world.db.fetch(
            "SELECT c.call_sid, c.outcome, c.seconds, c.answered_by, array_agg(e.event ORDER BY e.at, e.seq) AS events "
            "FROM calls c JOIN call_events e ON e.call_id = c.id WHERE c.call_sid = ANY ($1) GROUP BY c.id",
            [message.call_sid, abandoned.call_sid],
        )
        found = {row["call_sid"]: row for row in calls}
    assert found[message.call_sid]["outcome"] == "voicemail"
    assert found[message.call_sid]["answered_by"] == "voicemail"
    assert found[message.call_sid]["events"] == [
        "call.received",
        "handoff.requested",
        "handoff.succeeded",
        "handoff.failed",
        "call.fell_back",
        "call.answered",
        "voicemail.received",
        "call.ended",
    ]
    assert found[abandoned.call_sid]["outcome"] == "abandoned"
    assert found[abandoned.call_sid]["seconds"] == 33
    assert found[abandoned.call_sid]["events"][-1] == "call.ended"


def is_told_once(captured_events: CapturedEvents, call: PostedCall) -> bool:
    """The log tells of the call's end, as its timeline does."""
    return [line["call_sid"] for line in captured_events.named("call.ended")].count(call.call_sid) == 1


@pytest.mark.parametrize("elsewhere", ["there", "away, too"])
async def test_the_end_is_kept_of_a_call_that_died_with_its_process(
    world: World, proxy, database_dsn, tmp_path: Path, elsewhere
):
    """The process is gone when Twilio asks it what comes next, so that Twilio's fallback has the rest of the call.

    Nothing but the call's end reaches us after that, at a replica that knows nothing of the call.
    """
    client = await world.add_client(providers=["retell"], routing={"on_failure": "ring_through"})
    call = PostedCall(world, client)
    async with (
        proxied(database_dsn) as other_way,
        another_replica(world, other_way.dsn, tmp_path / "other") as other,
    ):
        async with another_replica(world, proxy.dsn, tmp_path / "dying") as dying:
            assert takers_of([await PostedCall(world, client).ring(replica=dying)]) == ["retell"]
            proxy.refuse()
            document = only_document([await call.ring(replica=dying)])
        assert (await call.go_on(document, replica=dying)).status is None
        if elsewhere == "away, too":
            other_way.refuse()
        assert (await call.post(STATUS, replica=other, **ENDED)).status == 200
        assert await world.db.fetchval("SELECT count(*) FROM calls WHERE call_sid = $1", call.call_sid) == 0
        other_way.go_on()
        async with another_replica(world, database_dsn, tmp_path / "dying"):
            ended = "SELECT outcome, seconds FROM calls WHERE call_sid = $1 AND ended_at IS NOT NULL"
            row = await wait_until(lambda: world.db.fetchrow(ended, call.call_sid))
            replayed = "SELECT 1 FROM call_events WHERE call_id = $1 AND event = 'handoff.succeeded'"
            call_id = call_id_of(client.account_sid, call.call_sid)
            await wait_until(lambda: world.db.fetchval(replayed, call_id))
    assert tuple(row) == ("abandoned", 33)
    # The end may be carried out while the rest is still being replayed.
    told = [row["event"] for row in await world.db.fetch("SELECT event FROM call_events WHERE call_id = $1", call_id)]
    assert sorted(told) == ["call.ended", "call.received", "handoff.requested", "handoff.succeeded"]


def recording_callback_of(document: str) -> str:
    record = ET.fromstring(document).find("Record")  # noqa: S314  (our own)
    assert record is not None
    return record.attrib["recordingStatusCallback"]


@pytest.mark.parametrize("own_account", [False, True])
async def test_what_changed_just_before_an_outage_counts_in_every_replica(
    world: World, proxy, database_dsn, tmp_path: Path, own_account
):
    client = await world.add_client(providers=["vapi"], own_account=own_account)
    async with (
        proxied(database_dsn) as other_way,
        another_replica(world, other_way.dsn, tmp_path / "other") as other,
    ):
        for replica in (0, other):
            assert takers_of([await PostedCall(world, client).ring(replica=replica)]) == ["vapi"]
        old, client.keys["vapi"] = client.keys["vapi"], "a-key-that-was-just-saved"
        world.sandbox.state.vapi.orgs.rotate(old, client.keys["vapi"])
        await world.save_key(client.agency_id, "vapi", client.keys["vapi"])
        for replica in (0, other):
            await wait_until(lambda replica=replica: key_version(world, replica, client) == 2)
        proxy.refuse()
        other_way.stall()
        for replica in (0, other):
            assert takers_of([await PostedCall(world, client).ring(replica=replica)]) == ["vapi"]
        assert world.asked_with(client, "vapi") == 2
        other_way.go_on()


def key_version(world: World, replica: int, client: Client) -> int:
    """Of what a replica remembers of that client's provider."""
    route = world.healths[replica]._memory.find_route(client.account_sid, client.number)
    return 0 if route is None else route.access("vapi").key_version


async def test_a_route_that_is_gone_is_not_remembered(world: World, proxy):
    client = await world.add_client(providers=["vapi"])
    await see(world, client)
    await world.db.execute("DELETE FROM numbers WHERE e164 = $1", client.number)
    await wait_until(lambda: key_version(world, 0, client) == 0)
    proxy.stall()
    replies = [await PostedCall(world, client).ring()]
    assert [reply.status for reply in replies] == [503]
