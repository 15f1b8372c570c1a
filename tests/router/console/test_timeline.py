"""The story of a call: what its page says from the events that were recorded."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.registry import PROVIDERS
from router.console import words
from router.console.kinds import kinds_of
from router.console.timeline import list_misses, say_end, tell_story
from router.telemetry.events.words import OWNER_MISSES

KINDS = kinds_of(PROVIDERS)
BEGAN = "2026-03-02T09:00:00+00:00"


def event(name: str, seconds: float = 0.0, **facts: Any) -> dict[str, Any]:
    minutes, rest = divmod(seconds, 60)
    at = f"2026-03-02T09:{int(minutes):02d}:{rest:09.6f}+00:00"
    return {"event": name, "at": at, "step": None, "provider": None, "reason": None, "duration_ms": None} | facts


def call(*events: dict[str, Any], outcome: str | None = "voicemail") -> dict[str, Any]:
    return {"started_at": BEGAN, "outcome": outcome, "events": list(events)}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "+0.0 s"), (0.26, "+0.3 s"), (6, "+6.0 s"), (59.94, "+59.9 s"), (65, "+1 min 05 s"), (3599.6, "+1 h 00 min")],
)
def test_each_line_says_how_long_after_the_call_came_in(seconds: float, shown: str):
    (line,) = tell_story(call(event("call.answered", seconds, reason="ai")), KINDS)
    assert line.after == shown


def test_a_computed_time_before_the_call_counts_as_its_beginning():
    (line,) = tell_story({"started_at": "2026-03-02T09:00:01Z", "events": [event("call.received")]}, KINDS)
    assert line.after == "+0.0 s"


def test_a_call_that_no_one_took_says_who_did_not_and_why():
    events = (
        event("call.received"),
        event("handoff.failed", 1, provider="vapi", reason="timeout"),
        event("handoff.skipped", 1, provider="retell", reason="no_key"),
        event("owner.ringing", 2),
        event("owner.missed", 9, reason="busy"),
        event("call.answered", 9, reason="voicemail"),
    )
    assert list_misses(call(*events), KINDS) == [
        ("Vapi", "The provider did not answer in time"),
        ("Retell", "No key is saved for it"),
        ("Owner's phone", "Busy, or declined on the phone"),
    ]
    assert list_misses(call(*events, outcome="owner"), KINDS) == []


@pytest.mark.parametrize(
    ("provider", "reason", "said"),
    [
        ("vapi", "customer-ended-call", "The caller hung up"),
        ("retell", "user_hangup", "The caller hung up"),
        ("bland", "USER", "The caller hung up"),
        ("vapi", "some-new-reason", "Some new reason"),
        ("another", "timeout", "The provider did not answer in time"),
        (None, "timeout", "The provider did not answer in time"),
    ],
)
def test_a_providers_word_for_the_end_is_said_in_ours(provider: str | None, reason: str, said: str):
    assert say_end(reason, provider, KINDS) == said


def test_every_reason_why_the_owner_missed_a_call_has_words():
    assert words.REASONS_OF["owner.missed"].keys() == set(OWNER_MISSES)


@pytest.mark.parametrize(
    ("name", "reason", "said"),
    [
        ("call.answered", "ai", "By the AI"),
        ("call.ended", "abandoned", "The caller hung up before anyone had answered"),
        ("call.capped", "caller", "This caller had as many calls as one may"),
        ("ai.ended", "customer-ended-call", "The caller hung up"),
    ],
)
def test_a_reason_is_a_sentence(name: str, reason: str, said: str):
    (line,) = tell_story(call(event(name, provider="vapi", reason=reason)), KINDS)
    assert line.why == said
