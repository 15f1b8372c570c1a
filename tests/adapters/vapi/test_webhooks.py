"""What Vapi reports about calls is believed with a secret alone, and read as it is meant."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import ErrorKind
from adapters.facets import Delivery
from adapters.http import Http
from crypto.secret import Secret
from tests.support.adapters import vapi_at

NOW = datetime(2026, 11, 23, tzinfo=UTC)
VAPI = vapi_at(Http(), "")


@pytest.mark.parametrize(
    ("headers", "proven"),
    [
        ({"x-vapi-secret": "old"}, True),
        ({"x-vapi-secret": "new"}, True),
        ({"authorization": "Bearer new"}, True),
        ({"authorization": "bearer  old"}, True),
        ({"x-vapi-secret": "wrong", "authorization": "Bearer new"}, True),
        ({"authorization": "new"}, False),
        ({"authorization": "Basic new"}, False),
        ({"x-vapi-secret": "wrong"}, False),
        ({"x-vapi-secret": "né"}, False),
        ({"x-vapi-secret": "\udcff"}, False),
        ({"x-vapi-secret": ""}, False),
        ({"authorization": "Bearer "}, False),
        ({}, False),
    ],
)
def test_a_webhook_is_proven_by_any_of_the_secrets(headers: dict[str, str], proven: bool):
    secrets = [Secret("old"), Secret(""), Secret("new")]
    assert VAPI.webhooks.verify(Delivery(headers, b"{}", NOW), secrets) is proven


def test_without_a_secret_nothing_is_proven():
    assert not VAPI.webhooks.verify(Delivery({"x-vapi-secret": ""}, b"{}", NOW), [Secret("")])
    assert not VAPI.webhooks.verify(Delivery({"x-vapi-secret": "a"}, b"{}", NOW), [])


def event(message: object) -> Any:
    return VAPI.webhooks.read_event(json.dumps({"message": message}).encode())


METADATA = {"router_call_id": "call_123", "twilio_call_sid": "CA1"}


def test_a_call_that_starts():
    got = event(
        {
            "type": "status-update",
            "status": "in-progress",
            "call": {"id": "v1", "assistantOverrides": {"metadata": METADATA}},
        }
    )
    assert (got.kind, got.original, got.provider_call_id) == ("started", "status-update:in-progress", "v1")
    assert (got.call_id, got.call_sid, got.reason, got.provider_fault) == ("call_123", "CA1", None, False)


def test_the_report_of_a_call_that_ended():
    got = event(
        {
            "type": "end-of-call-report",
            "endedReason": "customer-ended-call",
            "startedAt": "2026-11-23T10:00:00.000Z",
            "endedAt": "2026-11-23T10:01:30.500Z",
            "cost": 0.12,
            "analysis": {"summary": "Wants a quote.\0"},
            "artifact": {"transcript": "AI: Hello"},
            "call": {"id": "v1", "transport": {"callSid": "CA9"}},
            "assistant": {"metadata": METADATA},
        }
    )
    assert (got.kind, got.reason, got.provider_fault) == ("ended", "customer-ended-call", False)
    assert (got.seconds, got.cost, got.summary, got.transcript) == (90.5, 0.12, "Wants a quote.", "AI: Hello")
    assert (got.call_id, got.call_sid) == ("call_123", "CA1")


def test_a_call_of_somebody_else_is_told_by_its_own_sid():
    got = event({"type": "status-update", "status": "ended", "call": {"id": "v1", "transport": {"callSid": "CA9"}}})
    assert (got.kind, got.call_id, got.call_sid) == ("ended", None, "CA9")


REASONS: dict[ErrorKind | None, list[str]] = {
    ErrorKind.AT_CAPACITY: ["call.start.error-subscription-concurrency-limit-reached"],
    ErrorKind.OUT_OF_CREDIT: [
        "call.start.error-subscription-frozen",
        "call.start.error-subscription-insufficient-credits",
        "call.start.error-subscription-upgrade-failed",
        "call.start.error-subscription-wallet-does-not-exist",
        "call.start.error-subscription-something-new",
    ],
    ErrorKind.BAD_REQUEST: [
        "assistant-not-found",
        "assistant-not-valid",
        "assistant-request-failed",
        "assistant-request-returned-invalid-assistant",
        "assistant-request-returned-unspeakable-error",
        "call-start-error-neither-assistant-nor-server-set",
        "call.in-progress.error-configfault-model-unsupported-in-squad",
        "call.in-progress.error-configfault-something-new",
        "call.in-progress.error-transfer-failed",
        "call.in-progress.error-warm-transfer-silence-timeout",
        "call.start.assistant-version-error-validation",
        "call.start.error-get-assistant",
        "call.start.squad-version-error-validation",
    ],
    ErrorKind.PROVIDER_ERROR: [
        "assistant-join-timed-out",
        "call.in-progress.error-pipeline-no-available-llm-model",
        "call.in-progress.error-providerfault-something-new",
        "call.in-progress.error-sip-inbound-call-failed-to-connect",
        "call.in-progress.error-something-new",
        "call.in-progress.error-vapifault-worker-died",
        "call.ringing.error-sip-inbound-call-failed-to-connect",
        "call.start.error-fraud-check-failed",
        "call.start.error-vapifault-get-subscription",
        "phone-call-provider-closed-websocket",
        "pipeline-error-openai-429-exceeded-quota-insufficient-credits",
        "pipeline-error-openai-500-server-error",
        "pipeline-no-available-llm-model",
        "twilio-failed-to-connect-call",
        "worker-shutdown",
    ],
    None: [
        "assistant-ended-call",
        "assistant-ended-call-after-message-spoken",
        "assistant-forwarded-call",
        "call.forwarding.operator-busy",
        "call.in-progress.error-assistant-did-not-receive-customer-audio",
        "call.in-progress.twilio-completed-call",
        "call.ringing.sip-inbound-caller-hungup-before-call-connect",
        "customer-ended-call",
        "customer-ended-call-during-transfer",
        "exceeded-max-duration",
        "manually-canceled",
        "phone-call-provider-bypass-enabled-but-no-call-received",
        "silence-timed-out",
        "something-never-seen",
        "voicemail",
    ],
}


@pytest.mark.parametrize(
    ("reason", "failure"), [(reason, failure) for failure, reasons in REASONS.items() for reason in reasons]
)
def test_whose_fault_an_end_was(reason: str, failure: ErrorKind | None):
    got = event({"type": "status-update", "status": "ended", "endedReason": reason})
    assert (got.kind, got.reason, got.failure) == ("ended", reason, failure)
    assert event({"type": "end-of-call-report", "endedReason": reason}).failure is failure


@pytest.mark.parametrize(
    ("reason", "unanswered"),
    [
        ("phone-call-provider-bypass-enabled-but-no-call-received", True),
        ("call.ringing.sip-inbound-caller-hungup-before-call-connect", True),
        ("customer-did-not-answer", True),
        ("customer-ended-call", False),
        ("phone-call-provider-closed-websocket", False),
        ("worker-shutdown", False),
    ],
)
def test_a_call_that_nobody_joined_is_told_apart(reason: str, unanswered: bool):
    assert event({"type": "end-of-call-report", "endedReason": reason}).unanswered is unanswered


@pytest.mark.parametrize(
    "kind", ["transcript", "speech-update", "tool-calls", "hang", "never-heard-of", "status-update"]
)
def test_other_events_are_other(kind: str):
    got = event({"type": kind, "call": {"id": "v1"}})
    assert (got.kind, got.original) == ("other", kind)


@pytest.mark.parametrize(
    "body", [b"", b"no", b"[]", b"{}", b'{"message":{}}', b'{"message":{"type":7}}', b"\xff", b"[" * 99_999]
)
def test_a_body_that_is_none_of_vapis(body: bytes):
    with pytest.raises(ValueError):
        VAPI.webhooks.read_event(body)


NAMES = st.sampled_from(["call", "status", "endedReason", "metadata", "id", "cost", "startedAt", "endedAt", "analysis"])
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)
)


@given(st.dictionaries(NAMES, ODD))
def test_odd_fields_do_not_break_the_reader(fields: dict[str, object]):
    assert event({**fields, "type": "end-of-call-report"}).kind == "ended"


@pytest.mark.parametrize("ended_at", ["2026-11-23T10:00:05", "soon", 7, None])
def test_times_that_cannot_be_compared_give_no_length(ended_at: object):
    assert event({"type": "hang", "startedAt": "2026-11-23T10:00:00Z", "endedAt": ended_at}).seconds is None


def test_a_call_to_a_number_without_assistant_asks_who_answers():
    asked = event(
        {
            "type": "assistant-request",
            "call": {"id": "v1"},
            "customer": {"number": "+15550001111"},
            "phoneNumber": {"number": "+15559990000"},
        }
    )
    assert (asked.kind, asked.provider_call_id) == ("asked", "v1")
    assert (asked.caller, asked.to) == ("+15550001111", "+15559990000")
    answer = VAPI.answer_question(asked, "a1", {"client_name": "Acme"}, {"router_call_id": "call_1"})
    assert answer == {
        "assistantId": "a1",
        "assistantOverrides": {"variableValues": {"client_name": "Acme"}, "metadata": {"router_call_id": "call_1"}},
    }


def test_only_a_question_is_answered():
    with pytest.raises(ValueError, match="assistant-request"):
        VAPI.answer_question(event({"type": "hang"}), "a1", {}, {})
