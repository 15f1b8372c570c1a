"""The catalogue of log events: every event that may be logged, and every field that it may carry.

An allow-list: what is not declared here is not logged. `python -m router.telemetry` prints the JSON Schema for
deploy/log-events.schema.json.
"""

from __future__ import annotations

from typing import Any, Final, get_args

from router.telemetry.events.calls import CALL_PATH
from router.telemetry.events.service import SERVICE
from router.telemetry.events.settings import SETTINGS
from router.telemetry.events.words import NOT_A_NUMBER, OF_EVERY_LINE, Event, Field, Level

__all__ = ["CALL_EVENTS", "CATALOGUE", "EVENTS", "OF_EVERY_LINE", "Event", "Field", "Level", "make_schema"]

CATALOGUE: Final[tuple[Event, ...]] = (*SERVICE, *CALL_PATH, *SETTINGS)

EVENTS: Final[dict[str, Event]] = {event.name: event for event in CATALOGUE}

CALL_EVENTS: Final[frozenset[str]] = frozenset(
    name for name in EVENTS if name.split(".")[0] in {"ai", "call", "handoff", "owner", "voicemail"}
)
"""The events of a call's timeline; the log uses the same names."""


def make_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a log line: one of the events, with its own fields and no others."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "callrouter log line",
        "description": "One JSON object per line on standard output.",
        "type": "object",
        "oneOf": [{"$ref": f"#/$defs/{event.name}"} for event in CATALOGUE],
        "$defs": {event.name: _describe_event(event) for event in CATALOGUE},
    }


def _describe_event(event: Event) -> dict[str, Any]:
    return {
        "type": "object",
        "description": event.meaning,
        "properties": {
            "timestamp": {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT[0-9:.]+Z$"},
            "level": {"const": event.level} if event.level else {"enum": list(get_args(Level))},
            "event": {"const": event.name},
            **{field.name: _describe_field(field) for field in (*OF_EVERY_LINE, *event.fields)},
        },
        "required": [
            "timestamp",
            "level",
            "event",
            *(field.name for field in (*OF_EVERY_LINE, *event.fields) if field.required),
        ],
        "additionalProperties": False,
    }


def _describe_field(field: Field) -> dict[str, Any]:
    if field.values:
        return {"enum": list(field.values), "description": field.meaning}
    if field.type == "number_e164":
        pattern = rf"^(\+[*0-9]{{7,15}}|{NOT_A_NUMBER})$"
        return {"type": "string", "pattern": pattern, "description": field.meaning}
    if field.type == "exception":
        strings = {"type": "array", "items": {"type": "string"}}
        return {
            "type": "object",
            "description": field.meaning,
            "properties": {"type": {"type": "string"}, "frames": strings, "causes": strings},
            "required": ["type", "frames", "causes"],
            "additionalProperties": False,
        }
    return {"type": field.type, "description": field.meaning}
