"""What Twilio's words about a leg mean."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.base import ErrorKind
from router.calls import legs
from router.calls.state import CallState
from router.calls.steps import Step
from router.routing.route import Route, Routing, Rung
from router.store.calls.calls import Fact
from router.telemetry.events.words import OWNER_MISSES

NOW = 1_000_000.0
STEP = Step("ai", 1)


def state_of(**changes: Any) -> CallState:
    screen = changes.pop("screen", True)
    route = Route("agency_1", "client_1", "Acme", "AC1", "+15005550001", routing=Routing(screen=screen))
    values = {"step": STEP, "media": "dial", "served_at": NOW - 60, **changes}
    return CallState("call_1", "AC1", "CA1", "+14155550123", None, route, (), NOW - 70, **values)


def fact(event: str, *, step: str = str(STEP), ago: float = 0.0) -> Fact:
    return Fact(event, step, "vapi", None, NOW - ago)


@pytest.mark.parametrize(
    ("status", "gone"),
    [
        ("ringing", False),
        ("in-progress", False),
        ("completed", True),
        ("canceled", True),
        ("failed", True),
        ("busy", True),
        ("no-answer", True),
        ("queued", False),
        ("initiated", False),
        ("answered", False),
        ("COMPLETED", False),
        ("something-new", False),
        ("", False),
    ],
)
def test_a_caller_is_gone_when_the_call_is_over(status: str, gone: bool):
    assert legs.is_caller_gone({"CallStatus": status}) is gone
    assert not legs.is_caller_gone({})


@pytest.mark.parametrize(
    ("params", "talked"),
    [
        ({"DialCallStatus": "completed", "DialCallDuration": "42"}, 42),
        ({"DialCallStatus": "completed", "DialCallDuration": "0"}, 0),
        ({"DialCallStatus": "answered", "DialCallDuration": "7"}, 7),
        ({"DialCallStatus": "completed"}, 60),
        ({"DialCallStatus": "completed", "DialCallDuration": "-1"}, 60),
        ({"DialCallStatus": "completed", "DialCallDuration": "many"}, 60),
        ({"DialCallStatus": "completed", "DialCallDuration": "٣"}, 60),
        ({"DialCallStatus": "busy", "DialCallDuration": "42"}, None),
        ({"DialCallStatus": "no-answer"}, None),
        ({"DialCallStatus": "failed"}, None),
        ({"DialCallStatus": "canceled"}, None),
        ({}, None),
    ],
)
def test_how_long_an_ai_had_the_caller_on_a_dial(params: dict[str, str], talked: float | None):
    assert legs.talk_seconds(state_of(), params, (), NOW) == talked


@pytest.mark.parametrize(
    ("facts", "served_ago", "talked"),
    [
        ([fact("call.answered", ago=30)], 40, 30),
        ([fact("call.answered", ago=1)], 40, 1),
        ([fact("call.answered", step="ai-2", ago=30)], 40, 40),  # another leg's
        ([], 40, 40),
        ([], 14.9, None),  # whether it began is unknown
        ([fact("handoff.failed", ago=39)], 40, None),
        ([fact("handoff.failed", step="ai-2", ago=39)], 40, 40),
        ([fact("handoff.failed", ago=2), fact("call.answered", ago=30)], 40, 30),  # it failed after it had begun
    ],
)
def test_how_long_an_ai_had_the_caller_on_a_stream(facts: list[Fact], served_ago: float, talked: float | None):
    state = state_of(media="stream", served_at=NOW - served_ago)
    assert legs.talk_seconds(state, {}, facts, NOW) == talked


@pytest.mark.parametrize(
    ("status", "media", "answered", "kind"),
    [
        ("busy", "dial", False, ErrorKind.AT_CAPACITY),
        ("no-answer", "dial", False, ErrorKind.TIMEOUT),
        ("failed", "dial", False, ErrorKind.UNREACHABLE),
        ("canceled", "dial", False, ErrorKind.UNREACHABLE),
        (None, "dial", False, ErrorKind.UNREACHABLE),
        (None, "stream", False, ErrorKind.UNREACHABLE),
        ("busy", "stream", False, ErrorKind.UNREACHABLE),
        ("completed", "dial", True, ErrorKind.PROVIDER_ERROR),
        (None, "stream", True, ErrorKind.PROVIDER_ERROR),
        (None, "redirect", False, ErrorKind.PROVIDER_ERROR),
    ],
)
def test_why_a_leg_became_no_conversation(status, media, answered, kind: ErrorKind):
    params = {} if status is None else {"DialCallStatus": status}
    assert legs.leg_failure(state_of(media=media), params, answered=answered) is kind


@pytest.mark.parametrize(
    ("served_ago", "facts", "refused"),
    [
        (0, [], True),
        (19.9, [], True),
        (20, [], False),
        (3600, [], False),
        (5, [fact("handoff.succeeded"), fact("handoff.requested")], True),
        *((5, [fact(event)], False) for event in ("ai.ended", "ai.failed", "ai.reported", "call.answered")),
        (5, [Fact("ai.ended", "provider", "retell", None, NOW)], True),  # another provider's
    ],
)
def test_a_redirect_that_fails_is_a_refusal_only_soon_and_before_the_provider_said_anything(served_ago, facts, refused):
    state = state_of(media="redirect", served_at=NOW - served_ago, rung=Rung("ai", "vapi"))
    assert legs.is_refused(state, facts, NOW) is refused


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"DialCallStatus": "busy"}, "busy"),
        ({"DialCallStatus": "no-answer"}, "no_answer"),
        ({"DialCallStatus": "failed"}, "unreachable"),
        ({"DialCallStatus": "something-new"}, "unreachable"),
        ({}, "unreachable"),
        ({"DialCallStatus": "completed"}, "not_accepted"),
        ({"DialCallStatus": "answered"}, "not_accepted"),
        ({"DialCallStatus": "canceled"}, "caller_gone"),
        ({"DialCallStatus": "no-answer", "CallStatus": "completed"}, "caller_gone"),
    ],
)
def test_why_the_owner_did_not_take_the_call(params, reason: str):
    assert legs.owner_miss(params) == reason
    assert reason in OWNER_MISSES


ACCEPTED = [fact("owner.accepted")]


@pytest.mark.parametrize(
    ("params", "facts", "talked"),
    [
        ({"DialCallStatus": "completed", "DialBridged": "true"}, ACCEPTED, True),
        ({"DialCallStatus": "completed"}, ACCEPTED, True),
        ({"DialCallStatus": "completed", "DialBridged": "false"}, ACCEPTED, False),  # the caller hung up meanwhile
        ({"DialCallStatus": "completed", "DialBridged": "true"}, [], False),  # a mailbox
        ({"DialCallStatus": "completed"}, [], False),
        ({"DialCallStatus": "no-answer"}, [], False),
        ({"DialCallStatus": "completed"}, [fact("owner.accepted", step="owner-9")], False),
        ({}, [], False),
    ],
)
def test_a_screened_owner_is_on_the_line_only_after_accepting(params, facts, talked: bool):
    assert legs.is_owner_on(state_of(), params, facts, facts_known=True) is talked


@pytest.mark.parametrize(("bridged", "talked"), [("true", True), ("false", False), (None, False)])
def test_without_the_database_the_bridge_alone_counts(bridged, talked: bool):
    params = {"DialCallStatus": "completed"} | ({} if bridged is None else {"DialBridged": bridged})
    assert legs.is_owner_on(state_of(), params, (), facts_known=False) is talked


@pytest.mark.parametrize(
    ("params", "talked"),
    [
        ({"DialCallStatus": "completed"}, True),
        ({"DialCallStatus": "completed", "DialBridged": "true"}, True),
        ({"DialCallStatus": "completed", "DialBridged": "false"}, False),
        ({"DialCallStatus": "no-answer"}, False),
        ({}, False),
    ],
)
def test_an_unscreened_owner_is_on_the_line_when_the_phone_was_answered(params, talked: bool):
    assert legs.is_owner_on(state_of(screen=False), params, (), facts_known=True) is talked


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("42", 42), ("999999", 999999), ("1000000", None), ("99999999999999", None), ("", None), ("1.5", None)],
)
def test_malformed_durations_are_none(text: str, seconds: int | None):
    assert legs.read_seconds({"CallDuration": text}, "CallDuration") == seconds


def test_a_missing_duration_is_none():
    assert legs.read_seconds({}, "CallDuration") is None
