"""ElevenLabs' reports about calls are believed with its signature alone, and read as they are meant."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.base import ErrorKind
from adapters.elevenlabs.webhooks import Webhooks
from adapters.facets import Delivery
from crypto.secret import Secret
from tests.support.provider_samples import COST, SUMMARY, TRANSCRIPT, samples, sign_as_elevenlabs
from tests.support.world import CALLER

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECRETS = [Secret("wsec_other"), Secret("wsec_1")]
BODY = b'{"type":"post_call_transcription"}'
WEBHOOKS = Webhooks()


def believed(header: str | None, body: bytes = BODY) -> bool:
    headers = {} if header is None else {"elevenlabs-signature": header}
    return WEBHOOKS.verify(Delivery(headers, body, NOW), SECRETS)


def signed(late: int = 0, *, by: int = 1) -> str:
    return sign_as_elevenlabs(BODY, f"wsec_{by}", int(NOW.timestamp()) + late)


@pytest.mark.parametrize("late", [0, -1800, 1800])
def test_a_signature_of_one_of_the_secrets_is_believed(late: int):
    assert believed(signed(late))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=,v0=",
        signed(by=2),
        signed(-1801),
        signed(1801),
        signed().replace("t=1", "t=2"),
        signed().replace("v0", "v1"),
        signed().partition(",")[2],
        signed().upper(),
        signed() + "é\ud800",
        "t=" + "9" * 400 + "," + signed().partition(",")[2],
    ],
)
def test_anything_else_is_not_believed(header: str | None):
    assert not believed(header)


def test_a_signature_covers_the_body():
    assert not believed(signed(), BODY + b" ")


def test_a_report_is_read_in_our_words():
    event = WEBHOOKS.read_event(json.dumps(samples("elevenlabs", "call_1", "CA1")[1]).encode())
    assert (event.kind, event.provider_call_id, event.call_id) == ("ended", "elevenlabs-call_1", "call_1")
    assert (event.call_sid, event.caller, event.to) == ("CA1", CALLER, "+15005550001")
    assert (event.seconds, event.cost, event.summary, event.transcript) == (84, COST, SUMMARY, TRANSCRIPT)
    assert (event.reason, event.failure, event.unanswered) == ("Client disconnected: 1000", None, False)


def report(**data: Any) -> bytes:
    return json.dumps({"type": "post_call_transcription", "data": {"conversation_id": "conv_1", **data}}).encode()


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        ("Exceeded the concurrency limit", ErrorKind.AT_CAPACITY),
        ("This request exceeds your quota limit.", ErrorKind.OUT_OF_CREDIT),
        ("Missing required dynamic variables in tools: {'x'}", ErrorKind.BAD_REQUEST),
        ("LLM cascade failed", ErrorKind.PROVIDER_ERROR),
        (None, ErrorKind.PROVIDER_ERROR),
    ],
)
def test_a_failed_conversation_says_whose_failure_it_is(reason: str | None, failure: ErrorKind):
    event = WEBHOOKS.read_event(report(status="failed", metadata={"error": {"code": 1011, "reason": reason}}))
    assert (event.reason, event.failure) == (reason, failure)
    done = WEBHOOKS.read_event(report(status="done", metadata={"termination_reason": reason}))
    assert (done.reason, done.failure) == (reason, None)


def test_a_call_without_our_variables_has_their_defaults_and_none_of_our_ids():
    variables = {"dynamic_variables": {"router_call_id": "unknown", "twilio_call_sid": "unknown"}}
    event = WEBHOOKS.read_event(
        report(conversation_initiation_client_data=variables, metadata={"phone_call": {"call_sid": "CA1"}})
    )
    assert (event.call_id, event.call_sid) == (None, "CA1")


@pytest.mark.parametrize(("reason", "unanswered"), [("no-answer", True), ("busy", True), ("unknown", False)])
def test_a_call_that_never_began_is_a_failure_unless_nobody_was_there(reason: str, unanswered: bool):
    data = {
        "conversation_id": "conv_1",
        "failure_reason": reason,
        "metadata": {"type": "twilio", "body": {"CallSid": "CA1"}},
    }
    event = WEBHOOKS.read_event(json.dumps({"type": "call_initiation_failure", "data": data}).encode())
    assert (event.kind, event.call_sid, event.unanswered) == ("ended", "CA1", unanswered)
    assert event.failure is (None if unanswered else ErrorKind.PROVIDER_ERROR)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"type":1}', b'{"type":"x"}', b'{"type":"x","data":[]}'])
def test_a_body_that_is_none_of_its_reports_is_refused(body: bytes):
    with pytest.raises(ValueError):
        WEBHOOKS.read_event(body)


def test_the_transfer_tool_names_its_call():
    asked = WEBHOOKS.read_transfer(
        b'{"router_call_id":"call_1","conversation_id":"conv_1","caller":"+14155550100","reason":"a refund"}'
    )
    assert (asked.call_id, asked.provider_call_id, asked.caller) == ("call_1", "conv_1", "+14155550100")
    assert WEBHOOKS.answer_transfer(asked, "Done.") == {"result": "Done."}
    direct = WEBHOOKS.read_transfer(b'{"router_call_id":"unknown","conversation_id":"conv_1"}')
    assert (direct.call_id, direct.provider_call_id) == (None, "conv_1")


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b'{"reason":"x"}', report(status="done"), b'{"conversation_id":"c","data":{}}']
)
def test_nothing_else_asks_for_a_transfer(body: bytes):
    with pytest.raises(ValueError):
        WEBHOOKS.read_transfer(body)
