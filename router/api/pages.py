"""Lists in pages. A cursor is the position of the last item shown; it opens nothing by itself."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Generic, TypeVar

import fastapi
from pydantic import AfterValidator, BeforeValidator, Field

from router.fields import Output, Query, WholeNumber

_CURSOR: Final = re.compile(r"(0|[1-9]\d{0,16})\.([A-Za-z0-9_+]{1,80})", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_Row = TypeVar("_Row")
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Listed(Generic[_Row]):
    """The rows of one page, and the cursor of the next."""

    items: Sequence[_Row]
    next_cursor: str | None


class ListOf(Output, Generic[_Item]):
    """One page of a list."""

    items: Annotated[list[_Item], Field(description="In the order in which the list is sorted")]
    next_cursor: Annotated[str | None, Field(description="`cursor` of the next page; null: this is the last one")] = (
        None
    )


def _read_cursor(text: str) -> tuple[datetime, str] | None:
    try:
        plain = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError):
        return None
    match = _CURSOR.fullmatch(plain)
    return None if match is None else (_EPOCH + timedelta(microseconds=int(match[1])), match[2])


def _write_cursor(position: tuple[datetime, str]) -> str:
    at, row_id = position
    return base64.urlsafe_b64encode(f"{(at - _EPOCH) // _MICROSECOND}.{row_id}".encode()).decode()


def _plain_digits(value: Any) -> Any:
    """`int` also reads `1_0` and ` 5`."""
    return "" if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,9}", value) else value


def _known_cursor(text: str) -> str:
    if _read_cursor(text) is None:
        raise ValueError("must be the next_cursor of an earlier answer; leave it out for the first page")
    return text


class Page(Query):
    """How many items are wanted, and after which."""

    limit: Annotated[
        int,
        WholeNumber(1, 200),
        BeforeValidator(_plain_digits),
        Field(description="How many items at most"),
    ] = 50
    cursor: Annotated[
        str | None, AfterValidator(_known_cursor), Field(description="The next_cursor of the page before")
    ] = None

    @property
    def position(self) -> tuple[datetime, str] | None:
        """Of the last item of the page before."""
        return None if self.cursor is None else _read_cursor(self.cursor)

    async def read(
        self,
        list_rows: Callable[..., Awaitable[Sequence[_Row]]],
        *where: Any,
        position: Callable[[Any], tuple[datetime, str]] = lambda row: (row.created_at, row.id),
        **only: str | None,
    ) -> Listed[_Row]:
        """The page of the rows that a function of the store lists in the order of `position`."""
        rows = await list_rows(
            *where, **only, after=self.position, limit=self.limit + 1
        )  # one more tells of a next page
        if len(rows) <= self.limit:
            return Listed(rows, None)
        shown = rows[: self.limit]
        return Listed(shown, _write_cursor(position(shown[-1])))


PageQuery = Annotated[Page, fastapi.Query()]
