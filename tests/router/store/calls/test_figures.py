"""The figures' statement only reads the calls of its agency and span, and takes no more than its time and its place."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import asyncpg
import pytest

from router.store.calls.days import DAYS
from router.store.calls.figures import FIGURES, OUTAGE_KINDS, read_figures
from router.store.calls.search import Wanted, search_calls
from router.store.pool import TooSlowError, make_database
from tests.router.store.rows import AT
from tests.router.store.test_query_plans import filled, scanned

__all__ = ["filled"]

pytestmark = pytest.mark.anyio


async def test_figures_do_not_read_calls_of_other_agencies(filled):
    """With the values at hand, and as the plan that a much used connection keeps for all values."""
    span = ("agency_7", AT, AT + timedelta(days=30))
    for statement, arguments in ((FIGURES, (*span, list(OUTAGE_KINDS))), (DAYS, span)):
        explained = await filled.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments)
        generic = await filled.fetchval(f"EXPLAIN (FORMAT JSON, GENERIC_PLAN) {statement}", *arguments)
        assert scanned(explained) + scanned(generic) == []
        assert "call_events_of_faults" in explained


SPAN = (AT, AT + timedelta(days=366))


@pytest.mark.usefixtures("filled")
async def test_every_count_is_planned_for_its_own_span(database_dsn):
    """A plan for all spans expects few calls; it was kept from the sixth count on, and took minutes for a year."""
    async with make_database(database_dsn, figures_connections=1).opened() as database:
        for _ in range(12):
            await read_figures(database, "agency_7", *SPAN)
        [plans] = await database.figures.fetch(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1", FIGURES
        )
    assert tuple(plans) == (0, 12)


async def test_an_agency_that_counts_and_searches_much_leaves_a_connection_to_the_others(database_dsn):
    async with make_database(database_dsn, figures_seconds=1).opened() as database, AsyncExitStack() as counts:
        for _ in range(2):
            await counts.enter_async_context(database.counting("agency_7"))
        with pytest.raises(TooSlowError):
            await search_calls(database, "agency_7", Wanted(), after=None, limit=1)
        assert (await read_figures(database, "agency_8", *SPAN)).calls == 0


async def test_a_count_that_takes_too_long_is_stopped_and_its_connection_is_used_again(database_dsn):
    holder = await asyncpg.connect(database_dsn)
    async with make_database(database_dsn, figures_connections=1, figures_seconds=0.2).opened() as database:
        before = await database.figures.fetchval("SELECT pg_backend_pid()")
        async with holder.transaction():
            await holder.execute("LOCK TABLE calls IN ACCESS EXCLUSIVE MODE")
            counts = (read_figures(database, "agency_7", *SPAN) for _ in range(3))
            ends = await asyncio.gather(*counts, return_exceptions=True)
        assert [type(end) for end in ends] == [TooSlowError] * 3
        assert (await read_figures(database, "agency_7", *SPAN)).calls == 0
        assert await database.figures.fetchval("SELECT pg_backend_pid()") == before
        assert await database.figures.fetchval("SHOW statement_timeout") == "0"
    await holder.close()
