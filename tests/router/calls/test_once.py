"""Whatever Twilio repeats happens once: (CallSid, step) is answered once, and no provider is asked twice.

The same on several replicas is in test_replicas.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.sandbox.carrier import Quirks, Script
from tests.support.posting import PostedCall, at_once, only_document, taker_of, takers_of
from tests.support.world import PROVIDERS, Client, World, open_world

pytestmark = pytest.mark.anyio

MANY = 20
RINGS = {"mode": "ai", "on_failure": "ring_through"}


@pytest.fixture
def world(clean_world: World) -> World:
    return clean_world


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_inbound_call_that_comes_in_twenty_times_at_once_is_handed_off_once(world: World, provider):
    client = await world.add_client(providers=[provider])
    call = PostedCall(world, client)
    document = only_document(await at_once(MANY, lambda _: call.ring()))
    assert taker_of(document) == provider
    assert world.asked_with(client, provider) == 1
    assert await count_calls(world, call) == 1


async def test_calls_of_two_callers_are_two_calls(world: World):
    client = await world.add_client(providers=["vapi"])
    replies = [await PostedCall(world, client).ring() for _ in range(2)]
    assert replies[0].body != replies[1].body
    assert world.asked_with(client, "vapi") == 2


async def test_the_same_call_sid_on_another_account_is_another_call(world: World):
    ours, theirs = [await world.add_client(providers=["vapi"], own_account=True) for _ in range(2)]
    call = PostedCall(world, ours)
    twin = PostedCall(world, theirs, call_sid=call.call_sid)
    replies = [await call.ring(), await twin.ring()]
    assert replies[0].body != replies[1].body
    assert [world.asked_with(client, "vapi") for client in (ours, theirs)] == [1, 1]


async def test_an_answer_is_good_for_sixty_seconds(world: World):
    client = await world.add_client(providers=["vapi", "retell"])
    call = PostedCall(world, client)
    first = await call.ring()
    world.clock.advance(58)
    assert only_document([first, await call.ring()])
    assert asked(world, client) == [1, 0, 0, 0]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("ring_budget", "next_rung"), [(300, "the next provider"), (45, "voicemail")])
async def test_after_sixty_seconds_a_repeat_gets_the_next_rung_that_there_is_time_for(
    database_dsn, tmp_path, provider, ring_budget, next_rung
):
    other = PROVIDERS[PROVIDERS.index(provider) - 1]
    async with open_world(database_dsn, tmp_path, ring_budget=ring_budget) as world:
        client = await world.add_client(providers=[provider, other])
        call = PostedCall(world, client)
        first = await call.ring()
        world.clock.advance(61)
        late = await call.ring()
        assert takers_of([first, late]) == [provider, "voicemail" if next_rung == "voicemail" else other]
        assert world.asked_with(client, provider) == 1


async def test_a_repeat_after_a_later_step_gets_the_rung_after_that(world: World):
    client = await world.add_client(providers=PROVIDERS[:3])
    call = PostedCall(world, client)
    first = only_document([await call.ring()])
    second = only_document([await call.go_on(first)])
    again = only_document([await call.ring()])
    assert [taker_of(document) for document in (first, second, again)] == ["vapi", "retell", "bland"]
    assert asked(world, client) == [1, 1, 1, 0]


async def test_at_the_ladders_end_every_repeat_gets_the_voicemail(world: World):
    client = await world.add_client(providers=["vapi"])
    call = PostedCall(world, client)
    first = only_document([await call.ring()])
    takers = [taker_of(only_document([await call.go_on(first)]))]
    for _ in range(3):
        world.clock.advance(61)
        takers += [taker_of(only_document([await call.ring()])), taker_of(only_document([await call.go_on(first)]))]
    assert takers == ["voicemail"] * 7
    assert asked(world, client) == [1, 0, 0, 0]


@pytest.mark.parametrize("seconds_ago", [0, 30])
async def test_a_step_whose_process_died_asks_no_provider_again(database_dsn, tmp_path, seconds_ago):
    async with open_world(database_dsn, tmp_path, answer_deadline=2) as world:
        client = await world.add_client(providers=PROVIDERS, routing=RINGS)
        call = PostedCall(world, client)
        await leave_unanswered(world, call, "inbound", seconds_ago)
        replies = await at_once(3, lambda _: call.ring())
        assert takers_of(replies) == ["owner"] * 3
        assert asked(world, client) == [0, 0, 0, 0]


async def test_a_legs_end_whose_process_died_asks_no_provider_again(world: World):
    client = await world.add_client(providers=PROVIDERS, routing=RINGS)
    call = PostedCall(world, client)
    first = only_document([await call.ring()])
    await leave_unanswered(world, call, "ai-1", seconds_ago=30)
    assert taker_of(only_document([await call.go_on(first)])) == "owner"
    assert asked(world, client) == [1, 0, 0, 0]


async def test_the_request_that_took_over_from_a_dead_process_goes_on_from_there(world: World):
    client = await world.add_client(providers=PROVIDERS, routing=RINGS)
    call = PostedCall(world, client)
    await leave_unanswered(world, call, "inbound", seconds_ago=30)
    owner = only_document([await call.ring()])
    assert taker_of(only_document([await call.go_on(owner, DialCallStatus="no-answer")])) == "voicemail"
    assert asked(world, client) == [0, 0, 0, 0]


async def test_a_request_that_waits_past_the_deadline_gets_the_first_human_rung(database_dsn, tmp_path):
    async with open_world(database_dsn, tmp_path, answer_deadline=3) as world:
        client = await world.add_client(providers=["vapi", "retell"], routing=RINGS)
        for provider in ("vapi", "retell"):
            world.sandbox.state.faults.set(provider, "hang")
        call = PostedCall(world, client)
        assert takers_of(await at_once(5, lambda _: call.ring())) == ["owner"] * 5
        assert world.asked_with(client, "vapi") == 1
        assert world.asked_with(client, "retell") <= 1


@pytest.mark.parametrize("together", [False, True], ids=["one after the other", "at once"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_carrier_that_sends_everything_three_times_gets_one_call(world: World, provider, together):
    other = PROVIDERS[PROVIDERS.index(provider) - 1]
    client = await world.add_client(providers=[provider, other])
    world.sandbox.state.faults.set(provider, "503")
    quirks = Quirks(copies=3, copies_at_once=together, recording_callback_copies=2)
    timeline = await world.call(client, Script(ai="fails"), quirks=quirks)
    assert (timeline.answered_by, timeline.failures) == ("voicemail", [])
    assert [world.asked_with(client, name) for name in (provider, other)] == [1, 1]
    messages = "SELECT count(*) FROM voicemails WHERE agency_id = $1"
    assert await world.db.fetchval(messages, client.agency_id) == 1
    events = [(event, who) for event, who, _ in await world.events(timeline)]
    for once in ("call.received", "voicemail.received", "call.ended"):
        assert [event for event, _ in events].count(once) == 1
    assert events.count(("handoff.requested", provider)) == 1


async def leave_unanswered(world: World, call: PostedCall, step: str, seconds_ago: float) -> None:
    """What a process leaves behind that claimed a step and died before it answered."""
    client, then = call.client, world.clock() - timedelta(seconds=seconds_ago)
    await world.db.execute(
        "INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at) "
        "VALUES ('call_of_the_dead_' || $2, $1, $2, $3, $4, '+14155550123', $5, $6) ON CONFLICT DO NOTHING",
        client.account_sid,
        call.call_sid,
        client.agency_id,
        client.client_id,
        client.number,
        then,
    )
    await world.db.execute(
        "INSERT INTO call_steps (account_sid, call_sid, step, call_id, claimed_at) "
        "SELECT account_sid, call_sid, $3, id, $4 FROM calls WHERE account_sid = $1 AND call_sid = $2",
        client.account_sid,
        call.call_sid,
        step,
        then,
    )


async def count_calls(world: World, call: PostedCall) -> int:
    return await world.db.fetchval("SELECT count(*) FROM calls WHERE call_sid = $1", call.call_sid)


def asked(world: World, client: Client) -> list[int]:
    """How often each provider was asked, in their order."""
    return [world.asked(provider) if provider in client.keys else 0 for provider in PROVIDERS]
