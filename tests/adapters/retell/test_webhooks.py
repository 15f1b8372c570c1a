"""What Retell says about calls is read as it is meant, and what it asks is answered as it wants."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import ErrorKind
from adapters.facets import Delivery
from adapters.http import Http
from adapters.provider import Provider
from crypto.secret import Secret
from tests.support.adapters import retell_at

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
METADATA = {"router_call_id": "call_123", "twilio_call_sid": "CA1"}


def as_provider() -> Provider[Any]:
    return retell_at(Http(), "", "sip.retellai.com;transport=tcp")


def sign(body: bytes, key: str, at: datetime = NOW) -> dict[str, str]:
    stamp = str(int(at.timestamp() * 1000))
    digest = hmac.new(key.encode(), body + stamp.encode(), hashlib.sha256).hexdigest()
    return {"x-retell-signature": f"v={stamp},d={digest}"}


BODY = '{"event":"call_ended","call":{"transcript":"Ça va\\u00e9"}}'.encode()


@pytest.mark.parametrize("key", ["old", "new"])
def test_a_webhook_is_proven_by_any_of_the_keys(key: str):
    assert as_provider().webhooks.verify(Delivery(sign(BODY, key), BODY, NOW), [Secret("old"), Secret("new")])


@pytest.mark.parametrize(
    ("age", "proven"),
    [(0, True), (300, True), (301, False), (-300, True), (-301, False), (86_400, False)],
)
def test_a_signature_holds_for_five_minutes(age: int, proven: bool):
    headers = sign(BODY, "key", NOW - timedelta(seconds=age))
    assert as_provider().webhooks.verify(Delivery(headers, BODY, NOW), [Secret("key")]) is proven


def test_what_proves_nothing():
    def verify(headers: dict[str, str], body: bytes, secrets: list[Secret]) -> bool:
        return as_provider().webhooks.verify(Delivery(headers, body, NOW), secrets)

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
        assert not verify({"x-retell-signature": header}, BODY, [Secret("key")])
    assert not verify({}, BODY, [Secret("key")])
    assert not verify({"x-retell-signature": good}, BODY + b" ", [Secret("key")])
    assert not verify({"x-retell-signature": good}, BODY, [Secret("other")])
    assert not verify({"x-retell-signature": good}, BODY, [])
    assert not verify(sign(BODY, ""), BODY, [Secret("")])


def event(name: str, **call: object) -> Any:
    return as_provider().webhooks.read_event(json.dumps({"event": name, "call": call}).encode())


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
    assert (got.kind, got.summary) == ("analyzed", "Wants a quote.")


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        ("error_llm_websocket_open", True),
        ("error_unheard_of", True),
        ("concurrency_limit_reached", True),
        ("no_valid_payment", True),
        ("registered_call_timeout", False),
        ("error_user_not_joined", False),
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


@pytest.mark.parametrize(
    ("reason", "unanswered"),
    [
        ("registered_call_timeout", True),
        ("error_user_not_joined", True),
        ("dial_no_answer", True),
        ("user_declined", True),
        ("user_hangup", False),
        ("error_retell", False),
        ("sip_routing_error", False),
    ],
)
def test_a_call_that_nobody_joined_is_told_apart(reason: str, unanswered: bool):
    assert event("call_ended", disconnection_reason=reason).unanswered is unanswered


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        ("concurrency_limit_reached", ErrorKind.AT_CAPACITY),
        ("no_concurrency_fallback", ErrorKind.AT_CAPACITY),
        ("credit_exhausted", ErrorKind.OUT_OF_CREDIT),
        ("budget_reached", ErrorKind.OUT_OF_CREDIT),
        ("error_retell", ErrorKind.PROVIDER_ERROR),
        ("sip_routing_error", ErrorKind.PROVIDER_ERROR),
        ("user_declined", None),
    ],
)
def test_how_the_provider_failed(reason: str, failure: ErrorKind | None):
    assert event("call_ended", disconnection_reason=reason).failure is failure


@pytest.mark.parametrize("name", ["transcript_updated", "transfer_started", "never_heard_of"])
def test_other_events_are_other(name: str):
    assert event(name, call_id="r1").kind == "other"


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b"{}", b'{"event":7}', b"\xff", b"[" * 99_999, b'{"event":NaN}'])
def test_a_body_that_is_not_from_retell_is_refused(body: bytes):
    with pytest.raises(ValueError):
        as_provider().webhooks.read_event(body)


def transfer(**fields: object) -> bytes:
    return json.dumps({"call": {"call_id": "r1", "metadata": METADATA}, "args": {}, **fields}).encode()


@pytest.mark.parametrize(
    ("name", "is_certain"),
    [("callrouter_transfer", True), ("callrouter_transfer_2", True), ("transfer", False), ("transfer_2", False)],
)
def test_the_transfer_function_asks_for_a_person(name: str, is_certain: bool):
    """Other functions may have the last two names, so that our address has to prove them."""
    asked = as_provider().webhooks.read_transfer(transfer(name=name))
    assert (asked.call_id, asked.provider_call_id) == ("call_123", "r1")
    assert asked.needs_address_token is not is_certain


@pytest.mark.parametrize(
    "name", ["book", "", None, 7, "Transfer", "transfer_call", "transfer ", "transfer_", "my_transfer", ["transfer"]]
)
def test_no_other_function_asks_for_a_person(name: object):
    """Retell signs the calls of all functions with the same key."""
    with pytest.raises(ValueError, match="transfer"):
        as_provider().webhooks.read_transfer(transfer(name=name))


def test_a_report_of_a_call_asks_for_nothing():
    report = json.dumps({"event": "call_ended", "call": {"call_id": "r1", "metadata": METADATA}}).encode()
    with pytest.raises(ValueError, match="transfer"):
        as_provider().webhooks.read_transfer(report)


NAMES = st.sampled_from(["metadata", "duration_ms", "call_cost", "combined_cost", "router_call_id", "call_analysis"])
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)
)


@given(ODD)
def test_odd_fields_do_not_break_the_reader(call: object):
    body = json.dumps({"event": "call_ended", "call": call}).encode()
    assert as_provider().webhooks.read_event(body).kind == "ended"


QUESTION = json.dumps(
    {
        "event": "call_inbound",
        "event_timestamp": 1764000000000,
        "call_inbound": {
            "call_id": "call_7",
            "agent_id": "agent_x",
            "agent_version": 1,
            "from_number": "+15550001111",
            "to_number": "+15559990000",
        },
    }
).encode()


def test_a_call_to_a_native_number_asks_who_answers():
    asked = as_provider().webhooks.read_event(QUESTION)
    assert (asked.kind, asked.original, asked.provider_call_id) == ("asked", "call_inbound", "call_7")
    assert (asked.caller, asked.to, asked.call_id) == ("+15550001111", "+15559990000", None)
    answer = as_provider().answer_question(asked, "agent_y", {"client_name": "Acme"}, METADATA)
    assert answer == {
        "call_inbound": {
            "override_agent_id": "agent_y",
            "override_agent_version": "latest_published",
            "dynamic_variables": {"client_name": "Acme"},
            "metadata": METADATA,
        }
    }


def test_only_a_question_is_answered():
    with pytest.raises(ValueError, match="call_inbound"):
        as_provider().answer_question(event("call_started", call_id="r1"), "agent_y", {}, {})


def test_events_of_a_call_carry_both_numbers():
    got = event("call_started", call_id="r1", from_number="+15550001111", to_number="+15559990000")
    assert (got.caller, got.to) == ("+15550001111", "+15559990000")
