"""Calls that the owner's own phone sends back to us, and calls that only look like it."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.sandbox.carrier import Quirks, Script
from tests.support.signed_requests import (
    STATUS,
    VOICE,
    call_form,
    new_call_sid,
    post_signed,
    read_document,
    verbs,
)
from tests.support.world import CALLER, OWNER, Client, World

pytestmark = pytest.mark.anyio

OTHER_CALLER = "+14155550177"


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.sandbox.state.requests.clear()
    return shared_world


async def ring(world: World, client: Client, **changes: str) -> dict[str, str]:
    """A first call that is ringing the owner's phone now. Returns its form."""
    form = call_form(client, **changes)
    assert verbs(await post_signed(world, VOICE, form, client.auth_token)) == ["Dial"]
    return form


async def place(world: World, client: Client, **changes: str) -> list[str]:
    """A further call, answered with these verbs."""
    return verbs(await post_signed(world, VOICE, call_form(client, **changes), client.auth_token))


async def loops(world: World, call_sid: str) -> list[Any]:
    rows = await world.db.fetch(
        "SELECT e.reason FROM call_events e JOIN calls c ON c.id = e.call_id "
        "WHERE c.call_sid = $1 AND e.event = 'call.loop'",
        call_sid,
    )
    return [row["reason"] for row in rows]


@pytest.mark.parametrize("caller_id", ["caller", "number"])
async def test_a_call_that_comes_back_is_rejected_and_the_caller_leaves_a_message(world: World, caller_id):
    client = await world.add_client(routing={"mode": "ring_through"}, caller_id=caller_id)
    timeline = await world.call(client, Script(owner="forwards-back"))
    assert timeline.forwarded is not None
    assert timeline.forwarded.answered_by == "rejected"
    assert timeline.forwarded.final_status == "busy"
    assert timeline.answered_by == "voicemail"
    assert (await world.find_call(timeline))["outcome"] == "voicemail"
    assert (await world.find_call(timeline.forwarded))["outcome"] == "rejected"
    assert await loops(world, timeline.forwarded.call_sid) == ["forwarded"]
    kept = await world.db.fetchval("SELECT count(*) FROM voicemails WHERE client_id = $1", client.client_id)
    assert kept == 1


@pytest.mark.parametrize("from_", [CALLER, None])
@pytest.mark.parametrize("caller_id", ["caller", "number"])
async def test_a_call_that_comes_back_without_saying_so_is_only_suspected(world: World, caller_id, from_):
    client = await world.add_client(routing={"mode": "ring_through"}, caller_id=caller_id)
    timeline = await world.call(client, Script(owner="forwards-back", forwarded_from=False), from_=from_)
    assert timeline.forwarded is not None
    assert timeline.forwarded.answered_by == "voicemail"
    assert timeline.forwarded.legs == []
    assert await loops(world, timeline.forwarded.call_sid) == ["suspected"]
    assert timeline.answered_by == "voicemail"
    assert await loops(world, timeline.call_sid) == []


@pytest.mark.parametrize(
    "spelled",
    [OWNER, OWNER[1:], f"0{OWNER[2:]}", "(500) 555-0123", f"sip:{OWNER}@carrier.example;user=phone"],
)
async def test_the_phone_is_known_however_the_carrier_spells_it(world: World, spelled):
    client = await world.add_client(routing={"mode": "ring_through"})
    await ring(world, client)
    assert await place(world, client, ForwardedFrom=spelled) == ["Reject"]


@pytest.mark.parametrize("spelled", ["+15005550199", "5005550199", "sip:+15005550199@pbx.example", "8 495 123 45 67"])
async def test_another_caller_whom_another_phone_forwards_is_no_loop(world: World, spelled):
    """Such as the business's old number, which forwards every call to us."""
    client = await world.add_client(routing={"mode": "ring_through"})
    await ring(world, client)
    assert await place(world, client, ForwardedFrom=spelled, From=OTHER_CALLER) == ["Dial"]


