"""Lists in pages. A cursor is the position of the last item shown; it opens nothing by itself."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from router.api.problems import invalid

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
_CURSOR: Final = re.compile(r"(0|[1-9]\d{0,16})\.([A-Za-z0-9_+]{1,80})", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Page:
    """How many items are wanted, and after which."""

    limit: int = DEFAULT_LIMIT
    after: tuple[datetime, str] | None = None

    @property
    def fetch(self) -> int:
        """One more than is shown tells whether there is a next page."""
        return self.limit + 1

    def cut(
        self, rows: Sequence[_Row], position: Callable[[_Row], tuple[datetime, str]]
    ) -> tuple[Sequence[_Row], str | None]:
        """The rows of this page, and the cursor of the next one."""
        if len(rows) <= self.limit:
            return rows, None
        shown = rows[: self.limit]
        return shown, _write_cursor(position(shown[-1]))


def read_page(query: Mapping[str, str]) -> Page:
    """From `limit` and `cursor`. Raises Problem."""
    return Page(_read_limit(query.get("limit")), _read_cursor(query.get("cursor")))


def _read_limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not re.fullmatch(r"[1-9]\d{0,2}", text, re.ASCII) or int(text) > MAX_LIMIT:
        raise invalid("limit", f"must be a number from 1 to {MAX_LIMIT}")
    return int(text)


def _read_cursor(text: str | None) -> tuple[datetime, str] | None:
    if text is None:
        return None
    try:
        plain = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError):
        plain = ""
    match = _CURSOR.fullmatch(plain)
    if match is None:
        raise invalid("cursor", "must be the next_cursor of an earlier answer; leave it out for the first page")
    return _EPOCH + timedelta(microseconds=int(match[1])), match[2]


def _write_cursor(position: tuple[datetime, str]) -> str:
    at, row_id = position
    return base64.urlsafe_b64encode(f"{(at - _EPOCH) // _MICROSECOND}.{row_id}".encode()).decode()
