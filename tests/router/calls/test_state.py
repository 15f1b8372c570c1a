"""The state that callbacks carry: it comes back as it was, to this call alone, and fits an address."""

from __future__ import annotations

import random
import string
import zlib
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adapters.base import Target
from crypto import Keyring, Secret, new_key_entry
from router.calls.state import (
    Answer,
    CallState,
    StateError,
    call_id_of,
    open_answer,
    open_state,
    seal_answer,
    seal_state,
)
from router.calls.steps import INBOUND, Step
from router.routing.route import Access, Hours, Mode, OpenSpan, Route, Routing, Rung
from router.store.sealed import key_context, registration_address_context

RING = Keyring.parse(new_key_entry())
CALL = call_id_of("AC1", "CA1")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
maybe = st.none() | texts
rungs = st.builds(Rung, st.sampled_from(["ai", "owner", "voicemail"]), maybe)
routes = st.builds(
    Route,
    *[texts] * 5,
    caller_id=st.sampled_from(["caller", "number"]),
    personal_phone=maybe,
    language=texts,
    max_seconds=st.none() | st.integers(1, 7200),
    client_provider=maybe,
    active_provider=maybe,
    former_provider=maybe,
    fallback_providers=st.none() | st.lists(texts, max_size=3).map(tuple),
    routing=st.builds(
        Routing,
        mode=st.sampled_from(get_args(Mode)),
        on_failure=st.sampled_from(["ring_through", "voicemail"]),
        ring_seconds=st.integers(5, 60),
        screen=st.booleans(),
        voicemail_greeting=maybe,
        voicemail_seconds=st.integers(10, 600),
    ),
)
seconds = st.floats(0, 4e9)
steps = st.builds(Step, st.sampled_from(["ai", "owner", "voicemail"]), st.integers(1, 1000))
states = st.builds(
    CallState,
    call_id=st.just(CALL),
    account_sid=texts,
    call_sid=texts,
    from_number=texts,
    caller=maybe,
    route=routes,
    rungs=st.lists(rungs, max_size=5).map(tuple),
    started_at=seconds,
    step=steps,
    rung=st.none() | rungs,
    media=st.sampled_from([None, "stream", "dial"]),
    served_at=seconds,
)


@given(states)
def test_a_state_comes_back_as_it_was(state: CallState):
    assert open_state(RING, seal_state(RING, state), CALL) == state


@given(states, st.text(max_size=200))
def test_an_answer_comes_back_as_it_was(state: CallState, document: str):
    assume(document.isprintable())
    sealed_state = seal_state(RING, state)
    with_state = Answer(f"{document} ?state={sealed_state} {document} {sealed_state}", state, sealed_state)
    for answer in (with_state, Answer(document)):
        sealed = seal_answer(RING, answer, "AC1", "CA1", INBOUND)
        assert open_answer(RING, sealed, "AC1", "CA1", INBOUND) == answer


def make_state(**changes: Any) -> CallState:
    route = Route("agency_1", "client_1", "Acme", "AC1", "+15005550001")
    return CallState(CALL, "AC1", "CA1", "+14155550123", None, route, (Rung("voicemail"),), 1.0, **changes)


def fails_to_open(sealed: str, call_id: str = CALL, ring: Keyring = RING) -> bool:
    try:
        open_state(ring, sealed, call_id)
    except StateError:
        return True
    return False


@given(st.data())
def test_a_state_with_any_character_changed_does_not_open(draw: st.DataObject):
    sealed = seal_state(RING, make_state())
    place = draw.draw(st.integers(0, len(sealed) - 1))
    other = draw.draw(st.sampled_from(string.ascii_letters + string.digits + "-_.%+ "))
    assume(other != sealed[place])
    assert fails_to_open(sealed[:place] + other + sealed[place + 1 :])
    assert fails_to_open(sealed[:place])


@pytest.mark.parametrize("sealed", ["", ".", "1..", "1.k.", "nonsense", "\x00", "é"])
def test_what_is_no_state_does_not_open(sealed: str):
    assert fails_to_open(sealed)


def test_a_state_opens_for_its_own_call_alone_and_under_our_keys_alone():
    sealed = seal_state(RING, make_state())
    assert not fails_to_open(sealed)
    assert fails_to_open(sealed, "call_2")
    assert fails_to_open(sealed, ring=Keyring.parse(new_key_entry()))


def test_an_answer_opens_for_its_own_step_alone():
    sealed = seal_answer(RING, Answer("<Response/>"), "AC1", "CA1", INBOUND)
    for place in (("AC2", "CA1", INBOUND), ("AC1", "CA2", INBOUND), ("AC1", "CA1", Step("ai", 1))):
        with pytest.raises(StateError):
            open_answer(RING, sealed, *place)


def test_an_answer_whose_state_was_replaced_does_not_open():
    """Also by an older one of the same call."""
    state, older = make_state(step=Step("owner", 2)), make_state(step=Step("ai", 1))
    sealed = seal_answer(RING, Answer("<Response/>", state, seal_state(RING, state)), "AC1", "CA1", INBOUND)
    envelope, _, _ = sealed.partition(" ")
    for other in ("", f" {seal_state(RING, older)}"):
        with pytest.raises(StateError):
            open_answer(RING, envelope + other, "AC1", "CA1", INBOUND)


