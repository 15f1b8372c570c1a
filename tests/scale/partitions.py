"""python -m tests.scale.partitions [EVENTS]: call events in one table, and in one for each month in which a call began.

What docs/decisions/call-events-in-one-table.md decides. Both get the same events in the order of time, under ids that are as
scattered as ours, and are asked the same in turns.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import asyncpg

from tests.chaos.machinery import Postgres
from tests.scale.plans import milliseconds

_COLUMNS: Final = """
    id text NOT NULL, call_id text NOT NULL, agency_id text, at timestamptz NOT NULL, event text NOT NULL, step text,
    provider text, reason text, duration_ms integer, seq bigint NOT NULL, begun date NOT NULL
"""
_TABLES: Final = f"""
    CREATE TEMP TABLE made ({_COLUMNS});
    CREATE TABLE one ({_COLUMNS}, PRIMARY KEY (id), UNIQUE NULLS NOT DISTINCT (call_id, event, step, provider));
    CREATE INDEX ON one (agency_id, seq);
    CREATE TABLE monthly ({_COLUMNS}, PRIMARY KEY (id, begun),
                          UNIQUE NULLS NOT DISTINCT (call_id, event, step, provider, begun)) PARTITION BY RANGE (begun);
    CREATE INDEX ON monthly (agency_id, seq);
    DO $$ BEGIN
        FOR n IN 0..23 LOOP
            EXECUTE format('CREATE TABLE monthly_%s PARTITION OF monthly FOR VALUES FROM (%L) TO (%L)', n,
                           '2025-01-01'::date + n * interval '1 month', '2025-01-01'::date + (n + 1) * interval '1 month');
        END LOOP;
    END $$
"""
_MAKE: Final = """
    INSERT INTO made
    SELECT 'event_' || left(md5(n || '/' || nr), 24) AS id, 'call_' || left(md5(n::text), 24) AS call_id,
           'agency_' || left(md5((n % 1000)::text), 24) AS agency_id, begun + nr * interval '1 s' AS at,
           (ARRAY['call.received', 'handoff.requested', 'handoff.succeeded', 'call.answered', 'ai.ended', 'call.reported',
                  'call.ended'])[nr] AS event, 'inbound' AS step, 'vapi' AS provider, NULL::text AS reason, 120 AS duration_ms,
           n::bigint * 7 + nr AS seq, begun::date AS begun
      FROM generate_series($1::integer, $2::integer) n, generate_series(1, 7) nr,
   LATERAL (SELECT '2025-01-01'::timestamptz + n::float8 / $3::integer * interval '729 days' AS begun) AS its
"""
_BATCHES: Final = 100


async def main(events: int) -> None:
    with tempfile.TemporaryDirectory(prefix="callrouter-partitions-") as folder:
        Path(folder).chmod(0o711)
        postgres = Postgres(Path(folder))
        try:
            connection = await asyncpg.connect(postgres.dsn)
            await connection.execute("ALTER SYSTEM SET fsync = off")
            await connection.execute(_TABLES)
            await _compare(connection, events // 7)
            await connection.close()
        finally:
            postgres.stop()


async def _compare(connection: Any, calls: int) -> None:
    took: dict[str, list[float]] = {"one": [], "monthly": []}
    for batch in range(_BATCHES):
        first, last = calls * batch // _BATCHES + 1, calls * (batch + 1) // _BATCHES
        await connection.execute(_MAKE, first, last, calls)
        for table, times in took.items():
            began = time.perf_counter()
            await connection.execute(f"INSERT INTO {table} SELECT * FROM made")  # noqa: S608  (of two names)
            times.append((time.perf_counter() - began) * 1e6 / ((last - first + 1) * 7))
        await connection.execute("TRUNCATE made")
    for table, times in took.items():
        await connection.execute(f"VACUUM ANALYZE {table}")
        _tell(table, "an event is written, at first", sum(times[:10]) / 10, "us")
        _tell(table, "an event is written, in the end", sum(times[-10:]) / 10, "us")
    sizes = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE $1"
    for table in took:
        _tell(table, "bytes an event", float(await connection.fetchval(sizes, f"{table}%")) / (calls * 7), "bytes")
    call, agency = await connection.fetchrow("SELECT call_id, agency_id FROM one OFFSET 5000 LIMIT 1")
    begun, event = await connection.fetchrow("SELECT begun, id FROM one WHERE call_id = $1", call)
    for table in took:
        for what, work in _questions(connection, table, call, agency, event, begun).items():
            _tell(table, what, await milliseconds(work, 50), "ms")
        began = time.perf_counter()
        await connection.execute(f"DELETE FROM {table} WHERE agency_id = $1 AND begun < '2026-01-01'", agency)  # noqa: S608
        _tell(table, "a year of one agency is deleted", (time.perf_counter() - began) * 1000, "ms")
        began = time.perf_counter()
        await connection.execute(f"VACUUM {table}")
        _tell(table, "vacuum after that", (time.perf_counter() - began) * 1000, "ms")


def _questions(
    connection: Any, table: str, call: str, agency: str, event: str, begun: Any
) -> dict[str, Callable[[], Awaitable[Any]]]:
    facts = f"SELECT event, at FROM {table} WHERE call_id = $1"  # noqa: S608
    page = f"SELECT id FROM {table} WHERE agency_id = $1 AND seq > $2 ORDER BY seq LIMIT 100"  # noqa: S608
    by_id = f"SELECT event FROM {table} WHERE id = $1"  # noqa: S608
    return {
        "events of a call": lambda: connection.fetch(facts, call),
        "events of a call, if its month is known": lambda: connection.fetch(f"{facts} AND begun = $2", call, begun),
        "a page of an agency's feed": lambda: connection.fetch(page, agency, 1_000),
        "an event by its id": lambda: connection.fetch(by_id, event),
    }


def _tell(table: str, what: str, value: float, unit: str) -> None:
    print(f"{table:8} {what:44}{value:10.2f} {unit}", flush=True)  # noqa: T201  (the report is for people)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000))
