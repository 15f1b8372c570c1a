"""Figures of an agency's calls: who answered, how fast, at what cost, and which outages callers did not notice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from router.routing.failures import FAILURES
from router.store.pool import Database
from router.store.rows import read

OUTAGE_KINDS: Final = sorted(FAILURES)
"""Failures of the provider itself. A refused key or an empty balance is not an outage."""

# The cost of an AI belongs to the provider that had the call last; after a transfer to a person, its events name it.
# Faults are searched in the span and the hour after it: a call does not ask providers for longer than that.
FIGURES: Final = """
WITH span AS MATERIALIZED (
    SELECT c.id, c.client_id, c.outcome, c.started_at, c.seconds, c.cost,
           extract(epoch FROM c.answered_at - c.started_at)::float8 AS waited,
           coalesce(c.provider, CASE WHEN c.cost IS NOT NULL OR c.ai_seconds IS NOT NULL THEN (
               SELECT e.provider
                 FROM call_events e
                WHERE e.call_id = c.id AND e.event = 'call.answered' AND e.provider IS NOT NULL
                ORDER BY e.at DESC
                LIMIT 1) END) AS provider,
           coalesce(round(c.ai_seconds)::bigint, CASE WHEN c.provider IS NOT NULL THEN c.seconds END) AS ai_seconds
      FROM calls c
     WHERE c.agency_id = $1 AND c.started_at >= $2 AND c.started_at < $3
       AND c.ended_at IS NOT NULL AND c.outcome <> 'rejected'
), by_provider AS (
    SELECT provider, sum(cost) AS cost, sum(ai_seconds) AS seconds
      FROM span
     WHERE provider IS NOT NULL
     GROUP BY provider
), by_client AS (
    SELECT span.client_id, max(k.name) AS client_name, count(*) AS calls, sum(span.seconds) AS seconds,
           sum(span.cost) AS cost
      FROM span
      LEFT JOIN clients k ON k.agency_id = $1 AND k.id = span.client_id
     GROUP BY span.client_id
), absorbed AS (
    SELECT count(DISTINCT date_trunc('minute', span.started_at)) AS minutes
      FROM span
     WHERE span.outcome IN ('ai', 'owner', 'voicemail')
       AND span.id IN (
           SELECT e.call_id
             FROM call_events e
            WHERE e.agency_id = $1 AND e.at >= $2 AND e.at < $3::timestamptz + interval '1 hour'
              AND e.event IN ('handoff.failed', 'handoff.skipped')
              AND e.reason = ANY (CASE e.event WHEN 'handoff.failed' THEN $4::text[] ELSE ARRAY['circuit_open'] END))
)
SELECT count(*) AS calls,
       count(*) FILTER (WHERE outcome = 'ai') AS ai,
       count(*) FILTER (WHERE outcome = 'owner') AS owner,
       count(*) FILTER (WHERE outcome = 'voicemail') AS voicemail,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY waited) AS wait_p50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY waited) AS wait_p99,
       (SELECT minutes FROM absorbed) AS outage_absorbed_minutes,
       coalesce(sum(cost), 0)::float8 AS cost,
       coalesce(sum(seconds), 0) AS seconds,
       (SELECT jsonb_agg(jsonb_build_array(provider, coalesce(cost, 0), coalesce(seconds, 0)) ORDER BY provider)
          FROM by_provider) AS by_provider,
       (SELECT jsonb_agg(jsonb_build_array(client_id, client_name, calls, coalesce(seconds, 0), coalesce(cost, 0))
                         ORDER BY cost DESC NULLS LAST, calls DESC, client_id)
          FROM by_client) AS by_client
  FROM span
"""


@dataclass(frozen=True, slots=True)
class ProviderFigures:
    """Calls that a provider's assistant took last, and for how long: as the provider reports it, else until their end.

    `cost` in US dollars.
    """

    provider: str
    cost: float
    seconds: int


@dataclass(frozen=True, slots=True)
class ClientFigures:
    """One client's calls. The name is None once the client is gone."""

    client_id: str
    client_name: str | None
    calls: int
    seconds: int
    cost: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of calls by outcome; `nobody` took the rest. Waits are in seconds, None if no call was answered.

    `outage_absorbed_minutes` counts the minutes in which a call began that a provider failed to take through its own
    fault (OUTAGE_KINDS, or its circuit was open), and that another provider, the owner or the voicemail took.
    `by_provider` leaves out calls that no provider had; costs are in US dollars, as far as providers report them.
    """

    calls: int
    ai: int
    owner: int
    voicemail: int
    wait_p50: float | None
    wait_p99: float | None
    outage_absorbed_minutes: int
    cost: float
    seconds: int
    by_provider: tuple[ProviderFigures, ...]
    by_client: tuple[ClientFigures, ...]

    @property
    def nobody(self) -> int:
        return self.calls - self.ai - self.owner - self.voicemail


async def read_figures(database: Database, agency_id: str, since: datetime, until: datetime) -> Figures:
    """Figures of the finished calls that began at `since` or later and before `until`. Raises TooSlowError.

    Rejected ones are left out: they come from owners' phones that forward a call back to us, not from callers.
    """
    async with database.counting(agency_id) as connection:
        [row] = await connection.fetch(FIGURES, agency_id, since, until, OUTAGE_KINDS)
    by_provider = tuple(ProviderFigures(*one) for one in row["by_provider"] or ())
    by_client = tuple(ClientFigures(*one) for one in row["by_client"] or ())
    return read(Figures, row, by_provider=by_provider, by_client=by_client)