def test_an_answer_is_no_state_and_a_state_no_answer():
    state = make_state()
    assert fails_to_open(seal_answer(RING, Answer("", state, seal_state(RING, state)), "AC1", "CA1", INBOUND))
    with pytest.raises(StateError):
        open_answer(RING, seal_state(RING, make_state()), "AC1", "CA1", INBOUND)


BOMBS = {
    "many zeros": zlib.compress(bytes(100_000_000), level=9),
    "a state behind much white space": zlib.compress(b" " * 70_000 + b"{}", level=9),
    "no zlib": b"{}",
    "cut off": zlib.compress(b'{"call_id":"call_1"}')[:-6],
    "empty": b"",
    "no state": zlib.compress(b'{"call_id":1}'),
    "deep": zlib.compress(b"[" * 60_000),
    "no UTF-8": zlib.compress(b'{"call_id":"\xff"}'),
}


@pytest.mark.parametrize("packed", BOMBS.values(), ids=BOMBS)
def test_what_we_did_not_make_does_not_open_although_it_is_sealed_with_our_key(packed: bytes):
    state = RING.seal(packed, "state", CALL)
    assert fails_to_open(state)
    answer = Answer("<Response/>", make_state(), state)
    with pytest.raises(StateError):
        open_answer(RING, seal_answer(RING, answer, "AC1", "CA1", INBOUND), "AC1", "CA1", INBOUND)


def largest_route(greeting: str, name: str, draw: random.Random) -> Route:
    """Every field filled, with what a clever compressor can't guess where that is so in life."""

    def token(length: int) -> str:
        return "".join(draw.choices(string.ascii_letters + string.digits + "-_", k=length))

    agency = f"agency_{token(24)}"
    address = RING.seal(Secret(token(400)), *registration_address_context(agency, "+4915112345678", "bland"))
    accesses = tuple(
        Access(
            provider,
            Target(token(36), token(36), "redirect", address if provider == "bland" else None),
            RING.seal(Secret(token(64)), *key_context(agency, provider, 12)),
            12,
        )
        for provider in ("vapi", "retell", "bland")
    )
    span = tuple(OpenSpan(tuple(range(7)), draw.randrange(1440), draw.randrange(1440)) for _ in range(50))
    return Route(
        agency,
        f"client_{token(24)}",
        name,
        f"AC{token(32)}",
        "+4915112345678",
        personal_phone="+4915187654321",
        language="zh-Hant-TW",
        max_seconds=7200,
        client_provider="vapi",
        active_provider="retell",
        former_provider="bland",
        fallback_providers=("vapi", "retell", "bland"),
        accesses=accesses,
        routing=Routing(
            "owner_first",
            "ring_through",
            60,
            voicemail_greeting=greeting,
            voicemail_seconds=600,
            hours=Hours("America/Argentina/ComodRivadavia", span, "ring_through"),
        ),
    )


IDEOGRAPHS = [chr(code) for code in range(0x4E00, 0x9FA5)]
LETTERS = list(string.ascii_letters + " ,.'")


@pytest.mark.parametrize("alphabet", [LETTERS, IDEOGRAPHS], ids=["latin", "chinese"])
@pytest.mark.parametrize("length", [0, 350, 400, 401, 1000])
def test_the_state_of_the_largest_route_fits_an_address(alphabet: list[str], length: int):
    draw = random.Random(1)
    greeting = "".join(draw.choices(alphabet, k=length))
    route = largest_route(greeting, "".join(draw.choices(alphabet, k=100)), draw)
    rest = (Rung("ai", "retell"), Rung("ai", "bland"), Rung("owner"), Rung("voicemail"))
    state = make_state(step=Step("ai", 12), rung=Rung("ai", "vapi"), media="stream", served_at=1772452800.123456)
    sealed = seal_state(RING, replace(state, route=route, rungs=rest))
    assert (
        len(f"https://calls.example.com/router/webhooks/twilio/calls/call_{'a' * 24}/stream-12?state={sealed}") < 4000
    )
    carried = open_state(RING, sealed, CALL).route
    assert carried.accesses == route.accesses
    assert carried.routing.voicemail_greeting in (greeting, None)


def test_what_no_later_rung_needs_is_not_carried():
    route = largest_route("Hello", "Acme", random.Random(1))
    state = make_state(rung=Rung("ai", "vapi"))
    state = replace(state, route=route, rungs=(Rung("ai", "bland"), Rung("owner"), Rung("voicemail")))
    carried = open_state(RING, seal_state(RING, state), CALL)
    assert [access.provider for access in carried.route.accesses] == ["vapi", "bland"]
    assert carried.route.access("vapi").key_version == 12
    assert carried.route.routing == replace(route.routing, hours=None)
    assert (carried.rungs, carried.rung) == (state.rungs, state.rung)


def test_a_greeting_that_is_too_long_for_an_address_is_left_to_the_database():
    short, long = "é" * 480, "é" * 481
    for greeting, carried in ((short, short), (long, None)):
        state = make_state()
        routing = Routing(voicemail_greeting=greeting)
        sealed = seal_state(RING, replace(state, route=replace(state.route, routing=routing)))
        assert open_state(RING, sealed, CALL).route.routing.voicemail_greeting == carried
