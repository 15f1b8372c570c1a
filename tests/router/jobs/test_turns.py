"""Turns: agencies' rows are worked on one agency after the other, however many rows an agency has."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest

from router.clock import utc_now
from router.jobs import Job, JobRunner, Turns, ask_for_turn
from router.store.pool import Database
from router.store.turns import begin_turn, end_turn
from tests.router.jobs.conftest import running
from tests.router.store.rows import AT, insert
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

WORK = "test.rows"


@pytest.fixture(autouse=True)
async def agencies(database: Database) -> None:
    for agency_id in ("busy", "calm", "other"):
        await insert(database.settings, "agencies", id=agency_id, name=agency_id)


class Rows:
    """What waits, by agency, and in which order it was worked on."""

    def __init__(self, database: Database, **waiting: int) -> None:
        self.database = database
        self.waiting = Counter(waiting)
        self.done: list[str] = []
        self.at_once: Counter[str] = Counter()
        self.most_at_once = 0

    async def handle(self, job) -> None:
        agency_id = job.payload["agency_id"]

        async def find_next() -> datetime | None:
            return AT if self.waiting[agency_id] else None

        async def work() -> bool:
            self.at_once[agency_id] += 1
            self.most_at_once = max(self.most_at_once, self.at_once[agency_id])
            await asyncio.sleep(0)
            self.at_once[agency_id] -= 1
            if not self.waiting[agency_id]:
                return False
            self.waiting[agency_id] -= 1
            self.done.append(agency_id)
            return True

        await Turns(self.database, utc_now).take(job, find_next, work)


async def is_empty(database: Database) -> bool:
    return await database.settings.fetchval("SELECT count(*) FROM pgqueuer") == 0


async def test_an_agency_with_many_rows_lets_the_others_go_first(database, database_dsn, monkeypatch):
    monkeypatch.setattr("router.jobs.turns._SECONDS", 0.0)
    rows = Rows(database, busy=4, calm=1, other=2)
    runner = JobRunner(database_dsn)
    runner.handle(WORK, rows.handle, at_once=1)
    for agency_id in ("busy", "calm", "other"):
        await ask_for_turn(database.settings, WORK, agency_id)
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    assert rows.done == ["busy", "calm", "other", "busy", "other", "busy", "busy"]


async def test_an_agency_has_one_turn_at_a_time(database, database_dsn, monkeypatch):
    monkeypatch.setattr("router.jobs.turns._SECONDS", 0.0)
    monkeypatch.setattr("router.jobs.turns._BUSY_SECONDS", 0.0)
    rows = Rows(database, busy=8)
    runner = JobRunner(database_dsn)
    runner.handle(WORK, rows.handle, at_once=10)
    async with running(runner):
        for _ in range(8):
            await ask_for_turn(database.settings, WORK, "busy")
            await asyncio.sleep(0)
        await wait_until(lambda: is_empty(database))
    assert len(rows.done) == 8
    assert rows.most_at_once == 1
    assert await database.settings.fetchval("SELECT count(*) FROM turns") == 0


async def test_a_turn_of_a_dead_process_ends_by_itself(database):
    pool, until = database.settings, AT + timedelta(seconds=60)
    assert await begin_turn(pool, WORK, "busy", AT, until)
    assert not await begin_turn(pool, WORK, "busy", until - timedelta(seconds=1), until)
    assert await begin_turn(pool, WORK, "calm", AT, until)
    later = until + timedelta(seconds=60)
    assert await begin_turn(pool, WORK, "busy", until, later)
    await end_turn(pool, WORK, "busy", until)  # the dead process was only slow
    assert not await begin_turn(pool, WORK, "busy", until, later)


async def test_a_turn_whose_end_the_database_missed_keeps_no_one_waiting(database, monkeypatch):
    turns, job, worked = Turns(database, utc_now), Job(WORK, {"agency_id": "busy"}, 1), []

    async def find_next() -> datetime | None:
        return None if len(worked) == 2 else AT

    async def work() -> bool:
        worked.append(1)
        return False

    async def lose_the_database(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as away:
        away.setattr("router.jobs.turns.end_turn", lose_the_database)
        with pytest.raises(ConnectionResetError):
            await turns.take(job, find_next, work)
    await turns.take(job, find_next, work)
    assert len(worked) == 2


async def test_an_agency_that_is_gone_has_no_turn(database, database_dsn, captured_events):
    runner = JobRunner(database_dsn)
    runner.handle(WORK, Rows(database).handle)
    await ask_for_turn(database.settings, WORK, "gone")
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    assert captured_events.named("job.failed") == []
