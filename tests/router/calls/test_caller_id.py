"""Which number the next phone shows, for each kind of caller and each spelling of a number."""

from __future__ import annotations

import re

import pytest

from adapters.sandbox.carrier import Quirks, Script, Timeline
from router.webhooks.callers import is_same_phone, phone_ending, read_caller
from tests.support.provider_reports import reporting
from tests.support.signed_requests import new_call_sid
from tests.support.world import CALLER, Client, World

pytestmark = pytest.mark.anyio

WITHHELD = (
    "anonymous",
    "Anonymous",
    "restricted",
    "unavailable",
    "unknown",
    "",
    "+266696687",
    "+7378742833",
    "+8656696",
)
NO_NUMBERS = (
    "sip:alice@example.com",
    "sip:+14155550123@example.com",
    "client:alice",
    "14155550123",
    "+1415",
    "+0441632960001",
    "+1 415 555 0123",
    "+1٤١٥٥٥٥٠١٢٣",
    "+999999999999999",
    "+" + "1" * 40,
    "Robert'); DROP TABLE calls;--",
)


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
    assert (await world.find_call(timeline))["from_number"] == spelled


@pytest.mark.parametrize("spelled", NO_NUMBERS)
async def test_for_what_is_no_phone_number_the_client_s_is_shown(world: World, spelled):
    client = await add_client(world)
    timeline = await call_both(world, client, spelled)
    assert shown(timeline) == [client.number, client.number]
    assert timeline.answered_by == "voicemail"


@pytest.mark.parametrize("provider", ["vapi", "retell", "bland"])
@pytest.mark.parametrize("from_", [None, "sip:alice@example.com"])
async def test_an_ai_takes_callers_without_a_number(world: World, provider, from_):
    client = await world.add_client(providers=[provider])
    call_sid = new_call_sid()
    meanwhile = reporting(world, client, call_sid)
    timeline = await world.call(client, from_=from_, call_sid=call_sid, meanwhile=meanwhile)
    assert (timeline.answered_by, timeline.provider) == ("ai", provider)


@pytest.mark.parametrize("number", [CALLER, "+442079460123", "+4930901820", "+61491570156"])
def test_real_numbers_may_be_shown(number):
    assert read_caller(number) == number


@pytest.mark.parametrize("text", [*WITHHELD, *NO_NUMBERS])
def test_what_is_no_number_may_not(text):
    assert read_caller(text) is None


@pytest.mark.parametrize(
    ("given", "phone"),
    [
        ("+442079460123", "+442079460123"),
        ("442079460123", "+442079460123"),
        ("00442079460123", "+442079460123"),
        ("02079460123", "+442079460123"),
        ("020 7946 0123", "+442079460123"),
        ("(415) 555-0123", "+14155550123"),
        ("14155550123", "+14155550123"),
        ("tel:+14155550123", "+14155550123"),
    ],
)
def test_a_phone_is_known_in_every_spelling(given, phone):
    assert is_same_phone(given, phone)


@pytest.mark.parametrize(
    ("given", "phone"),
    [
        ("", "+14155550123"),
        ("0123", "+14155550123"),
        ("5550123", "+14155550123"),
        ("+14155550124", "+14155550123"),
        ("+4155550123", "+14155550123"),
        ("anonymous", "+14155550123"),
        ("9999914155550123", "+14155550123"),
    ],
)
def test_another_phone_is_not_taken_for_it(given, phone):
    assert not is_same_phone(given, phone)


def test_too_few_digits_say_nothing():
    assert phone_ending("555-0123") is None
