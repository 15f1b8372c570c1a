"""Log lines for people at a terminal: time, level, the event and its reason first, then what else is known, ids last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

_EVENT_WIDTH: Final = 22
_LEAD_WIDTH: Final = 18
_LEADS: Final = ("reason", "outcome", "by", "cause", "message")
"""Fields that say what the event comes to. The first one that a line has is shown without its name."""
_OF_EVERY_LINE: Final = frozenset(
    {"timestamp", "level", "event", "exception", "replica", "request_id", "trace_id", "span_id"}
)
"""Shown in their own places, or, like what a collector sorts lines by, not at all."""
_IDS: Final = ("_id", "_sid", "_version")
_LEVELS: Final = {"debug": "debug", "info": "info", "warning": "warn", "error": "error"}
_COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31"}
_BOLD, _DIM, _CYAN = "1", "2", "36"


class TerminalRenderer:
    """Makes one line of an event's fields, and prints an exception below it."""

    def __init__(self, *, colors: bool) -> None:
        self._colors = colors

    def __call__(self, fields: Mapping[str, Any]) -> str:
        level = str(fields["level"])
        lead = next((name for name in _LEADS if name in fields), None)
        rest = [(name, value) for name, value in fields.items() if name not in _OF_EVERY_LINE and name != lead]
        ids = [pair for pair in rest if pair[0].endswith(_IDS)]
        parts = [
            self._paint(_DIM, _write_time(str(fields["timestamp"]))),
            self._paint(_COLOURS.get(level, "0"), f"{_LEVELS.get(level, level):<5}"),
            self._paint(_BOLD, f"{fields['event']:<{_EVENT_WIDTH}}"),
            self._paint(_COLOURS.get(level, "0"), f"{fields[lead] if lead else '':<{_LEAD_WIDTH}}"),
            *(f"{self._paint(_CYAN, name)}={_write(value)}" for name, value in rest if (name, value) not in ids),
            *(self._paint(_DIM, f"{name}={_write(value)}") for name, value in ids),
        ]
        return "\n".join([" ".join(parts).rstrip(), *_describe(fields.get("exception"))])

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colors else text


def _write_time(timestamp: str) -> str:
    """In local time: people compare it with their own clock."""
    return datetime.fromisoformat(timestamp).astimezone().strftime("%H:%M:%S.%f")[:-3]


def _write(value: Any) -> str:
    text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return repr(text) if " " in text or not text else text


def _describe(exception: Mapping[str, Any] | None) -> Iterator[str]:
    if exception is None:
        return
    yield f"  {exception['type']}"
    yield from (f"    {frame}" for frame in exception["frames"])
    yield from (f"    because of {cause}" for cause in exception["causes"])
