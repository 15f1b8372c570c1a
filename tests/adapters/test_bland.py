"""Bland takes calls by a session over SIP or at its number; what it says about them is read as it is meant."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import ErrorKind, KeyCheck, NumberHandoff, SipHandoff, Target, VoiceProvider
from adapters.bland import Bland
from adapters.http import Http
from crypto.secret import Secret
from tests.adapters.canary import CANARY, assert_clean, shows
from tests.adapters.loopback import Script, reply, serving
from tests.adapters.refusals import CALL, FAULTS, KEY, assert_fails, error_of

pytestmark = pytest.mark.anyio

NUMBER = "+15557770000"
TARGET = Target(registration=NUMBER)
BY_NUMBER = Target(registration=NUMBER, mode="number")
SIP = "us2.sip.bland.ai:5061;transport=tls;secure=true"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
METADATA = {"router_call_id": "call_123", "twilio_call_sid": "CA1"}
UNAUTHORIZED = {"data": None, "errors": [{"error": "AUTH_FAILURE", "message": "Unauthorized"}]}


def as_provider(http: Http, url: str, sip: str = SIP) -> VoiceProvider:
    return Bland(http, url, sip)


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    client = Http()
    yield client
    await client.aclose()


@pytest.mark.parametrize("mode", [None, "sip"])
async def test_opens_a_session_and_dials_it(http: Http, mode: str | None):
    async with serving(reply(200, {"token": "tok.en-1", "expires_at": "2026-11-23T13:00:00Z"})) as server:
        handoff = await as_provider(http, server.url).hand_off(CALL, Target(registration=NUMBER, mode=mode), KEY, 5)
    assert handoff == SipHandoff(f"sip:{NUMBER}@{SIP}?x-bland-session-id=tok.en-1")
    assert (server.last.method, server.last.target) == ("POST", "/v1/inbound/session")
    assert server.last.headers["authorization"] == CANARY
    assert server.last.json == {
        "phone_number": NUMBER,
        "request_data": {
            "client_name": "Ångström & Söhne <Dental>",
            "caller_number": "+15550001111",
            "router_call_id": "call_123",
            "twilio_call_sid": CALL.call_sid,
        },
    }


async def test_a_token_is_escaped_for_the_address(http: Http):
    async with serving(reply(200, {"token": "a+b/c=&x-evil=1?;@<>"})) as server:
        handoff = await as_provider(http, server.url).hand_off(CALL, TARGET, KEY, 5)
    assert handoff == SipHandoff(
        f"sip:{NUMBER}@{SIP}?x-bland-session-id=a%2Bb%2Fc%3D%26x-evil%3D1%3F%3B%40%3C%3E"
    )  # fmt: skip


@pytest.mark.parametrize("token", ["", None, 7, "a b", "a\r\nb", "é", "x" * 901, "=" * 340])
async def test_a_token_that_fits_no_address_is_refused(http: Http, token: object):
    async with serving(reply(200, {"token": token})) as server:
        error = await error_of(as_provider(http, server.url).hand_off(CALL, TARGET, KEY, 5))
    assert error.kind is ErrorKind.MALFORMED_REPLY


async def test_asks_for_the_number_and_dials_it(http: Http):
    async with serving(reply(200, {"phone_number": NUMBER, "prompt": "…"})) as server:
        handoff = await as_provider(http, server.url).hand_off(CALL, BY_NUMBER, KEY, 5)
    assert handoff == NumberHandoff(NUMBER)
    assert server.last.method == "GET"
    assert server.last.target.replace("%2B", "+") == f"/v1/inbound/{NUMBER}"
    assert server.last.headers["authorization"] == CANARY


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_failure_has_its_kind(http: Http, caplog: pytest.LogCaptureFixture, fault: str):
    caplog.set_level(logging.DEBUG)
    async with serving(FAULTS[fault][0]) as server:
        await assert_fails(as_provider(http, server.url), TARGET, server, fault)
    assert not shows(caplog.text)


@pytest.mark.parametrize("target", [TARGET, BY_NUMBER], ids=["sip", "number"])
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (reply(401, UNAUTHORIZED), ErrorKind.KEY_REJECTED),
        (reply(402, {"status": "error", "message": "Insufficient balance."}), ErrorKind.OUT_OF_CREDIT),
        (reply(400, {"status": "error", "message": "Insufficient balance."}), ErrorKind.OUT_OF_CREDIT),
        (reply(403, {"status": "error", "message": "No billing record found."}), ErrorKind.OUT_OF_CREDIT),
        (reply(403, {"status": "error", "message": "Account flagged"}), ErrorKind.KEY_REJECTED),
        (reply(429, {"status": "error", "message": "Rate limit exceeded"}), ErrorKind.RATE_LIMITED),
        (reply(404, {"errors": [{"error": "NOT_FOUND", "message": "No such number"}]}), ErrorKind.BAD_REQUEST),
        (reply(200, {"status": "error", "message": "Something"}), ErrorKind.MALFORMED_REPLY),
        (reply(200, UNAUTHORIZED), ErrorKind.MALFORMED_REPLY),
        (reply(200, b"<html>"), ErrorKind.MALFORMED_REPLY),
        (reply(200, []), ErrorKind.MALFORMED_REPLY),
    ],
)
async def test_both_forms_of_an_error_are_understood(http: Http, target: Target, script: Script, kind: ErrorKind):
    async with serving(script) as server:
        error = await error_of(as_provider(http, server.url).hand_off(CALL, target, KEY, 5))
    assert error.kind is kind
    assert_clean(error)


@pytest.mark.parametrize(
    "registration", [None, "", "15557770000", "+1555", "+1555777x000", "+15557770000/../x", "+0123456789"]
)
@pytest.mark.parametrize("mode", ["sip", "number"])
async def test_a_registration_that_is_no_number_is_asked_for_nowhere(http: Http, registration: str | None, mode: str):
    async with serving(reply(200, {"token": "t"})) as server:
        target = Target(registration=registration, mode=mode)
        error = await error_of(as_provider(http, server.url).hand_off(CALL, target, KEY, 5))
    assert error.kind is ErrorKind.BAD_REQUEST
    assert not server.asked


@pytest.mark.parametrize(
    ("target", "missing"), [(TARGET, None), (Target(), "registration"), (Target(assistant_id="a"), "registration")]
)
def test_what_a_client_still_lacks(target: Target, missing: str | None):
    assert as_provider(Http(), "").missing(target) == missing


@pytest.mark.parametrize(
    ("answer", "check"),
    [
        ({"status": "active", "billing": {"current_balance": 99.1}, "total_calls": 12}, KeyCheck("valid", 99.1)),
        ({"status": "active", "billing": {"current_balance": "2.5"}}, KeyCheck("valid", 2.5)),
        ({"status": "active", "billing": {"current_balance": 0}}, KeyCheck("out_of_credit", 0)),
        ({"status": "active", "billing": {"current_balance": -3}}, KeyCheck("out_of_credit", -3)),
        ({"status": "active"}, KeyCheck("valid")),
        ({"status": "active", "billing": {"current_balance": None}}, KeyCheck("valid")),
    ],
)
async def test_a_key_is_proven_by_the_account(http: Http, answer: object, check: KeyCheck):
    async with serving(reply(200, answer)) as server:
        assert await as_provider(http, server.url).check_key(KEY, 5) == check
    assert (server.last.method, server.last.target) == ("GET", "/v1/me")
    assert server.last.headers["authorization"] == CANARY


async def test_a_key_that_is_asked_to_pay_is_still_a_key(http: Http):
    async with serving(reply(402, {"status": "error", "message": "Insufficient balance."})) as server:
        assert await as_provider(http, server.url).check_key(KEY, 5) == KeyCheck("out_of_credit")


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (reply(401, UNAUTHORIZED), ErrorKind.KEY_REJECTED),
        (reply(200, UNAUTHORIZED), ErrorKind.MALFORMED_REPLY),
        (reply(200, b"<html>"), ErrorKind.MALFORMED_REPLY),
        (reply(503), ErrorKind.PROVIDER_ERROR),
    ],
)
async def test_a_key_that_is_not_proven(http: Http, script: Script, kind: ErrorKind):
    async with serving(script) as server:
        error = await error_of(as_provider(http, server.url).check_key(KEY, 5))
    assert error.kind is kind


async def test_sessions_are_not_ended(http: Http):
    provider = as_provider(http, "http://127.0.0.1:9")
    assert not provider.capabilities.ends_calls
    assert (await error_of(provider.end_call("id", KEY, 5))).kind is ErrorKind.BAD_REQUEST


def sign(body: bytes, secret: str) -> dict[str, str]:
    return {"x-webhook-signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


SPACED = '{ "call_id": "b1", "price": 1.0, "rate": 0.5, "summary": "Ça va \\u00e9" }'.encode()
REWRITTEN = '{"call_id":"b1","price":1,"rate":0.5,"summary":"Ça va é"}'.encode()


@pytest.mark.parametrize("signed", [SPACED, REWRITTEN], ids=["as sent", "as JavaScript writes it"])
@pytest.mark.parametrize("secret", ["old", "new"])
def test_a_webhook_is_proven_by_any_of_the_secrets(signed: bytes, secret: str):
    verify = as_provider(Http(), "").verify_webhook
    assert verify(sign(signed, secret), SPACED, [Secret("old"), Secret(""), Secret("new")], NOW)


def test_what_proves_nothing():
    verify = as_provider(Http(), "").verify_webhook
    good = sign(SPACED, "key")["x-webhook-signature"]
    for header in ("", "x", good[:-1], good + "0", "sha1=" + good, "\udcff" * 64, "٣" * 64):
        assert not verify({"x-webhook-signature": header}, SPACED, [Secret("key")], NOW)
    assert not verify({}, SPACED, [Secret("key")], NOW)
    assert not verify({"x-webhook-signature": good}, SPACED.replace(b"b1", b"b2"), [Secret("key")], NOW)
    assert not verify({"x-webhook-signature": good}, SPACED, [Secret("other")], NOW)
    assert not verify({"x-webhook-signature": good}, SPACED, [], NOW)
    assert not verify(sign(SPACED, ""), SPACED, [Secret("")], NOW)


@given(st.binary(max_size=60))
def test_any_body_may_be_signed(body: bytes):
    assert as_provider(Http(), "").verify_webhook(sign(body, "key"), body, [Secret("key")], NOW)
    assert not as_provider(Http(), "").verify_webhook(sign(body + b"x", "key"), body, [Secret("key")], NOW)


def event(**fields: object) -> Any:
    return as_provider(Http(), "").read_event(json.dumps({"call_id": "b1", **fields}).encode())


def test_the_report_of_a_call_that_ended():
    got = event(
        call_length=1.5,
        corrected_duration="91",
        completed=True,
        queue_status="complete",
        status="completed",
        error_message=None,
        call_ended_by="USER",
        price=0.18,
        summary="Wants a quote.",
        concatenated_transcript="assistant: Hello",
        request_data=METADATA,
    )
    assert (got.kind, got.original, got.provider_call_id) == ("ended", "post-call", "b1")
    assert (got.call_id, got.call_sid, got.reason, got.provider_fault) == ("call_123", "CA1", "USER", False)
    assert (got.seconds, got.cost, got.summary, got.transcript) == (91, 0.18, "Wants a quote.", "assistant: Hello")


def test_a_length_in_minutes_will_do():
    assert event(completed=True, call_length=1.5).seconds == 90


@pytest.mark.parametrize("place", ["request_data", "variables", "metadata"])
def test_our_ids_are_found_wherever_they_come_back(place: str):
    assert event(completed=True, **{place: METADATA}).call_id == "call_123"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"queue_status": "call_error"}, True),
        ({"queue_status": "pre_queue_error"}, True),
        ({"queue_status": "complete", "status": "failed"}, True),
        ({"queue_status": "complete", "status": "completed"}, False),
        ({"queue_status": "complete", "status": "no-answer"}, False),
    ],
)
def test_whose_fault_an_end_was(fields: dict[str, object], fault: bool):
    assert event(**fields).provider_fault is fault


def test_an_event_within_the_call_is_other():
    got = event(category="tool", message="asked", variables=METADATA)
    assert (got.kind, got.original, got.call_id, got.reason) == ("other", "tool", "call_123", None)


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b"{}", b'{"call_id":7}', b"\xff", b"[" * 99_999])
def test_a_body_that_is_none_of_blands(body: bytes):
    with pytest.raises(ValueError):
        as_provider(Http(), "").read_event(body)


NAMES = st.sampled_from(["metadata", "variables", "router_call_id", "price", "queue_status", "status"])
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)
)


@given(
    st.dictionaries(st.sampled_from(["metadata", "variables", "price", "queue_status", "status", "call_length"]), ODD)
)
def test_odd_fields_do_not_break_the_reader(fields: dict[str, object]):
    assert event(**fields, completed=True).kind == "ended"


def test_bland_never_asks_who_answers():
    with pytest.raises(ValueError, match="never asks"):
        as_provider(Http(), "").answer_question(event(), "", {}, {})
