"""The ends of a span in the address of a request: a day, or a moment."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from router.errors import InvalidError
from router.fields import Matching

_DAY: Final = r"2[0-9]{3}-[0-9]{2}-[0-9]{2}"
_TIME: Final = r"[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"


def _with_plus(text: Any) -> Any:
    """An unencoded plus sign arrives as a space."""
    return text.replace(" ", "+") if isinstance(text, str) else text


Moment = Annotated[
    str,
    Matching(
        f"{_DAY}({_TIME})?",
        "must be a day, such as 2026-03-31, or a time by RFC 3339, such as 2026-03-31T12:00:00Z",
    ),
    BeforeValidator(_with_plus),
]


def read_moment(text: str | None, name: str, whole_day: timedelta) -> datetime | None:
    """A day is one in UTC, and stands for its beginning and so much more. Raises InvalidError."""
    if text is None:
        return None
    try:
        if re.fullmatch(_DAY, text):
            return datetime.combine(date.fromisoformat(text), time(), UTC) + whole_day
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except ValueError:
        raise InvalidError(name, "must be a day or a time that exists") from None
