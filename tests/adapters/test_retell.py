"""Retell takes calls that were registered first; what it says about them is read as it is meant."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import ErrorKind, KeyCheck, SipHandoff, Target, VoiceProvider
from adapters.http import Http
from adapters.retell import Retell
from crypto.secret import Secret
from tests.adapters.canary import CANARY, assert_clean, shows
from tests.adapters.loopback import Script, reply, serving
from tests.adapters.refusals import CALL, FAULTS, KEY, assert_fails, error_of

pytestmark = pytest.mark.anyio

TARGET = Target(assistant_id="agent_1")
SIP = "sip.retellai.com;transport=tcp"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
METADATA = {"router_call_id": "call_123", "twilio_call_sid": "CA1"}


def as_provider(http: Http, url: str, sip: str = SIP) -> VoiceProvider:
    return Retell(http, url, sip)


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    client = Http()
    yield client
    await client.aclose()


async def test_registers_a_call_and_dials_its_id(http: Http):
    async with serving(reply(201, {"call_id": "call_a-1", "call_status": "registered"})) as server:
        handoff = await as_provider(http, server.url).hand_off(CALL, TARGET, KEY, 5)
    assert handoff == SipHandoff("sip:call_a-1@sip.retellai.com;transport=tcp", provider_call_id="call_a-1")
    assert (server.last.method, server.last.target) == ("POST", "/v2/register-phone-call")
    assert server.last.headers["authorization"] == f"Bearer {CANARY}"
    assert server.last.json == {
        "agent_id": "agent_1",
        "agent_version": "latest_published",
        "direction": "inbound",
        "from_number": "+15550001111",
        "to_number": "+15559990000",
        "metadata": {"router_call_id": "call_123", "twilio_call_sid": CALL.call_sid},
        "retell_llm_dynamic_variables": {"client_name": "Ångström & Söhne <Dental>", "caller_number": "+15550001111"},
    }


async def test_a_caller_without_a_number_is_let_through(http: Http):
    async with serving(reply(201, {"call_id": "a"})) as server:
        await as_provider(http, server.url).hand_off(replace(CALL, caller=None), TARGET, KEY, 5)
    assert "from_number" not in server.last.json
    assert server.last.json["retell_llm_dynamic_variables"]["caller_number"] == ""


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_failure_has_its_kind(http: Http, caplog: pytest.LogCaptureFixture, fault: str):
    caplog.set_level(logging.DEBUG)
    async with serving(FAULTS[fault][0]) as server:
        await assert_fails(as_provider(http, server.url), TARGET, server, fault)
    assert not shows(caplog.text)


@pytest.mark.parametrize(
    "call_id",
    ["", None, 7, "a b", "a@evil.example", "a?x=1", "a;transport=udp", "a\r\nb", "é", "../x", "a" * 129, {"a": 1}],
)
async def test_an_id_that_would_change_the_address_is_refused(http: Http, call_id: object):
    async with serving(reply(201, {"call_id": call_id})) as server:
        error = await error_of(as_provider(http, server.url).hand_off(CALL, TARGET, KEY, 5))
    assert (error.kind, error.status) == (ErrorKind.MALFORMED_REPLY, 201)


@pytest.mark.parametrize(
    ("target", "missing"),
    [(TARGET, None), (Target(), "assistant"), (Target(assistant_id="", registration="+1555"), "assistant")],
)
def test_what_a_client_still_lacks(target: Target, missing: str | None):
    assert as_provider(Http(), "").missing(target) == missing


async def test_a_key_is_proven_by_asking_whose_it_is(http: Http):
    async with serving(reply(200, {"org_id": "org_1", "org_name": "Agency"})) as server:
        assert await as_provider(http, server.url).check_key(KEY, 5) == KeyCheck("valid")
    assert (server.last.method, server.last.target) == ("GET", "/get-api-key-info")


async def test_a_key_whose_trial_is_over_is_still_a_key(http: Http):
    async with serving(reply(402, {"status": "error", "message": "add a payment method"})) as server:
        assert await as_provider(http, server.url).check_key(KEY, 5) == KeyCheck("out_of_credit")


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (reply(401, {"status": "error", "message": "API key is missing or invalid."}), ErrorKind.KEY_REJECTED),
        (reply(403, {"status": "error", "message": "scope"}), ErrorKind.KEY_REJECTED),
        (reply(200, {}), ErrorKind.MALFORMED_REPLY),
        (reply(200, []), ErrorKind.MALFORMED_REPLY),
        (reply(200, b"<html>"), ErrorKind.MALFORMED_REPLY),
        (reply(500), ErrorKind.PROVIDER_ERROR),
    ],
)
async def test_a_key_that_is_not_proven(http: Http, script: Script, kind: ErrorKind):
    async with serving(script) as server:
        error = await error_of(as_provider(http, server.url).check_key(KEY, 5))
    assert error.kind is kind
    assert_clean(error)


async def test_ends_a_call_by_its_id(http: Http):
    async with serving(reply(204)) as server:
        await as_provider(http, server.url).end_call("call_a-1", KEY, 5)
    assert (server.last.method, server.last.target) == ("POST", "/v2/stop-call/call_a-1")


async def test_a_call_that_cannot_be_ended_says_so(http: Http):
    async with serving(reply(422, {"status": "error", "message": "not ongoing"})) as server:
        error = await error_of(as_provider(http, server.url).end_call("call_a-1", KEY, 5))
        odd = await error_of(as_provider(http, server.url).end_call("../../delete-agent/x", KEY, 5))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, "not ongoing")
    assert odd.kind is ErrorKind.BAD_REQUEST
    assert len(server.asked) == 1


def sign(body: bytes, key: str, at: datetime = NOW) -> dict[str, str]:
    stamp = str(int(at.timestamp() * 1000))
    digest = hmac.new(key.encode(), body + stamp.encode(), hashlib.sha256).hexdigest()
    return {"x-retell-signature": f"v={stamp},d={digest}"}


BODY = '{"event":"call_ended","call":{"transcript":"Ça va\\u00e9"}}'.encode()


@pytest.mark.parametrize("key", ["old", "new"])
def test_a_webhook_is_proven_by_any_of_the_keys(key: str):
    assert as_provider(Http(), "").verify_webhook(sign(BODY, key), BODY, [Secret("old"), Secret("new")], NOW)


@pytest.mark.parametrize(
    ("age", "proven"),
    [(0, True), (300, True), (301, False), (-300, True), (-301, False), (86_400, False)],
)
def test_a_signature_holds_for_five_minutes(age: int, proven: bool):
    headers = sign(BODY, "key", NOW - timedelta(seconds=age))
    assert as_provider(Http(), "").verify_webhook(headers, BODY, [Secret("key")], NOW) is proven


def test_what_proves_nothing():
    verify = as_provider(Http(), "").verify_webhook
    good = sign(BODY, "key")["x-retell-signature"]
    stamp, digest = good.split(",d=")
    for header in (
        "",
        "x",
        good.upper(),
        good + " ",
        stamp,
        f"{stamp},d={digest[:-1]}",
        "v=٣,d=" + digest,
        "v=1,d=\udcff",
    ):
        assert not verify({"x-retell-signature": header}, BODY, [Secret("key")], NOW)
    assert not verify({}, BODY, [Secret("key")], NOW)
    assert not verify({"x-retell-signature": good}, BODY + b" ", [Secret("key")], NOW)
    assert not verify({"x-retell-signature": good}, BODY, [Secret("other")], NOW)
    assert not verify({"x-retell-signature": good}, BODY, [], NOW)
    assert not verify(sign(BODY, ""), BODY, [Secret("")], NOW)


def event(name: str, **call: object) -> Any:
    return as_provider(Http(), "").read_event(json.dumps({"event": name, "call": call}).encode())


def test_a_call_that_starts():
    got = event("call_started", call_id="r1", metadata=METADATA, call_status="ongoing")
    assert (got.kind, got.original, got.provider_call_id) == ("started", "call_started", "r1")
    assert (got.call_id, got.call_sid, got.reason, got.provider_fault) == ("call_123", "CA1", None, False)


def test_a_call_that_ended():
    got = event(
        "call_ended",
        call_id="r1",
        disconnection_reason="user_hangup",
        duration_ms=90_500,
        transcript="Agent: Hello",
        call_cost={"combined_cost": 12.5},
        telephony_identifier={"twilio_call_sid": "CA9"},
    )
    assert (got.kind, got.reason, got.provider_fault) == ("ended", "user_hangup", False)
    assert (got.seconds, got.cost, got.transcript, got.call_sid) == (90.5, 0.125, "Agent: Hello", "CA9")


def test_the_analysis_comes_later_with_a_summary():
    got = event("call_analyzed", call_id="r1", call_analysis={"call_summary": "Wants a quote."})
    assert (got.kind, got.summary) == ("other", "Wants a quote.")


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        ("error_llm_websocket_open", True),
        ("error_unheard_of", True),
        ("concurrency_limit_reached", True),
        ("no_valid_payment", True),
        ("registered_call_timeout", True),
        ("telephony_provider_unavailable", True),
        ("user_hangup", False),
        ("agent_hangup", False),
        ("call_transfer", False),
        ("max_duration_reached", False),
        ("dial_busy", False),
        ("something_never_seen", False),
    ],
)
def test_whose_fault_an_end_was(reason: str, fault: bool):
    assert event("call_ended", disconnection_reason=reason).provider_fault is fault


@pytest.mark.parametrize("name", ["transcript_updated", "transfer_started", "never_heard_of"])
def test_other_events_are_other(name: str):
    assert event(name, call_id="r1").kind == "other"


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b"{}", b'{"event":7}', b"\xff", b"[" * 99_999, b'{"event":NaN}'])
def test_a_body_that_is_none_of_retells(body: bytes):
    with pytest.raises(ValueError):
        as_provider(Http(), "").read_event(body)


NAMES = st.sampled_from(["metadata", "duration_ms", "call_cost", "combined_cost", "router_call_id", "call_analysis"])
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)
)


@given(ODD)
def test_odd_fields_do_not_break_the_reader(call: object):
    body = json.dumps({"event": "call_ended", "call": call}).encode()
    assert as_provider(Http(), "").read_event(body).kind == "ended"
