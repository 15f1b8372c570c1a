"""How a call's record ends: one outcome, one call.ended, whatever order Twilio's messages come in."""

from __future__ import annotations

import asyncio

import pytest

from adapters.sandbox.carrier import Quirks, Script
from tests.support.provider_reports import reporting
from tests.support.signed_requests import STATUS, VOICE, call_form, new_call_sid, post_signed, read_document, verbs
from tests.support.world import Client, World

pytestmark = pytest.mark.anyio

NO_ACTIONS = Quirks(dial_action_after_hangup=False, connect_action_after_hangup=False)


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.sandbox.state.requests.clear()
    return shared_world


async def ended_events(world: World, call_sid: str) -> list[str]:
    rows = await world.db.fetch(
        "SELECT e.reason FROM call_events e JOIN calls c ON c.id = e.call_id "
        "WHERE c.call_sid = $1 AND e.event = 'call.ended'",
        call_sid,
    )
    return [row["reason"] for row in rows]


async def stored(world: World, call_sid: str):
    return await world.db.fetchrow("SELECT * FROM calls WHERE call_sid = $1", call_sid)


async def post_status(world: World, client: Client, form: dict[str, str], status: str, **changes: str) -> None:
    ended = form | {"CallStatus": status} | changes
    assert verbs(await post_signed(world, STATUS, ended, client.auth_token)) == []


@pytest.mark.parametrize(
    ("script", "routing", "outcome"),
    [
        (Script(), {}, "ai"),
        (Script(caller="hangs-up-during-ai"), {}, "ai"),
        (Script(caller="hangs-up-while-ringing"), {}, "abandoned"),
        (Script(caller="hangs-up-while-ringing"), {"mode": "ring_through"}, "abandoned"),
        (Script(), {"mode": "ring_through"}, "owner"),
        (Script(), {"mode": "voicemail"}, "voicemail"),
        (Script(voicemail="silent"), {"mode": "voicemail"}, "abandoned"),
        (Script(caller="hangs-up-in-voicemail-greeting"), {"mode": "voicemail"}, "abandoned"),
    ],
)
@pytest.mark.parametrize("provider", ["vapi", "retell"])
async def test_every_call_ends_once_and_with_the_outcome_that_it_had(world: World, provider, script, routing, outcome):
    client = await world.add_client(providers=[provider], routing=routing)
    call_sid = new_call_sid()
    timeline = await world.call(client, script, call_sid=call_sid, meanwhile=reporting(world, client, call_sid))
    call = await world.find_ended_call(timeline)
    assert call["outcome"] == outcome
    assert call["ended_at"] is not None
    assert await ended_events(world, call_sid) == [outcome]


@pytest.mark.parametrize(
    ("script", "outcome"),
    [(Script(caller="hangs-up-during-ai"), "ai"), (Script(caller="hangs-up-while-ringing"), "abandoned")],
)
@pytest.mark.parametrize("provider", ["vapi", "retell", "bland"])
async def test_a_hang_up_that_twilio_asks_nothing_about_is_understood_from_the_call_s_end(
    world: World, provider, script, outcome
):
    client = await world.add_client(providers=[provider])
    timeline = await world.call(client, script, quirks=NO_ACTIONS)
    assert (await world.find_call(timeline))["outcome"] == outcome
    assert await ended_events(world, timeline.call_sid) == [outcome]


async def test_without_any_word_about_a_stream_its_length_decides(world: World):
    quirks = Quirks(stream_callbacks=False, connect_action_after_hangup=False)
    client = await world.add_client(providers=["vapi"])
    talked = await world.call(client, Script(caller="hangs-up-during-ai"), quirks=quirks)
    left = await world.call(client, Script(caller="hangs-up-while-ringing"), quirks=quirks)
    assert (await world.find_call(talked))["outcome"] == "ai"
    assert (await world.find_call(left))["outcome"] == "abandoned"


async def test_a_caller_who_hangs_up_while_the_owner_is_rung_was_not_answered_by_the_ai(world: World):
    """The AI had closed at once; Twilio tells us nothing but the end."""
    client = await world.add_client(providers=["vapi"], routing={"on_failure": "ring_through"})
    form = call_form(client)
    connect = read_document(await post_signed(world, VOICE, form, client.auth_token)).find("Connect")
    stream = connect.find("Stream").get("statusCallback")
    told = {"AccountSid": form["AccountSid"], "CallSid": form["CallSid"], "StreamEvent": "stream-started"}
    assert verbs(await post_signed(world, stream, told, client.auth_token)) == []
    still_there = form | {"CallStatus": "in-progress"}
    assert verbs(await post_signed(world, connect.get("action"), still_there, client.auth_token)) == ["Dial"]
    await post_status(world, client, form, "completed", CallDuration="11")
    assert (await stored(world, form["CallSid"]))["outcome"] == "abandoned"


@pytest.mark.parametrize("status", ["busy", "no-answer", "canceled", "failed", "completed"])
async def test_a_status_of_an_ended_call_closes_it_once(world: World, status):
    client = await world.add_client(routing={"mode": "voicemail"})
    form = call_form(client)
    await post_signed(world, VOICE, form, client.auth_token)
    await asyncio.gather(*(post_status(world, client, form, status, CallDuration="3") for _ in range(5)))
    call = await stored(world, form["CallSid"])
    assert (call["outcome"], call["seconds"]) == ("abandoned", 3)
    assert await ended_events(world, form["CallSid"]) == ["abandoned"]


@pytest.mark.parametrize("status", ["ringing", "in-progress", ""])
async def test_a_status_of_a_living_call_ends_nothing(world: World, status):
    client = await world.add_client(routing={"mode": "voicemail"})
    form = call_form(client)
    await post_signed(world, VOICE, form, client.auth_token)
    await post_status(world, client, form, status)
    assert (await stored(world, form["CallSid"]))["ended_at"] is None


@pytest.mark.parametrize("duration", ["", "x", "-3", "1.5", "٣", "99999999999999999999"])
async def test_a_length_that_makes_no_sense_does_not_keep_the_call_open(world: World, duration):
    client = await world.add_client(routing={"mode": "voicemail"})
    form = call_form(client)
    await post_signed(world, VOICE, form, client.auth_token)
    await post_status(world, client, form, "completed", CallDuration=duration)
    call = await stored(world, form["CallSid"])
    assert call["ended_at"] is not None
    assert call["seconds"] is None


async def test_the_end_of_a_call_that_we_never_heard_of_is_nothing(world: World):
    client = await world.add_client()
    form = call_form(client)
    await post_status(world, client, form, "completed", CallDuration="3")
    assert await stored(world, form["CallSid"]) is None


async def test_a_late_answer_to_a_step_does_not_reopen_a_call_that_is_over(world: World):
    client = await world.add_client(providers=["retell", "bland"], routing={"on_failure": "ring_through"})
    form = call_form(client)
    dial = read_document(await post_signed(world, VOICE, form, client.auth_token)).find("Dial")
    await post_status(world, client, form, "no-answer", CallDuration="0")
    late = form | {"CallStatus": "no-answer", "DialCallStatus": "no-answer"}
    assert verbs(await post_signed(world, dial.get("action"), late, client.auth_token)) == []
    call = await stored(world, form["CallSid"])
    assert call["outcome"] == "abandoned"
    assert await ended_events(world, form["CallSid"]) == ["abandoned"]
    assert world.asked("bland") == 0


async def test_the_call_s_length_is_twilio_s(world: World):
    client = await world.add_client(routing={"mode": "ring_through"})
    timeline = await world.call(client, Script(owner_talks=61))
    assert (await world.find_call(timeline))["seconds"] == 61