@pytest.mark.parametrize(
    "unclear",
    ["anonymous", "0123", "sip:pbx@example.com", "sip:200@10.0.0.1", "+15005550199", "5005550199", "+445005550123"],
)
async def test_a_forwarding_phone_that_is_not_known_leaves_the_suspicion(world: World, unclear):
    """The phone that rings may forward to another one, and that one to us."""
    client = await world.add_client(routing={"mode": "ring_through"})
    form = await ring(world, client)
    assert await place(world, client, ForwardedFrom=unclear) == ["Say", "Record", "Hangup"]
    assert await place(world, client, ForwardedFrom=unclear, From=form["From"][1:]) == ["Say", "Record", "Hangup"]


async def test_two_callers_at_once_are_no_loop(world: World):
    client = await world.add_client(routing={"mode": "ring_through"})
    await ring(world, client)
    assert await place(world, client, From=OTHER_CALLER) == ["Dial"]


@pytest.mark.parametrize("spelled", ["anonymous", "+266696687", "+1266696687", ""])
@pytest.mark.parametrize("forwarded", [{}, {"ForwardedFrom": "+15005550199"}, {"ForwardedFrom": "sip:pbx@example.com"}])
async def test_fifteen_withheld_callers_in_a_row_are_no_loop(world: World, spelled, forwarded):
    client = await world.add_client(routing={"mode": "ring_through"})
    for _ in range(15):
        assert await place(world, client, From=spelled, **forwarded) == ["Dial"]


async def test_one_caller_at_two_clients_is_no_loop(world: World):
    first = await world.add_client(routing={"mode": "ring_through"})
    second = await world.add_client(routing={"mode": "ring_through"})
    await ring(world, first)
    assert await place(world, second) == ["Dial"]
    assert await place(world, second, From=OTHER_CALLER, ForwardedFrom="+15005550100") == ["Dial"]


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(dial_action_after_hangup=False)])
async def test_a_caller_who_hung_up_and_calls_again_is_not_a_loop(world: World, quirks):
    client = await world.add_client(routing={"mode": "ring_through"})
    first = await world.call(client, Script(caller="hangs-up-while-ringing"), quirks=quirks)
    again = await world.call(client, Script(owner="accepts"))
    assert (first.answered_by, again.answered_by) == ("abandoned", "owner")
    assert await loops(world, again.call_sid) == []


async def test_a_caller_who_calls_again_after_the_owner_did_not_answer_is_not_a_loop(world: World):
    """The first call is on its way to the voicemail: the phone no longer rings."""
    client = await world.add_client(routing={"mode": "ring_through"})
    form = call_form(client)
    dial = read_document(await post_signed(world, VOICE, form, client.auth_token)).find("Dial")
    after = form | {"DialCallStatus": "no-answer", "CallStatus": "in-progress"}
    assert "Record" in verbs(await post_signed(world, dial.get("action"), after, client.auth_token))
    assert await place(world, client) == ["Dial"]


async def test_a_phone_that_can_no_longer_be_ringing_makes_no_loop(world: World):
    """Twilio may never tell us how a call ended."""
    client = await world.add_client(routing={"mode": "ring_through"})
    await ring(world, client)
    world.clock.advance(120)
    assert await place(world, client) == ["Dial"]


async def test_a_repeat_of_the_first_request_is_no_loop_of_itself(world: World):
    client = await world.add_client(routing={"mode": "ring_through"})
    form = await ring(world, client)
    assert verbs(await post_signed(world, VOICE, form, client.auth_token)) == ["Dial"]


async def test_a_rejected_call_ends_as_rejected_once(world: World):
    client = await world.add_client(routing={"mode": "ring_through"})
    await ring(world, client)
    form = call_form(client, ForwardedFrom=OWNER, CallSid=new_call_sid())
    for _ in range(2):
        assert verbs(await post_signed(world, VOICE, form, client.auth_token)) == ["Reject"]
    for _ in range(2):
        ended = form | {"CallStatus": "busy", "CallDuration": "0"}
        assert verbs(await post_signed(world, STATUS, ended, client.auth_token)) == []
    call = await world.db.fetchrow("SELECT * FROM calls WHERE call_sid = $1", form["CallSid"])
    assert (call["outcome"], call["answered_by"]) == ("rejected", None)
    assert call["ended_at"] is not None
