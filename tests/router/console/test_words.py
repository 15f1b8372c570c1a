"""The console has words for whatever the service may say."""

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


def test_every_reason_why_nobody_took_a_call_has_words():
    assert words.REASONS.keys() >= {*HANDOFF_FAILURES, *SKIP_REASONS, *(reason.value for reason in SkipReason)}


def test_every_mode_of_a_ladder_has_words():
    modes = get_args(Mode)
    assert set(words.MODES) == set(modes)
    assert words.REASONS.keys() >= {f"{name}_is_{mode}" for mode in modes for name in ("mode", "closed_mode")}


def test_everything_that_is_noted_in_the_audit_log_has_words():
    source = "".join(path.read_text() for path in ROUTER.rglob("*.py"))
    noted = set(re.findall(r'\.record\(\s*"([a-z_.]+)"', source))
    assert noted
    assert noted <= words.ACTIONS.keys()


@pytest.mark.parametrize("name", [None, "something_new", "thing.that_happened"])
def test_a_name_that_is_new_here_is_still_readable(name: str | None):
    said = words.say(name, {})
    assert "_" not in said
    assert said
