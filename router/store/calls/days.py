"""Figures of an agency's calls day by day: who answered, how fast, at what cost, and how often providers failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from router.store.pool import Database
from router.store.rows import read

DAYS: Final = """
WITH counted AS (
    SELECT (c.started_at AT TIME ZONE 'UTC')::date AS day,
           count(*) AS calls,
           count(*) FILTER (WHERE c.outcome = 'ai') AS ai,
           count(*) FILTER (WHERE c.outcome = 'owner') AS owner,
           count(*) FILTER (WHERE c.outcome = 'voicemail') AS voicemail,
           percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
               ORDER BY extract(epoch FROM c.answered_at - c.started_at)::float8) AS waits,
           coalesce(sum(c.cost), 0)::float8 AS cost
      FROM calls c
     WHERE c.agency_id = $1 AND c.started_at >= $2 AND c.started_at < $3
       AND c.ended_at IS NOT NULL AND c.outcome <> 'rejected'
     GROUP BY 1
), failed AS (
    SELECT day, jsonb_object_agg(provider, times) AS failures
      FROM (SELECT (e.at AT TIME ZONE 'UTC')::date AS day, e.provider, count(*) AS times
              FROM call_events e
             WHERE e.agency_id = $1 AND e.at >= $2 AND e.at < $3
               AND e.event = 'handoff.failed' AND e.provider IS NOT NULL
             GROUP BY 1, 2) AS by_provider
     GROUP BY day
)
SELECT day, coalesce(calls, 0) AS calls, coalesce(ai, 0) AS ai, coalesce(owner, 0) AS owner,
       coalesce(voicemail, 0) AS voicemail, waits[1] AS wait_p50, waits[2] AS wait_p99, coalesce(cost, 0) AS cost,
       coalesce(failures, '{}') AS failures
  FROM counted
  FULL JOIN failed USING (day)
"""


@dataclass(frozen=True, slots=True)
class Day:
    """One day, in UTC. The counts are those of `figures.Figures`; `failures`: how often each provider did not take a
    call that it was asked to take, whatever the reason.
    """

    day: date
    calls: int = 0
    ai: int = 0
    owner: int = 0
    voicemail: int = 0
    wait_p50: float | None = None
    wait_p99: float | None = None
    cost: float = 0.0
    failures: Mapping[str, int] = field(default_factory=dict)

    @property
    def nobody(self) -> int:
        return self.calls - self.ai - self.owner - self.voicemail


async def read_days(database: Database, agency_id: str, since: datetime, until: datetime) -> list[Day]:
    """Every day from `since` up to, not including, `until`, also those without calls. Raises TooSlowError."""
    async with database.counting(agency_id) as connection:
        rows = await connection.fetch(DAYS, agency_id, since, until)
    found = {row["day"]: read(Day, row) for row in rows}
    first = since.astimezone(UTC).date()
    last = (until - timedelta(microseconds=1)).astimezone(UTC).date()
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [found.get(day) or Day(day) for day in days]
