"""The run: a small fleet and a large one on one server; the same statements on both."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg

from router.store.calls.calls import claim_call
from router.store.calls.days import read_days
from router.store.calls.figures import read_figures
from router.store.calls.history import list_calls
from router.store.calls.old_answers import erase_answers
from router.store.calls.sweeps import claim_overdue_calls, enrol_accounts, recount_calls_at_once
from router.store.messages.voicemails import list_voicemails
from router.store.numbers.checks import lease_due_numbers
from router.store.numbers.numbers import list_numbers
from router.store.pool import Database, make_database
from router.store.schema import migrate
from router.store.tenants.agencies import list_agencies
from router.store.tenants.clients import list_clients
from tests.chaos.machinery import Postgres
from tests.scale.data import A_THOUSAND, BIG, CROWDED, QUIET, Fleet, fill, number_of
from tests.scale.plans import Listener, Plan, explain, milliseconds
from tests.scale.search import CALLS as CALLS_SEARCHED
from tests.scale.search import time_searches
from tests.scale.sweep import CALLS, sweep
from tests.support.databases import with_database

_ROUNDS: Final = 60
_MOST_SLOWER: Final = 1.1
_FIGURES_MS: Final = 2_000.0
_LIST_MS: Final = 50.0
_SWEEP_MS: Final = 1_000.0
_MOST_ROWS: Final = 50
_SWEEP_MB: Final = 10.0
_HELD_MS: Final = 5.0
_sids = itertools.count()


@dataclass(frozen=True, slots=True)
class Finding:
    """What was measured, beside what was promised."""

    what: str
    value: float
    unit: str
    most: float

    @property
    def kept(self) -> bool:
        return self.value <= self.most

    def describe(self) -> str:
        return f"{'  ' if self.kept else '! '}{self.what:58}{self.value:10.2f} {self.unit:6} at most {self.most:g}"


@dataclass(frozen=True, slots=True)
class Report:
    fleet: Fleet
    seconds: float
    findings: list[Finding]
    notes: list[str]

    @property
    def kept(self) -> bool:
        return all(finding.kept for finding in self.findings)

    def describe(self) -> str:
        fleet = self.fleet
        head = (
            f"{fleet.numbers:,} numbers of {fleet.agencies:,} agencies, {fleet.calls:,} calls with {fleet.events:,} events"
            f" over two years, made in {self.seconds:.0f} s"
        )
        return "\n".join([head, "", *(finding.describe() for finding in self.findings), "", *self.notes])


async def run(folder: Path, fleet: Fleet) -> Report:
    postgres = Postgres(folder)
    try:
        async with _made(postgres.dsn, "thousand", A_THOUSAND) as small:
            began = time.monotonic()
            async with _made(postgres.dsn, "fleet", fleet) as large:
                seconds = time.monotonic() - began
                claims, differing = await _compare_claims(small, large)
                findings = [
                    *claims,
                    *await _read_lists(large),
                    *await _sweep(large),
                ]
                sizes = await _weigh(large, fleet)
                findings += await _search(small)
                return Report(fleet, seconds, findings, [*differing, *sizes])
    finally:
        postgres.stop()


@contextlib.asynccontextmanager
async def _made(server: str, name: str, fleet: Fleet) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(server)
    await connection.execute("ALTER SYSTEM SET fsync = off")  # it need not survive anything
    await connection.execute("SELECT pg_reload_conf()")
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    dsn = with_database(server, name)
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    await fill(connection, fleet)
    await connection.close()
    async with make_database(dsn).opened() as database:
        yield database


def _claim(connection: Any, agency: str) -> Awaitable[Any]:
    account_sid, number = number_of(agency)
    sid = next(_sids)
    return claim_call(
        connection,
        account_sid=account_sid,
        to=number,
        call_id=f"call_new_{sid}",
        call_sid=f"CN{sid}",
        from_number=f"+1212{sid}",
        now=datetime.now(UTC),
        forwarded_from=None,
        tokens=None,
        most_of_caller=10,
        most_of_agency=1_000_000,
    )


async def _plan(database: Database, ask: Callable[[Any], Awaitable[Any]]) -> Plan:
    listener = Listener()
    await ask(listener)
    async with database.settings.acquire() as connection:
        return await explain(connection, *listener.asked)


async def _compare_claims(small: Database, large: Database) -> tuple[list[Finding], list[str]]:
    """What was found, and the steps by which the plans differ."""
    took: dict[str, list[float]] = {"small": [], "large": [], "crowded": []}
    sides = (("small", small, QUIET), ("large", large, QUIET), ("crowded", large, CROWDED))
    for _ in range(_ROUNDS):
        for name, database, agency in sides:
            async with database.calls.acquire() as connection:
                for _ in range(5):
                    began = time.perf_counter()
                    await _claim(connection, agency)
                    took[name].append((time.perf_counter() - began) * 1000)
    median = {name: statistics.median(times) for name, times in took.items()}
    of_thousand = await _plan(small, lambda connection: _claim(connection, QUIET))
    quiet = await _plan(large, lambda connection: _claim(connection, QUIET))
    crowded = await _plan(large, lambda connection: _claim(connection, CROWDED))
    differing = sorted({*quiet.shape} ^ {*of_thousand.shape})
    findings = [
        Finding("the claim of a call", median["large"], "ms", 5),
        Finding("  its time, as with a thousand numbers", median["large"] / median["small"], "times", _MOST_SLOWER),
        Finding("  steps of its plan that differ", len(differing), "steps", 0),
        Finding("  pages that it touches", quiet.pages, "pages", of_thousand.pages * 2),
        Finding("  its time, if 500 calls of the agency are on", median["crowded"] / median["large"], "times", 1.5),
        Finding("  the most calls that a step reads then", crowded.most_rows, "rows", _MOST_ROWS),
    ]
    return findings, differing


async def _read_lists(large: Database) -> list[Finding]:
    now = datetime.now(UTC)
    year = await milliseconds(lambda: read_figures(large, BIG, now - timedelta(days=365), now), 3)
    by_day = await milliseconds(lambda: read_days(large, BIG, now - timedelta(days=365), now), 3)
    half = (now - timedelta(days=365), "call_")
    pool = large.settings
    lists: dict[str, Callable[[], Awaitable[Any]]] = {
        "calls, first page": lambda: list_calls(pool, BIG, after=None, limit=100),
        "calls of a year ago": lambda: list_calls(pool, BIG, after=half, limit=100),
        "numbers": lambda: list_numbers(pool, BIG, after=half, limit=100),
        "clients": lambda: list_clients(pool, BIG, after=half, limit=100),
        "voicemails": lambda: list_voicemails(pool, BIG, after=None, limit=100),
        "all agencies": lambda: list_agencies(pool, only=None, number=None, after=half, limit=100),
    }
    return [
        Finding("figures of the big agency over a year", year, "ms", _FIGURES_MS),
        Finding("  the same by day", by_day, "ms", _FIGURES_MS),
        *[Finding(f"a page of {name}", await milliseconds(ask, 15), "ms", _LIST_MS) for name, ask in lists.items()],
    ]


async def _search(database: Database) -> list[Finding]:
    return [
        Finding(f"a search in {CALLS_SEARCHED:,} calls for {what}", took, "ms", most)
        for what, took, most in await time_searches(database)
    ]


async def _sweep(large: Database) -> list[Finding]:
    now, pool = datetime.now(UTC), large.settings
    works: dict[str, Callable[[], Awaitable[Any]]] = {
        "enrol accounts": lambda: enrol_accounts(pool, now),
        "lease numbers to look at": lambda: lease_due_numbers(pool, now, of_an_account=20, limit=100),
        "claim overdue calls": lambda: claim_overdue_calls(
            pool, now, silent_since=now - timedelta(minutes=5), not_since=now, of_account=10, limit=50
        ),
        "correct the counts of calls at once": lambda: recount_calls_at_once(pool, now),
        "erase answers": lambda: erase_answers(pool, ended_before=now, begun_before=now, limit=500),
    }
    found = [Finding(f"to {name}", await milliseconds(work, 5), "ms", _SWEEP_MS) for name, work in works.items()]
    most, longest = await sweep(large)
    return [
        *found,
        Finding(f"a sweep of {CALLS:,} calls: its memory", most, "MB", _SWEEP_MB),
        Finding("  the longest that calls waited for it", longest, "ms", _HELD_MS),
    ]


async def _weigh(large: Database, fleet: Fleet) -> list[str]:
    rows = await large.settings.fetch(
        """
        SELECT c.relname AS name, pg_table_size(c.oid) AS rows, pg_indexes_size(c.oid) AS indexes
          FROM pg_class c
         WHERE c.relname IN ('calls', 'call_steps', 'call_events')
         ORDER BY c.relname
        """
    )
    lines = [
        f"{row['name']:12} {row['rows'] / fleet.calls:7.0f} + {row['indexes'] / fleet.calls:7.0f} bytes of indexes a call"
        for row in rows
    ]
    total = sum(row["rows"] + row["indexes"] for row in rows) / fleet.calls
    return [*lines, f"in all       {total:7.0f} bytes a call"]
