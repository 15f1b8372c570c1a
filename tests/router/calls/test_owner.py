"""The owner's phone: rung, screened, believed only by our own flag, and never bridged by mistake."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import pytest

from adapters.sandbox.carrier import Quirks, Script, Timeline
from tests.support.provider_reports import reporting
from tests.support.signed_requests import VOICE, call_form, new_call_sid, post_signed, read_document, verbs
from tests.support.world import CALLER, OWNER, PROVIDERS, Client, World

pytestmark = pytest.mark.anyio

OTHER_CALLER = "+14155550177"
RING_THROUGH = {"mode": "ring_through"}
NOT_TAKEN = {
    "ignores": "not_accepted",
    "declines": "declined",
    "busy": "busy",
    "no-answer": "no_answer",
    "fails": "unreachable",
    "mailbox": "not_accepted",
}


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.sandbox.state.requests.clear()
    return shared_world


async def outcome_of(world: World, timeline: Timeline) -> tuple[str, str]:
    call = await world.find_call(timeline)
    return call["outcome"], call["answered_by"]


async def ring_owner(world: World, client: Client, caller: str = CALLER) -> dict[str, str]:
    """An inbound call that rings the owner: the addresses of its action, screen and accept callbacks, and its SID."""
    form = call_form(client, From=caller)
    dial = read_document(await post_signed(world, VOICE, form, client.auth_token)).find("Dial")
    number = dial.find("Number")
    screen = number.get("url")
    leg = leg_form(client, form["CallSid"])
    gather = read_document(await post_signed(world, screen, leg, client.auth_token), screening=True).find("Gather")
    return {
        "call_sid": form["CallSid"],
        "action": dial.get("action"),
        "screen": screen,
        "accept": gather.get("action"),
    }


def leg_form(client: Client, parent: str, **changes: str) -> dict[str, str]:
    """A request about the owner's leg."""
    return {
        "AccountSid": client.account_sid,
        "CallSid": new_call_sid(),
        "ParentCallSid": parent,
        "CallStatus": "in-progress",
        "Direction": "outbound-dial",
        "From": client.number,
        "To": OWNER,
    } | changes


def action_form(client: Client, call_sid: str, **changes: str) -> dict[str, str]:
    """A request about the caller's line after the owner's leg."""
    return call_form(client, CallSid=call_sid, CallStatus="in-progress", DialCallStatus="completed") | changes


async def test_an_owner_who_presses_the_key_gets_the_call(world: World):
    client = await world.add_client(routing=RING_THROUGH)
    timeline = await world.call(client, Script(owner="accepts"))
    assert timeline.answered_by == "owner"
    assert await outcome_of(world, timeline) == ("owner", "owner")
    events = [event for event, _, _ in await world.events(timeline)]
    assert "owner.accepted" in events
    assert any("Acme Plumbing" in said for said in timeline.said)
    assert timeline.recordings == []


@pytest.mark.parametrize(("owner", "reason"), NOT_TAKEN.items())
async def test_an_owner_who_does_not_take_the_call_is_followed_by_a_message(world: World, owner, reason):
    client = await world.add_client(routing=RING_THROUGH)
    timeline = await world.call(client, Script(owner=owner))
    assert timeline.answered_by == "voicemail"
    assert await outcome_of(world, timeline) == ("voicemail", "voicemail")
    events = [(event, why) for event, _, why in await world.events(timeline)]
    assert [event for event in events if event[0].startswith("owner.")] == [
        ("owner.ringing", None),
        ("owner.missed", reason),
    ]


@pytest.mark.parametrize("accept_key", ["2", "*", "#", "0"])
async def test_only_the_one_key_accepts(world: World, accept_key):
    client = await world.add_client(routing=RING_THROUGH)
    timeline = await world.call(client, Script(owner="accepts", accept_key=accept_key))
    assert timeline.answered_by == "voicemail"


async def test_without_screening_an_answered_phone_gets_the_call(world: World):
    client = await world.add_client(routing=RING_THROUGH | {"screen": False})
    timeline = await world.call(client, Script(owner="accepts"))
    assert timeline.answered_by == "owner"
    assert await outcome_of(world, timeline) == ("owner", "owner")
    assert "url=" not in timeline.documents[0]


