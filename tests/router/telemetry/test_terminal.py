"""How log lines look to people at a terminal."""

from __future__ import annotations

import re
from typing import Any

from router.telemetry.terminal import TerminalRenderer

FAILED = {
    "timestamp": "2026-03-02T12:00:00.123456Z",
    "level": "warning",
    "event": "handoff.failed",
    "call_id": "call_1",
    "agency_id": "agency_1",
    "provider": "vapi",
    "duration_ms": 6000.1,
    "reason": "timeout",
    "status": 503,
}


def render(*, colors: bool = False, **fields: Any) -> str:
    return TerminalRenderer(colors=colors)(FAILED | fields)


def test_the_event_and_its_reason_come_first_and_ids_last():
    words = render().split()
    assert words[1:] == [
        "warn",
        "handoff.failed",
        "timeout",
        "provider=vapi",
        "duration_ms=6000.1",
        "status=503",
        "call_id=call_1",
        "agency_id=agency_1",
    ]
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.123", words[0])


def test_lines_are_aligned_whatever_their_events_and_reasons_are():
    lines = [render(), render(event="call.answered", reason="no_key"), render(level="info", event="x.y", reason="a")]
    assert len({line.index("provider=") for line in lines}) == 1


def test_an_outcome_stands_in_for_a_reason_and_texts_with_spaces_are_quoted():
    fields = {name: value for name, value in FAILED.items() if name != "reason"}
    line = TerminalRenderer(colors=False)(fields | {"outcome": "ai", "name": "two words", "held": True})
    assert "handoff.failed         ai" in line
    assert "name='two words' held=yes" in line


def test_colours_are_for_terminals_alone():
    assert "\x1b[33mwarn \x1b[0m" in render(colors=True)
    assert "\x1b" not in render()


def test_an_exception_stands_below_its_line():
    described = {"type": "ValueError", "frames": ["a.py:1 in f"], "causes": ["KeyError"]}
    assert render(exception=described).splitlines()[1:] == [
        "  ValueError",
        "    a.py:1 in f",
        "    because of KeyError",
    ]
