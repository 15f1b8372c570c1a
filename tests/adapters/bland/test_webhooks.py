"""What Bland tells about calls is proven by its signature, and read as it is meant."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.base import ErrorKind
from adapters.bland import webhooks
from adapters.facets import Delivery
from adapters.http import Http
from crypto.secret import Secret
from tests.adapters.bland.test_calls import METADATA, as_provider

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def sign(body: bytes, secret: str) -> dict[str, str]:
    return {"x-webhook-signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


SPACED = '{ "call_id": "b1", "price": 1.0, "rate": 0.5, "summary": "Ça va \\u00e9" }'.encode()
REWRITTEN = '{"call_id":"b1","price":1,"rate":0.5,"summary":"Ça va é"}'.encode()


def verify(headers: dict[str, str], body: bytes, secrets: list[Secret]) -> bool:
    return as_provider(Http(), "").webhooks.verify(Delivery(headers, body, NOW), secrets)


@pytest.mark.parametrize("signed", [SPACED, REWRITTEN], ids=["as sent", "as JavaScript writes it"])
@pytest.mark.parametrize("secret", ["old", "new"])
def test_a_webhook_is_proven_by_any_of_the_secrets(signed: bytes, secret: str):
    assert verify(sign(signed, secret), SPACED, [Secret("old"), Secret(""), Secret("new")])


def test_what_proves_nothing():
    good = sign(SPACED, "key")["x-webhook-signature"]
    for header in ("", "x", good[:-1], good + "0", "sha1=" + good, "\udcff" * 64, "٣" * 64):
        assert not verify({"x-webhook-signature": header}, SPACED, [Secret("key")])
    assert not verify({}, SPACED, [Secret("key")])
    assert not verify({"x-webhook-signature": good}, SPACED.replace(b"b1", b"b2"), [Secret("key")])
    assert not verify({"x-webhook-signature": good}, SPACED, [Secret("other")])
    assert not verify({"x-webhook-signature": good}, SPACED, [])
    assert not verify(sign(SPACED, ""), SPACED, [Secret("")])


@pytest.mark.parametrize(
    ("body", "secrets", "signature"),
    [
        (SPACED, [], "0" * 64),
        (SPACED, [Secret("")], "0" * 64),
        (SPACED, [Secret("key")], ""),
        (SPACED, [Secret("key")], "nonsense"),
        (SPACED, [Secret("key")], sign(SPACED, "key")["x-webhook-signature"]),
        (b'{"transcript":' + b"[1.5]," * 10_000, [Secret("key")], "0" * 64),
    ],
    ids=["no secret", "an empty secret", "no signature", "no hex", "signed as it was sent", "a large body"],
)
def test_a_body_is_rewritten_only_where_that_may_prove_it(
    monkeypatch: pytest.MonkeyPatch, body: bytes, secrets: list[Secret], signature: str
):
    """Parsing takes far longer than a signature, and anybody may send a body."""
    monkeypatch.setattr(webhooks, "_as_javascript_writes", lambda _: pytest.fail("the body was parsed"))
    verify({"x-webhook-signature": signature}, body, secrets)


@given(st.binary(max_size=60))
def test_any_body_may_be_signed(body: bytes):
    assert verify(sign(body, "key"), body, [Secret("key")])
    assert not verify(sign(body + b"x", "key"), body, [Secret("key")])


def event(**fields: object) -> Any:
    return as_provider(Http(), "").webhooks.read_event(json.dumps({"call_id": "b1", **fields}).encode())


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


@pytest.mark.parametrize(
    ("fields", "unanswered", "failure"),
    [
        ({"queue_status": "complete", "status": "no-answer"}, True, None),
        ({"queue_status": "complete", "status": "canceled"}, True, None),
        ({"queue_status": "call_error", "answered_by": "no-answer"}, True, None),
        ({"status": "failed", "error_message": "Call canceled by the caller"}, True, None),
        ({"status": "failed", "error_message": "The caller hung up before the call was answered"}, True, None),
        ({"status": "failed", "answered_by": "no-answer", "error_message": "Insufficient balance"}, False, "credit"),
        ({"status": "failed", "error_message": "The call broke off"}, False, "failed"),
        ({"queue_status": "complete", "status": "completed", "call_ended_by": "USER"}, False, None),
    ],
)
def test_a_call_that_nobody_joined_is_told_apart(fields: dict[str, object], unanswered: bool, failure: str | None):
    got = event(completed=False, **fields)
    kinds = {"credit": ErrorKind.OUT_OF_CREDIT, "failed": ErrorKind.PROVIDER_ERROR}
    assert (got.unanswered, got.failure) == (unanswered, kinds.get(failure or ""))


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        ("Concurrency limit reached", ErrorKind.AT_CAPACITY),
        ("Insufficient balance", ErrorKind.OUT_OF_CREDIT),
        ("Something broke", ErrorKind.PROVIDER_ERROR),
        (None, ErrorKind.PROVIDER_ERROR),
    ],
)
def test_how_the_provider_failed(said: str | None, failure: ErrorKind):
    assert event(queue_status="call_error", error_message=said).failure is failure


def test_an_event_within_the_call_is_other():
    got = event(category="tool", message="asked", variables=METADATA)
    assert (got.kind, got.original, got.call_id, got.reason) == ("other", "tool", "call_123", None)


def test_what_is_said_after_a_transfer_does_not_end_the_call():
    got = event(event="post_transfer_transcript", completed=True, call_length=2.5, variables=METADATA)
    assert (got.kind, got.original, got.call_id) == ("other", "post_transfer_transcript", "call_123")


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b"{}", b'{"call_id":7}', b"\xff", b"[" * 99_999])
def test_a_body_that_is_none_of_blands(body: bytes):
    with pytest.raises(ValueError):
        as_provider(Http(), "").webhooks.read_event(body)


NAMES = st.sampled_from(["metadata", "variables", "router_call_id", "price", "queue_status", "status"])
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(["metadata", "variables", "price", "queue_status", "status", "call_length"]), ODD)
)
def test_odd_fields_do_not_break_the_reader(fields: dict[str, object]):
    assert event(**fields, completed=True).kind == "ended"
