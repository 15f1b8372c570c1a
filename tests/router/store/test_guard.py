"""Questions to a database that may be away: an answer, or an error within a moment, and at once if it is known to be away."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from router.store.guard import DatabaseAwayError, Guard
from router.store.pool import AWAY_ERRORS, DATABASE_ERRORS, Database, make_database
from tests.support.database_proxy import proxied
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.waiting import wait_until

__all__ = ["captured_events"]

pytestmark = pytest.mark.anyio


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> Guard:
    return Guard(clock, patience=0.2)


async def answer(value: Any = "answer") -> Any:
    if isinstance(value, BaseException):
        raise value
    return value


def test_database_errors_include_its_absence():
    assert issubclass(DatabaseAwayError, AWAY_ERRORS)
    assert issubclass(DatabaseAwayError, DATABASE_ERRORS)


async def test_an_answer_is_passed_on(guard: Guard):
    assert await guard.ask(answer) == "answer"
    assert not guard.away


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.AdminShutdownError("terminating"),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.InternalClientError("cannot switch to state 3"),
        asyncpg.TooManyConnectionsError("full"),
        asyncpg.ReadOnlySQLTransactionError("a replica"),
        asyncpg.TargetServerAttributeNotMatched("no primary"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_database_that_is_away_is_reported_once_and_not_asked_again(
    guard: Guard, clock: Clock, captured_events: CapturedEvents, error
):
    told = []
    guard.when_lost(lambda: told.append(clock.now))
    with pytest.raises(DatabaseAwayError):
        await guard.ask(lambda: answer(error))
    assert guard.away
    for _ in range(3):
        with pytest.raises(DatabaseAwayError):
            await guard.ask(lambda: pytest.fail("it was asked"))
    guard.lost("another question failed, too")
    clock.now = 12.5
    guard.back()
    guard.back()
    assert await guard.ask(answer) == "answer"
    assert len(told) == 2
    assert captured_events.names() == ["database.lost", "database.regained"]
    assert captured_events.only("database.lost")["reason"] == type(error).__name__
    assert captured_events.only("database.regained")["seconds"] == 12.5


@pytest.mark.parametrize(
    "error",
    [asyncpg.UniqueViolationError("twice"), asyncpg.UndefinedTableError("what?"), LookupError(), ValueError()],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_in_the_question_does_not_mean_that_the_database_is_away(guard: Guard, error):
    with pytest.raises(type(error)):
        await guard.ask(lambda: answer(error))
    assert not guard.away


async def test_an_argument_that_cannot_be_sent_does_not_mean_that_the_database_is_away(
    guard: Guard, database: Database
):
    with pytest.raises((asyncpg.DataError, ValueError)):
        await guard.ask(lambda: database.calls.fetchval("SELECT $1::integer", "many"))
    assert not guard.away


async def test_a_question_without_an_answer_is_given_up(guard: Guard):
    given_up = asyncio.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    with pytest.raises(DatabaseAwayError):
        await guard.ask(never)
    await given_up.wait()


async def test_a_question_that_cannot_be_cancelled_is_not_waited_for(guard: Guard):
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        raise LookupError

    with pytest.raises(DatabaseAwayError):
        await guard.ask(stubborn)
    assert len(guard._abandoned) == 1
    release.set()
    await wait_until(lambda: not guard._abandoned)


async def test_a_cancelled_caller_cancels_its_question(guard: Guard):
    asked, given_up = asyncio.Event(), asyncio.Event()

    async def never() -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    asking = asyncio.create_task(guard.ask(never))
    await asked.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await given_up.wait()
    assert not guard.away


async def test_a_question_within_a_question_is_lost_once(guard: Guard, captured_events: CapturedEvents):
    with pytest.raises(DatabaseAwayError):
        await guard.ask(lambda: guard.ask(lambda: answer(ConnectionResetError())))
    assert captured_events.only("database.lost")["reason"] == "ConnectionResetError"


async def test_closing_connections_to_a_silent_server_is_bounded(database_dsn):
    async with proxied(database_dsn) as proxy:
        async with asyncio.timeout(20), make_database(proxy.dsn).opened() as database:
            assert await database.settings.fetchval("SELECT 1") == 1
            assert await database.calls.fetchval("SELECT 1") == 1
            proxy.stall()
        proxy.go_on()


@pytest.mark.parametrize("end", [ConnectionResetError(), None], ids=["a lost connection", "no answer"])
async def test_a_question_from_before_the_outage_does_not_lose_the_database_again(
    guard: Guard, captured_events: CapturedEvents, end: Exception | None
):
    go_on = asyncio.Event()

    async def hang() -> None:
        await go_on.wait()
        if end is not None:
            raise end
        await asyncio.Event().wait()

    question = asyncio.create_task(guard.ask(hang))
    await asyncio.sleep(0)
    guard.lost("another question")
    guard.back()
    go_on.set()
    with pytest.raises(DatabaseAwayError):
        await question
    assert not guard.away
    assert len(captured_events.named("database.lost")) == 1
