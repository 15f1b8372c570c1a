"""A span in the address of a request: each end is a day, or a moment."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from router.errors import InvalidError
from router.fields import Matching, Query

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


class Between(Query):
    """When calls came in."""

    since: Annotated[
        Moment | None,
        Field(
            alias="from",
            description="The first day on which they came in, in UTC, or a time by RFC 3339",
            examples=["2026-03-01", "2026-03-01T09:00:00Z"],
        ),
    ] = None
    until: Annotated[
        Moment | None,
        Field(
            alias="to",
            description="The last day, in UTC, or the time by RFC 3339 before which they came in",
            examples=["2026-03-31", "2026-03-31T18:00:00Z"],
        ),
    ] = None

    def read_ends(self) -> tuple[datetime | None, datetime | None]:
        """From the first up to, not including, the second. A day is one in UTC, and as `to` it is included.

        Raises InvalidError.
        """
        return _read_moment(self.since, "from", timedelta()), _read_moment(self.until, "to", timedelta(days=1))


def require_order(since: datetime, until: datetime) -> None:
    """Raises InvalidError."""
    if since >= until:
        raise InvalidError("from", "must be before to")


def _read_moment(text: str | None, name: str, whole_day: timedelta) -> datetime | None:
    """A day is one in UTC, and stands for its beginning and so much more. Raises InvalidError."""
    if text is None:
        return None
    try:
        if re.fullmatch(_DAY, text):
            return datetime.combine(date.fromisoformat(text), time(), UTC) + whole_day
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except ValueError:
        raise InvalidError(name, "must be a day or a time that exists") from None
