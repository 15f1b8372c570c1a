"""What calls teach about keys is written down behind them: seldom, for the version it is about, and never twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.base import ErrorKind
from adapters.portable import Lines
from crypto import Keyring, new_key_entry
from router.calls.events import CallEvents
from router.calls.key_notes import KeyNotes
from router.calls.recorder import Recorder
from router.calls.spool import Spool
from router.routing.circuit import Usage
from router.routing.route import Access
from router.store.calls.records import SetProvider
from router.store.guard import Guard
from router.store.pool import Database, connect
from tests.router.routing.providers import make_route
from tests.router.store.rows import AT, insert

pytestmark = pytest.mark.anyio

KEY = Usage("agency_1", "vapi", 1)


class Time:
    """Stands still until a test moves it: both clocks."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def wall(self) -> Any:
        return AT + timedelta(seconds=self.seconds)

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def recorder(database_dsn: str, tmp_path: Path) -> AsyncIterator[Recorder]:
    recorder = Recorder(
        partial(connect, database_dsn), Guard(), Spool(tmp_path / "spool", Keyring.parse(new_key_entry()))
    )
    recorder.start()
    yield recorder
    await recorder.aclose()


@pytest.fixture
async def notes(database: Database, recorder: Recorder, time: Time) -> KeyNotes:
    db = database.settings
    await insert(db, "agencies", id="agency_1")
    await insert(
        db, "keys", agency_id="agency_1", kind="vapi", sealed="sealed", check_at=time.wall() + timedelta(minutes=10)
    )
    return KeyNotes(database, recorder, time.wall, time)


async def row(database: Database) -> Any:
    return await database.settings.fetchrow("SELECT * FROM keys")


async def lines(database: Database) -> tuple[int, int, int]:
    found = await row(database)
    return found["lines_limit"], found["lines_used"], found["lines_others"]


async def test_lines_are_written_down_every_ten_seconds_at_most_unless_there_are_more_or_fewer(notes, database, time):
    for used, at, known in ((1, 0, 1), (2, 5, 1), (3, 11, 3)):
        time.seconds = 1000.0 + at
        notes.note_lines(KEY, Lines(10, used))
        await notes.write()
        assert await lines(database) == (10, known, known)
    notes.note_lines(KEY, Lines(20, 4))
    await notes.write()
    assert await lines(database) == (20, 4, 4)


async def test_our_own_calls_are_not_others_also_when_they_have_ended_since(notes, database, recorder, time):
    for call_id, ended in (("on", None), ("over", timedelta(seconds=1)), ("before", timedelta(seconds=-60))):
        await insert(
            database.settings,
            "calls",
            id=call_id,
            call_sid=call_id,
            agency_id="agency_1",
            client_id="client_1",
            started_at=time.wall() - timedelta(minutes=5),
            ended_at=None if ended is None else time.wall() + ended,
        )
        recorder.note(SetProvider(call_id, "vapi", time.wall()))
    notes.note_lines(KEY, Lines(10, 5))
    await notes.write()
    assert await lines(database) == (10, 5, 3)


async def test_what_is_said_of_an_earlier_key_is_let_go(notes, database):
    notes.note_lines(Usage("agency_1", "vapi", 0), Lines(10, 1))
    notes.note_refusal(Usage("agency_1", "vapi", 0))
    notes.note_overflow(Usage("agency_1", "vapi", 0))
    before = await row(database)
    await notes.write()
    assert await row(database) == before


async def test_a_refused_call_brings_the_next_look_forward(notes, database, time):
    notes.note_refusal(KEY)
    await notes.write()
    assert (await row(database))["check_at"] == time.wall()


async def test_refusals_bring_no_look_about_right_after_one(notes, database, time):
    await database.settings.execute("UPDATE keys SET checked_at = $1", time.wall() - timedelta(seconds=30))
    before = await row(database)
    notes.note_refusal(KEY)
    await notes.write()
    assert await row(database) == before


async def test_the_agency_is_told_again_when_more_lines_are_still_not_enough(notes, database, time):
    async def letters() -> int:
        return await database.settings.fetchval("SELECT count(*) FROM letters")

    async def overflow(limit: int) -> int:
        time.seconds += 61
        notes.note_lines(KEY, Lines(limit, limit))
        await notes.write()
        notes.note_overflow(KEY)
        await notes.write()
        waiting = await letters()
        await database.settings.execute("DELETE FROM letters")
        return waiting

    assert [await overflow(limit) for limit in (3, 3, 2, 5, 5)] == [1, 0, 0, 1, 0]


async def test_while_the_database_is_away_nothing_piles_up(notes, database, recorder):
    notes.note_lines(KEY, Lines(10, 1))
    await recorder.aclose()
    recorder.note(SetProvider("call", "vapi", AT))
    await notes.write()
    assert (await row(database))["lines_limit"] is None


@pytest.mark.parametrize(
    ("failure", "noted"), [(ErrorKind.OUT_OF_CREDIT, True), (ErrorKind.KEY_REJECTED, False), (ErrorKind.TIMEOUT, False)]
)
async def test_a_call_refused_for_lack_of_credit_is_noted_even_if_the_key_was_just_checked(
    notes, recorder, database, time, failure, noted
):
    await database.settings.execute("UPDATE keys SET checked_at = $1", time.wall())
    route = make_route(Access("vapi", key_version=1), agency_id=KEY.agency_id)
    CallEvents(recorder, time.wall, notes).learn_of_failure(route, "vapi", failure)
    await notes.write()
    assert (await row(database))["credit_refused_at"] == (time.wall() if noted else None)


async def test_a_lack_of_credit_is_not_noted_for_another_version_of_the_key(notes, database):
    notes.note_no_credit(Usage("agency_1", "vapi", 2))
    await notes.write()
    assert (await row(database))["credit_refused_at"] is None
