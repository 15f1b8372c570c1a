"""A client's settings as a form, and the form as the API's body.

The API has spans of hours with their weekdays; the form has weekdays with their spans.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from router.console.forms import Form
from router.console.words import DAYS
from router.routing.route import Routing

_CLEARED_WHEN_EMPTY: Final = ("personal_phone", "notify_email", "provider")
_LEAST_SPANS: Final = 2  # a day with a lunch break
_USUAL: Final = ("09:00", "17:00")
_ALL_DAY: Final = ("00:00", "24:00")
_WORKDAYS: Final = ("mon", "tue", "wed", "thu", "fri")
_DEFAULTS: Final[dict[str, Any]] = asdict(Routing()) | {"voicemail_greeting": ""}

NEW_CLIENT: Final[Mapping[str, Any]] = {"name": "", "caller_id": "caller", "routing": {}}

Spans = dict[str, list[tuple[str, str]]]


def values_of(client: Mapping[str, Any]) -> dict[str, Any]:
    """The form's values for a client as the API shows it."""
    routing = _DEFAULTS | {name: value for name, value in client["routing"].items() if value is not None}
    hours = routing.pop("hours")
    return {
        **{name: client.get(name) or "" for name in ("name", *_CLEARED_WHEN_EMPTY)},
        "caller_id": client["caller_id"],
        **routing,
        "has_hours": hours is not None,
        "timezone": hours["timezone"] if hours else "",
        "closed_mode": hours["closed_mode"] if hours else "voicemail",
        **_shown(_by_day(hours["open"]) if hours else {day: [_USUAL] for day in _WORKDAYS}),
    }


def read_values(form: Form) -> dict[str, Any]:
    """What was sent, for the body or for showing the form again."""
    texts = ("name", "caller_id", "mode", "on_failure", "timezone", "closed_mode", "voicemail_greeting")
    return {
        **form.texts(*texts, *_CLEARED_WHEN_EMPTY),
        **{name: form.number(name) for name in ("ring_seconds", "voicemail_seconds")},
        **{name: form.ticked(name) for name in ("screen", "transcribe", "has_hours")},
        **_shown({day: _read_spans(form, day) for day in DAYS}),
    }


def body_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The body of POST and PATCH: all fields, so that an emptied one is cleared."""
    routing: dict[str, Any] = {
        name: values[name]
        for name in ("mode", "on_failure", "ring_seconds", "screen", "voicemail_seconds", "transcribe")
        if values[name] not in ("", None)
    }
    routing["voicemail_greeting"] = values["voicemail_greeting"] or None
    if values["has_hours"]:
        routing["hours"] = {
            "timezone": values["timezone"],
            "open": [{"days": days, "from": start, "to": end} for (start, end), days in _by_span(values).items()],
            "closed_mode": values["closed_mode"],
        }
    return {
        **{name: values[name] or None for name in _CLEARED_WHEN_EMPTY},
        "name": values["name"],
        "caller_id": values["caller_id"],
        "routing": routing,
    }


def place_of(field: str, values: Mapping[str, Any]) -> str | None:
    """The form's field for one of the body's."""
    parts = field.split(".")
    if parts[:3] == ["routing", "hours", "open"]:
        spans = list(_by_span(values).values())
        number = parts[3] if len(parts) > 3 else ""  # noqa: PLR2004 - the span's place in the list
        known = number.isdecimal() and int(number) < len(spans)
        return f"hours_{spans[int(number)][0]}" if known else "hours_mon"
    name = parts[-1]
    return name if name in values or name == "has_hours" else None


def _by_day(spans: list[dict[str, Any]]) -> Spans:
    days: Spans = {}
    for span in spans:
        for day in span["days"]:
            days.setdefault(day, []).append((span["from"], span["to"]))
    return {day: sorted(found) for day, found in days.items()}


def _by_span(values: Mapping[str, Any]) -> dict[tuple[str, str], list[str]]:
    """The days of each span; empty pairs of fields are left out."""
    found: dict[tuple[str, str], list[str]] = {}
    for day in DAYS:
        for start, end in [_ALL_DAY] if day in values["all_day"] else values["spans"].get(day, ()):
            span = start, "24:00" if end == "00:00" else end  # the end of the day, which a time field cannot say
            if span != ("", "") and day not in found.setdefault(span, []):
                found[span].append(day)
    return found


def _shown(spans: Spans) -> dict[str, Any]:
    """The days that are open 24 hours, and the fields of the others, in which midnight is 00:00."""
    all_day = {day for day, found in spans.items() if _ALL_DAY in found}
    fields = {
        day: [(start, "00:00" if end == "24:00" else end) for start, end in found]
        for day, found in spans.items()
        if day not in all_day
    }
    return {"all_day": all_day, "spans": _pad(fields)}


def _read_spans(form: Form, day: str) -> list[tuple[str, str]]:
    if form.ticked(f"{day}_all_day"):
        return [_ALL_DAY]
    starts, ends = form.get_all(f"{day}_from"), form.get_all(f"{day}_to")
    return [(start.strip(), end.strip()) for start, end in zip(starts, ends, strict=False)]


def _pad(spans: Spans) -> Spans:
    """The same number of fields for each day: as many as the fullest day needs, at least two."""
    filled = {day: [span for span in spans.get(day, ()) if span != ("", "")] for day in DAYS}
    columns = max(_LEAST_SPANS, *(len(found) for found in filled.values()))
    return {day: found + [("", "")] * (columns - len(found)) for day, found in filled.items()}