@pytest.mark.parametrize("bridged", [True, False])
@pytest.mark.parametrize("owner", ["busy", "no-answer", "fails"])
async def test_without_screening_an_unanswered_phone_is_followed_by_a_message(world: World, owner, bridged):
    client = await world.add_client(routing=RING_THROUGH | {"screen": False})
    timeline = await world.call(client, Script(owner=owner), quirks=Quirks(dial_bridged=bridged))
    assert timeline.answered_by == "voicemail"


async def test_the_phone_rings_as_long_as_the_client_wishes(world: World):
    client = await world.add_client(routing=RING_THROUGH | {"ring_seconds": 21})
    timeline = await world.call(client)
    assert 'timeout="21"' in timeline.documents[0]


async def test_the_owner_is_asked_in_the_client_s_language(world: World):
    client = await world.add_client(routing=RING_THROUGH, assistant={"prompt": "Hallo", "languages": ["de-AT"]})
    timeline = await world.call(client)
    assert "Ein Anruf für Acme Plumbing. Drücken Sie die 1, um ihn anzunehmen." in timeline.said


async def test_owner_first_goes_on_to_the_ai_and_then_to_a_message(world: World):
    client = await world.add_client(routing={"mode": "owner_first"})
    timeline = await world.call(client, Script(owner="no-answer", ai="fails"))
    assert [leg.who for leg in timeline.legs] == ["owner", "ai"]
    assert timeline.answered_by == "voicemail"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_owner_first_gives_the_ai_what_the_owner_did_not_take(world: World, provider):
    client = await world.add_client(providers=[provider], routing={"mode": "owner_first"})
    call_sid = new_call_sid()
    meanwhile = reporting(world, client, call_sid)
    timeline = await world.call(client, Script(owner="mailbox"), call_sid=call_sid, meanwhile=meanwhile)
    assert (timeline.answered_by, timeline.provider) == ("ai", provider)
    assert await outcome_of(world, timeline) == ("ai", "ai")


async def test_owner_first_asks_no_provider_while_the_owner_may_take_the_call(world: World):
    client = await world.add_client(providers=PROVIDERS, routing={"mode": "owner_first"})
    timeline = await world.call(client, Script(owner="accepts"))
    assert timeline.answered_by == "owner"
    assert [world.asked(provider) for provider in PROVIDERS] == [0] * len(PROVIDERS)


@pytest.mark.parametrize("caller", ["hangs-up-while-ringing"])
async def test_a_caller_who_hangs_up_while_the_owner_s_phone_rings_is_left_alone(world: World, caller):
    client = await world.add_client(routing={"mode": "owner_first"})
    timeline = await world.call(client, Script(caller=caller))
    assert timeline.answered_by == "abandoned"
    assert await outcome_of(world, timeline) == ("abandoned", None)
    assert world.asked("vapi") == 0


async def test_a_client_without_a_phone_is_not_rung(world: World):
    client = await world.add_client(routing=RING_THROUGH, personal_phone=None)
    timeline = await world.call(client)
    assert timeline.legs == []
    assert timeline.answered_by == "voicemail"


async def test_accepting_is_known_everywhere_before_the_caller_is_put_through(world: World):
    client = await world.add_client(routing=RING_THROUGH)
    rung = await ring_owner(world, client)
    form = leg_form(client, rung["call_sid"], Digits="1")
    assert verbs(await post_signed(world, rung["accept"], form, client.auth_token), screening=True) == []
    accepted = await world.db.fetchval(
        "SELECT count(*) FROM call_events e JOIN calls c ON c.id = e.call_id "
        "WHERE c.call_sid = $1 AND e.event = 'owner.accepted'",
        rung["call_sid"],
    )
    assert accepted == 1


