"""Which number the next phone shows, for each kind of caller and each spelling of a number."""

from __future__ import annotations

import json
import re

import pytest

from adapters.sandbox.carrier import Quirks, Script, Timeline
from tests.support.provider_reports import reporting
from tests.support.signed_requests import new_call_sid
from tests.support.world import ADMIN_TOKEN, CALLER, Client, World

pytestmark = pytest.mark.anyio

WITHHELD = ("anonymous", "", "+266696687", "+1266696687", "Private Number")
NOT_SHOWN = ("sip:+14155550123@example.com", "+1415", "+15550100", "+442071234", "+999999999999999", "+" + "1" * 40)
SHOWN = (CALLER, "+5215512345678", "+5491123456789", "+390612345678", "+39612345678", "+15550001111")


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.sandbox.state.requests.clear()
    return shared_world


def shown(timeline: Timeline) -> list[str]:
    return [found for document in timeline.documents for found in re.findall(r'callerId="([^"]*)"', document)]


async def call_both(world: World, client: Client, from_: str | None, **quirks: str) -> Timeline:
    """A call that is handed to a SIP address, and then rings the owner."""
    script = Script(ai="busy", owner="no-answer")
    return await world.call(client, script, from_=from_, quirks=Quirks(**quirks))


async def add_client(world: World, **settings: str) -> Client:
    return await world.add_client(providers=["retell"], routing={"on_failure": "ring_through"}, **settings)


async def test_the_caller_s_own_number_is_shown(world: World):
    client = await add_client(world)
    timeline = await call_both(world, client, CALLER)
    assert shown(timeline) == [CALLER, CALLER]


async def test_a_client_can_choose_to_always_see_its_own_number(world: World):
    client = await add_client(world, caller_id="number")
    timeline = await call_both(world, client, CALLER)
    assert shown(timeline) == [client.number, client.number]


@pytest.mark.parametrize("spelled", WITHHELD)
async def test_for_a_withheld_number_the_client_s_is_shown(world: World, spelled):
    client = await add_client(world)
    timeline = await call_both(world, client, None, withheld=spelled)
    assert shown(timeline) == [client.number, client.number]
    assert timeline.answered_by == "voicemail"
    assert (await world.find_call(timeline))["from_number"] == "withheld"


@pytest.mark.parametrize("spelled", SHOWN)
async def test_numbers_that_can_exist_are_shown_whether_listed_or_not(world: World, spelled):
    client = await add_client(world)
    timeline = await call_both(world, client, spelled)
    assert shown(timeline) == [spelled, spelled]


@pytest.mark.parametrize("spelled", NOT_SHOWN)
async def test_for_what_cannot_be_a_phone_number_the_client_s_is_shown(world: World, spelled):
    client = await add_client(world)
    timeline = await call_both(world, client, spelled)
    assert shown(timeline) == [client.number, client.number]
    assert timeline.answered_by == "voicemail"


@pytest.mark.parametrize("provider", ["vapi", "retell", "bland"])
@pytest.mark.parametrize(
    ("from_", "told"),
    [
        ("anonymous", "withheld"),
        ("+1266696687", "withheld"),
        ("sip:alice@example.com", ""),
        ("+5215512345678", "+5215512345678"),
    ],
)
async def test_an_ai_takes_callers_without_a_number_and_is_told_so(world: World, provider, from_, told):
    client = await world.add_client(providers=[provider])
    call_sid = new_call_sid()
    meanwhile = reporting(world, client, call_sid)
    timeline = await world.call(client, from_=from_, call_sid=call_sid, meanwhile=meanwhile)
    assert (timeline.answered_by, timeline.provider) == ("ai", provider)
    asked = world.sandbox.state.requests_to(provider, operation="handoff")[-1]
    assert f'"caller_number": "{told}"' in json.dumps(asked.body)
    path = f"{world.urls[0]}/v1/agencies/{client.agency_id}/calls"
    (call,) = (await world.http.get(path, headers={"authorization": f"Bearer {ADMIN_TOKEN}"})).json()["items"]
    assert call["from"] == (told or from_)
