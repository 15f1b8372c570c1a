"""What a fallback address holds: the client's routing as calls follow it, within the characters that Twilio takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args
from urllib.parse import parse_qs, urlsplit
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import Keyring, new_key_entry
from router.calls.fallback import LONGEST_ADDRESS, Fallback, as_carried, fallback_address, open_fallback
from router.numbers.configuration import make_fallback
from router.routing.ladder import OWNER as OWNER_RUNG
from router.routing.ladder import build_ladder
from router.routing.route import Hours, Mode, OnFailure, OpenSpan, Route, Routing
from router.store.tenants.clients import Client, read_routing

OWNER = "+14155550123"
NUMBER = "+15005550101"
BASE = "https://calls.example.com"
LONGEST_BASE = f"{BASE}/{'a' * (1000 - len(BASE) - 1)}"
MONDAY = datetime(2026, 7, 6, tzinfo=UTC)
KEYRING = Keyring.parse(new_key_entry().replace(":", f"{'k' * 20}:", 1), derives=False)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

minutes = st.integers(0, 24 * 60 - 1)
days = st.lists(st.sampled_from(DAYS), min_size=1, unique=True)
modes = st.sampled_from(get_args(Mode))


def clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


@st.composite
def settings(draw: st.DrawFn) -> dict[str, object]:
    """Routing settings as the API keeps them."""
    spans = st.tuples(days, minutes, minutes).filter(lambda span: span[1] != span[2])
    hours = draw(st.none() | st.tuples(st.lists(spans, max_size=4), modes))
    return {
        "mode": draw(modes),
        "on_failure": draw(st.sampled_from(get_args(OnFailure))),
        "hours": hours
        and {
            "timezone": draw(st.sampled_from(["Europe/London", "America/New_York", "Asia/Kathmandu", "UTC"])),
            "open": [{"days": on, "from": clock(start), "to": clock(end)} for on, start, end in hours[0]],
            "closed_mode": hours[1],
        },
    }


def client_with(routing: dict[str, object]) -> Client:
    return Client("client_1", "agency_1", "Acme", OWNER, None, None, "caller", routing, None, MONDAY)


@given(settings(), st.integers(0, 366 * 24 * 60))
def test_the_phone_rings_there_when_it_is_a_rung_of_the_ladder(routing: dict[str, object], minute: int) -> None:
    now = MONDAY + timedelta(minutes=minute)
    route = Route("agency_1", "client_1", "Acme", "AC1", NUMBER, personal_phone=OWNER, routing=read_routing(routing))
    is_rung = OWNER_RUNG in build_ladder(route, {}, now)
    address = fallback_address(KEYRING, BASE, make_fallback(client_with(routing), NUMBER))
    there = open_fallback(KEYRING, parse_qs(urlsplit(address).query)["t"][0])
    assert there.phone_at(now) == (OWNER if is_rung else None)


FULL = Fallback(
    agency_id=f"agency_{'a' * 24}",
    client_id=f"client_{'c' * 24}",
    client_name="Acme",
    number="+123456789012345",
    phone="+123456789012345",
    ring_seconds=60,
    screen=False,
    caller_id="caller",
    language="zh-Hant-TW",
    greeting=None,
    voicemail_seconds=600,
)
WEEK = Routing(
    mode="ring_through",
    hours=Hours(
        max(available_timezones(), key=len),
        tuple(OpenSpan((0, 1, 2, 3, 4, 5, 6), 1300 + each, 1350 + each) for each in range(50)),
    ),
)


def greeting(alphabet: str, length: int = 1000) -> str:
    return (alphabet * length)[:length]


ALPHABETS = ["a", "é", "あ", "🙂", '"', "\\", "Бонжур, ", "👩\u200d👩\u200d👧"]


@pytest.mark.parametrize("name", ALPHABETS)
@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("base", [BASE, LONGEST_BASE])
def test_every_address_has_4000_characters_at_most(base: str, alphabet: str, name: str) -> None:
    """With fifty spans of opening hours, the longest name, and any alphabet."""
    times = make_fallback(replace(client_with({}), routing=stored(WEEK)), NUMBER).ring_times
    assert times is not None
    fallback = replace(FULL, client_name=greeting(name, 100), greeting=greeting(alphabet), ring_times=times)
    address = fallback_address(KEYRING, base, fallback)
    assert len(address.replace("/voice?", "/recorded?")) <= LONGEST_ADDRESS
    there = open_fallback(KEYRING, parse_qs(urlsplit(address).query)["t"][0])
    assert there == as_carried(KEYRING, base, fallback)
    assert replace(there, greeting=fallback.greeting) == fallback


def stored(routing: Routing) -> dict[str, object]:
    """As the API keeps it."""
    assert routing.hours is not None
    spans = [
        {"days": [DAYS[day] for day in span.days], "from": clock(span.start), "to": clock(span.end)}
        for span in routing.hours.open
    ]
    hours = {"timezone": routing.hours.timezone, "open": spans, "closed_mode": routing.hours.closed_mode}
    return {"mode": routing.mode, "hours": hours}


@pytest.mark.parametrize(
    ("alphabet", "length", "kept"),
    [("a", 1000, True), ("é", 1000, True), ("あ", 700, True), ("あ", 1000, False), ("🙂", 1000, False)],
)
def test_a_greeting_is_left_out_only_if_it_does_not_fit(alphabet: str, length: int, kept: bool) -> None:
    said = greeting(alphabet, length)
    assert as_carried(KEYRING, BASE, replace(FULL, greeting=said)).greeting == (said if kept else None)
