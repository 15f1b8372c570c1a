"""The console has words for every name that the service uses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from router.console import words
from router.routing.route import Mode, SkipReason
from router.telemetry import CALL_EVENTS
from router.telemetry.events.words import HANDOFF_FAILURES, SKIP_REASONS

ROUTER = Path(words.__file__).parents[1]


def test_every_event_of_a_call_has_words():
    assert set(words.EVENTS) == set(CALL_EVENTS)


def test_every_reason_on_a_calls_timeline_has_words():
    assert words.REASONS.keys() >= {*HANDOFF_FAILURES, *SKIP_REASONS, *(reason.value for reason in SkipReason)}
    assert words.say("ai", words.REASONS) == "AI"
    assert words.REASONS.keys() >= words.OUTCOMES.keys()


def test_every_mode_of_a_ladder_has_words():
    modes = get_args(Mode)
    assert set(words.MODES) == set(modes)
    assert words.REASONS.keys() >= {f"{name}_is_{mode}" for mode in modes for name in ("mode", "closed_mode")}


def test_every_action_in_the_audit_log_has_words():
    source = "".join(path.read_text() for path in ROUTER.rglob("*.py"))
    noted = set(re.findall(r'\.record\(\s*"([a-z_.]+)"', source))
    assert noted
    assert noted <= words.ACTIONS.keys()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (None, "–"),
        ("something_new", "Something new"),
        ("thing.that_happened", "Thing: that happened"),
        ("customer-ended-call", "Customer ended call"),
    ],
)
def test_a_name_without_words_is_made_readable(name: str | None, said: str):
    assert words.say(name, {}) == said


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("en-US", "English (United States)"),
        ("es-419", "Spanish (Latin America)"),
        ("zh-Hant-TW", "Chinese (Traditional, Taiwan)"),
        ("no", "Norwegian"),
        ("english please", "english please"),
    ],
)
def test_languages_are_called_by_their_names(tag: str, name: str):
    assert words.name_language(tag) == name


def test_every_language_that_is_offered_has_a_name_of_its_own():
    names = [name for _, name in words.language_options()]
    assert len(set(names)) == len(words.LANGUAGES)
    assert not any("-" in name for name in names)
