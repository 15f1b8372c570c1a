"""What calls are searched by, and calls as a sheet (CSV)."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from adapters.phone import is_e164
from router.api.moments import Between, require_order
from router.api.pages import Page
from router.callers import find_spellings
from router.errors import InvalidError
from router.store.calls.history import PastCall
from router.store.calls.search import Wanted, find_client_names, list_examples, search_calls
from router.store.pool import Database

Outcome = Literal["ai", "owner", "voicemail", "abandoned", "rejected"]

_COLUMNS: Final = (
    *("id", "call_sid", "client_id", "client", "from", "to", "provider", "outcome", "started_at", "answered_at"),
    *("ended_at", "seconds", "cost"),
)
_FORMULAS: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # the last four are these signs in full width
_ROWS: Final = 500  # read at once


def _with_plus(text: Any) -> Any:
    """A plus sign that was not percent-encoded arrives as a space."""
    return f"+{text[1:]}" if isinstance(text, str) and text.startswith(" ") else text


def _with_a_word(text: str) -> str:
    if not any(char.isalnum() for char in text):
        raise ValueError("must hold a word")
    return text


_Number = Annotated[str, StringConstraints(min_length=1, max_length=100), BeforeValidator(_with_plus)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=80)]


class CallQuery(Between, Page):
    """Which calls are wanted. Left out, a filter lets all pass."""

    client_id: Annotated[_Name | None, Field(description="The client that was called")] = None
    number: Annotated[
        _Number | None,
        Field(
            description="The client's number that was called, in any spelling, also as in the countries of the agency's "
            "numbers",
            examples=["+14155550123", "(415) 555-0123"],
        ),
    ] = None
    caller: Annotated[
        _Number | None,
        Field(description="The caller's number, likewise, or `withheld`", examples=["+14155550199", "withheld"]),
    ] = None
    outcome: Annotated[
        Literal["ai", "owner", "voicemail", "abandoned", "rejected", "in_progress"] | None,
        Field(description="How they ended, or `in_progress`"),
    ] = None
    answered_by: Annotated[
        Literal["ai", "owner", "voicemail"] | None, Field(description="Who answered, whatever came after")
    ] = None
    provider: Annotated[_Name | None, Field(description="The voice provider that had them last")] = None
    q: Annotated[
        str | None,
        StringConstraints(max_length=200),
        AfterValidator(_with_a_word),
        Field(
            description="Words of the transcript, the summary or the message: all of them, in any order. From three "
            "letters on they are also found as beginnings of longer words",
            examples=["appointment thursday"],
        ),
    ] = None

    async def read_wanted(self, database: Database, agency_id: str) -> Wanted:
        """Raises InvalidError."""
        since, until = self.read_ends()
        if since is not None and until is not None:
            require_order(since, until)
        typed = {name: text for name, text in (("number", self.number), ("caller", self.caller)) if text is not None}
        is_national = any("+" not in text for text in typed.values())
        near = await list_examples(database.settings, agency_id) if is_national else ()
        read = {name: _read_number(name, text, near) for name, text in typed.items()}
        return Wanted(
            since=since,
            until=until,
            client_id=self.client_id,
            numbers=read.get("number"),
            callers=read.get("caller"),
            outcome=self.outcome,
            answered_by=self.answered_by,
            provider=self.provider,
            words=self.q,
        )


def _read_number(name: str, text: str, near: Sequence[str]) -> tuple[str, ...]:
    found = find_spellings(text, near)
    if not found:
        raise InvalidError(name, "must be a phone number, such as +14155550123")
    return found


async def write_sheet(database: Database, agency_id: str, wanted: Wanted, page: Page) -> AsyncIterator[str]:
    """All calls from the cursor on, a few at a time. The first are read at once: raises TooSlowError. What breaks off later
    breaks off the answer: half a file is not a whole.
    """
    first = await search_calls(database, agency_id, wanted, after=page.position, limit=_ROWS)
    return _write_from(first, database, agency_id, wanted)


async def _write_from(
    calls: Sequence[PastCall], database: Database, agency_id: str, wanted: Wanted
) -> AsyncIterator[str]:
    yield _write_rows([_COLUMNS])
    while calls:
        names = await find_client_names(database.settings, agency_id, sorted({call.client_id for call in calls}))
        yield _write_rows([_row(call, names) for call in calls])
        if len(calls) < _ROWS:
            return
        after = (calls[-1].started_at, calls[-1].id)
        calls = await search_calls(database, agency_id, wanted, after=after, limit=_ROWS)


def _row(call: PastCall, names: Mapping[str, str]) -> list[Any]:
    told = call.as_json() | {"client": names.get(call.client_id)}
    return [_defuse(told[name]) for name in _COLUMNS]


def _defuse(value: Any) -> Any:
    """Spreadsheets run texts that look like formulas, unless an apostrophe stands before them."""
    if isinstance(value, str) and value.startswith(_FORMULAS) and not is_e164(value):
        return f"'{value}"
    return value


def _write_rows(rows: Sequence[Sequence[Any]]) -> str:
    sheet = io.StringIO()
    csv.writer(sheet).writerows(rows)
    return sheet.getvalue()
