"""Pages of a list, and the dates that lists are filtered by. Source: Twilio docs, Twilio's Response (paging)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from adapters.sandbox.api import Asked, Json, Refusal

_LARGEST: Final = 1000


def page_of(name: str, records: list[Json], asked: Asked) -> Json:
    """The page that was asked for; the filters that were asked with are in the addresses of the others."""
    size, page = _number(asked, "PageSize", 50), _number(asked, "Page", 0)
    size = min(max(size, 1), _LARGEST)
    here = records[page * size : (page + 1) * size]

    def address(number: int) -> str:
        token = {"PageToken": f"PA{number:032x}"} if number else {}
        return f"{asked.path}?{urlencode({**asked.query, 'PageSize': size, 'Page': number} | token)}"

    return {
        name: here,
        "page": page,
        "page_size": size,
        "start": page * size,
        "end": page * size + max(0, len(here) - 1),
        "uri": address(page),
        "first_page_uri": address(0),
        "previous_page_uri": address(page - 1) if page else None,
        "next_page_uri": address(page + 1) if len(records) > (page + 1) * size else None,
    }


def is_within(moment: datetime, asked: Asked, name: str) -> bool:
    """Whether a moment meets the filters `name`, `name<` and `name>`, which hold days or moments in UTC."""
    day, after, before = (_moment(asked.query.get(each)) for each in (name, f"{name}>", f"{name}<"))
    return (
        (day is None or moment.date() == day.date())
        and (after is None or moment >= after)
        and (before is None or moment < before)
    )


def _moment(written: str | None) -> datetime | None:
    if not written:
        return None
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise Refusal(400, f"{written} is not a date") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(asked: Asked, name: str, default: int) -> int:
    written = asked.query.get(name, str(default))
    if not written.isdecimal():
        raise Refusal(400, f"{name} must be a number")
    return int(written)