@pytest.mark.parametrize("path", ["screen", "accept"])
@pytest.mark.parametrize("damage", ["missing", "cut", "garbage", "of another call", "of another step"])
async def test_an_error_on_the_owner_s_leg_hangs_that_leg_up(world: World, path, damage):
    """An empty document would put the caller through to whatever answered."""
    client = await world.add_client(routing=RING_THROUGH)
    rung, other = await ring_owner(world, client), await ring_owner(world, client, OTHER_CALLER)
    address = damage_state(rung[path], damage, other[path])
    form = leg_form(client, rung["call_sid"], Digits="1")
    assert verbs(await post_signed(world, address, form, client.auth_token), screening=True) == ["Hangup"]
    # The caller then gets what follows an owner who did not take the call.
    after = await post_signed(world, rung["action"], action_form(client, rung["call_sid"]), client.auth_token)
    assert verbs(after)[-2:] == ["Record", "Hangup"]


def damage_state(address: str, damage: str, other: str) -> str:
    parts = urlsplit(address)
    path, state = parts.path, parse_qs(parts.query)["state"][0]
    if damage == "missing":
        return path
    if damage == "cut":
        return f"{path}?state={state[:-20]}"
    if damage == "garbage":
        return f"{path}?state=%00%FF%F0%9F%98%80.{'x' * 200}"
    if damage == "of another call":
        return f"{path}?{urlsplit(other).query}"
    head, _, _ = path.rpartition("-")
    return f"{head}-7?state={state}"


@pytest.mark.parametrize("digits", ["", "2", "11", "1#", "one", "１"])
async def test_any_other_key_hangs_up_the_owners_leg(world: World, digits):
    client = await world.add_client(routing=RING_THROUGH)
    rung = await ring_owner(world, client)
    form = leg_form(client, rung["call_sid"], Digits=digits)
    assert verbs(await post_signed(world, rung["accept"], form, client.auth_token), screening=True) == ["Hangup"]


@pytest.mark.parametrize("status", ["completed", "answered", "no-answer", "busy"])
async def test_a_completed_leg_that_was_not_accepted_is_not_a_conversation(world: World, status):
    client = await world.add_client(routing=RING_THROUGH)
    rung = await ring_owner(world, client)
    form = action_form(client, rung["call_sid"], DialCallStatus=status, DialBridged="true", DialCallDuration="60")
    assert verbs(await post_signed(world, rung["action"], form, client.auth_token))[-2:] == ["Record", "Hangup"]


@pytest.mark.parametrize(
    ("said", "talked"),
    [
        ({"DialBridged": "true", "DialCallStatus": "completed"}, True),
        ({"DialBridged": "true", "DialCallStatus": "no-answer"}, True),
        ({"DialCallStatus": "completed"}, True),
        ({"DialBridged": "false", "DialCallStatus": "completed"}, False),
    ],
)
async def test_an_accepted_leg_counts_unless_it_was_not_bridged(world: World, said, talked):
    """The owner may have hung up between the key and the bridge."""
    client = await world.add_client(routing=RING_THROUGH)
    rung = await ring_owner(world, client)
    form = leg_form(client, rung["call_sid"], Digits="1")
    await post_signed(world, rung["accept"], form, client.auth_token)
    after = await post_signed(world, rung["action"], action_form(client, rung["call_sid"], **said), client.auth_token)
    assert verbs(after) == (["Hangup"] if talked else ["Say", "Record", "Hangup"])


async def test_the_owner_s_leg_of_an_earlier_try_cannot_accept_for_the_next(world: World):
    """Each leg has its own flag: the state of a document belongs to its step."""
    client = await world.add_client(routing=RING_THROUGH)
    first, second = await ring_owner(world, client), await ring_owner(world, client, OTHER_CALLER)
    form = leg_form(client, first["call_sid"], Digits="1")
    await post_signed(world, first["accept"], form, client.auth_token)
    after = await post_signed(
        world, second["action"], action_form(client, second["call_sid"], DialBridged="true"), client.auth_token
    )
    assert verbs(after) == ["Say", "Record", "Hangup"]


async def test_the_screening_says_the_client_s_name_as_text(world: World):
    client = await world.add_client(routing=RING_THROUGH)
    await world.db.execute("UPDATE clients SET name = $2 WHERE id = $1", client.client_id, "Smith & <Sons> \x07😀")
    timeline = await world.call(client)
    assert timeline.answered_by == "owner"
    assert any("Smith & <Sons>" in said for said in timeline.said)
    assert all(ET.fromstring(document).tag == "Response" for document in timeline.documents)  # noqa: S314 - ours
