"""Alerts of agencies: what they want to hear of, what is wrong now, and what is still to be posted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias

from router.store.pool import Connection
from router.store.rows import columns, fetch_column, fetch_row, fetch_rows, parameters, returns_row, values

AlertKind: TypeAlias = Literal["key_failing", "low_balance", "calls_missed", "number_unreachable", "deliveries_failing"]
Phase: TypeAlias = Literal["began", "ended"]


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """`low_balance` in US dollars; `missed_percent` of the latest calls; `failures` of deliveries in a row."""

    agency_id: str
    webhook_sealed: str | None = field(default=None, repr=False)
    webhook_shown: str | None = None
    muted: tuple[AlertKind, ...] = ()
    low_balance: float = 5.0
    missed_percent: int = 50
    failures: int = 5


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that is wrong, or was until `ended_at`. `mailed`: its beginning was told by email."""

    id: str
    agency_id: str
    kind: AlertKind
    target: str
    name: str
    problem: str
    advice: str
    began_at: datetime
    ended_at: datetime | None
    mailed: bool


@dataclass(frozen=True, slots=True)
class MissedCalls:
    """Of the latest calls that an AI was to answer: how many there were, and how many it did not."""

    agency_id: str
    calls: int
    missed: int


@dataclass(frozen=True, slots=True)
class DuePost:
    alert_id: str
    phase: Phase
    tried: int


_LATEST: Final = 20
_LOOKED_AT: Final = 200
_SETTINGS: Final = f"""SELECT {columns(AlertSettings)} FROM alert_settings"""
_ALERTS: Final = f"""SELECT {columns(Alert)} FROM alerts"""
_EVERY: Final = columns(Alert)
_PARAMETERS: Final = parameters(Alert)

MISSED: Final = f"""
SELECT a.id AS agency_id, count(*) AS calls, count(*) FILTER (WHERE latest.outcome <> 'ai') AS missed
  FROM unnest($1::text[]) AS a (id)
 CROSS JOIN LATERAL (
     SELECT c.outcome
       FROM (SELECT id, outcome, started_at FROM calls
              WHERE agency_id = a.id AND started_at >= $2 AND ended_at IS NOT NULL AND outcome <> 'rejected'
              ORDER BY started_at DESC, id DESC LIMIT {_LOOKED_AT}) c
      WHERE c.outcome = 'ai'
         OR EXISTS (SELECT FROM call_events e
                     WHERE e.call_id = c.id AND e.event IN ('handoff.failed', 'handoff.skipped'))
      ORDER BY c.started_at DESC
      LIMIT {_LATEST}
 ) latest
 GROUP BY a.id
"""


async def find_settings(connection: Connection, agency_id: str) -> AlertSettings:
    """The defaults, if the agency has changed nothing."""
    found = await fetch_row(connection, AlertSettings, f"""{_SETTINGS} WHERE agency_id = $1""", agency_id)
    return found or AlertSettings(agency_id)


async def list_settings(connection: Connection, agency_ids: Sequence[str]) -> list[AlertSettings]:
    """Of those that have changed something."""
    return await fetch_rows(connection, AlertSettings, f"""{_SETTINGS} WHERE agency_id = ANY ($1)""", agency_ids)


async def save_settings(connection: Connection, settings: AlertSettings) -> None:
    await connection.execute(
        f"""
        INSERT INTO alert_settings ({columns(AlertSettings)}) VALUES ({parameters(AlertSettings)})
        ON CONFLICT (agency_id) DO UPDATE
           SET webhook_sealed = excluded.webhook_sealed, webhook_shown = excluded.webhook_shown,
               muted = excluded.muted, low_balance = excluded.low_balance, missed_percent = excluded.missed_percent,
               failures = excluded.failures
        """,
        *values(settings),
    )


async def list_agencies_to_alert(connection: Connection, after: str, limit: int) -> list[str]:
    """Ids of agencies with an address for alerts, or with alerts that are not over; in their order."""
    statement = """
        SELECT a.id
          FROM agencies a
          LEFT JOIN alert_settings s ON s.agency_id = a.id
         WHERE a.id > $1
           AND (a.alert_email IS NOT NULL OR s.webhook_sealed IS NOT NULL
                OR EXISTS (SELECT FROM alerts o WHERE o.agency_id = a.id AND o.ended_at IS NULL))
         ORDER BY a.id
         LIMIT $2
    """
    return await fetch_column(connection, statement, after, limit)


async def list_missed_calls(connection: Connection, agency_ids: Sequence[str], since: datetime) -> list[MissedCalls]:
    return await fetch_rows(connection, MissedCalls, MISSED, agency_ids, since)


async def list_open_alerts(connection: Connection, agency_ids: Sequence[str]) -> list[Alert]:
    statement = f"""{_ALERTS} WHERE agency_id = ANY ($1) AND ended_at IS NULL"""
    return await fetch_rows(connection, Alert, statement, agency_ids)


async def begin_alert(connection: Connection, alert: Alert) -> bool:
    """Whether it is new."""
    statement = f"""
        INSERT INTO alerts ({_EVERY}) VALUES ({_PARAMETERS})
        ON CONFLICT (agency_id, kind, target) WHERE ended_at IS NULL DO NOTHING
        RETURNING id
    """
    return await returns_row(connection, statement, *values(alert))


async def end_alert(connection: Connection, alert_id: str, now: datetime) -> bool:
    """Whether it was not over yet."""
    statement = """UPDATE alerts SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL RETURNING id"""
    return await returns_row(connection, statement, alert_id, now)


async def note_mailed(connection: Connection, alert_id: str) -> None:
    await connection.execute("""UPDATE alerts SET mailed = true WHERE id = $1""", alert_id)


async def find_alert(connection: Connection, alert_id: str) -> Alert | None:
    return await fetch_row(connection, Alert, f"""{_ALERTS} WHERE id = $1""", alert_id)


async def list_alerts(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[Alert]:
    """Newest first."""
    statement = f"""
        {_ALERTS}
         WHERE agency_id = $1 AND (began_at, id) < (coalesce($2::timestamptz, 'infinity'), coalesce($3, ''))
         ORDER BY began_at DESC, id DESC
         LIMIT $4
    """
    return await fetch_rows(connection, Alert, statement, agency_id, *(after or (None, None)), limit)


async def delete_old_alerts(connection: Connection, before: datetime, limit: int) -> None:
    statement = """
        DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)
    """
    await connection.execute(statement, before, limit)


async def insert_post(connection: Connection, alert: Alert, phase: Phase, now: datetime) -> None:
    statement = """
        INSERT INTO alert_posts (alert_id, phase, agency_id, due_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
    """
    await connection.execute(statement, alert.id, phase, alert.agency_id, now)


async def claim_post(connection: Connection, agency_id: str, now: datetime, until: datetime) -> DuePost | None:
    """The one that is due longest. It is not due again before `until`."""
    statement = """
        UPDATE alert_posts p SET due_at = $3
          FROM (SELECT alert_id, phase FROM alert_posts
                 WHERE agency_id = $1 AND due_at <= $2 ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED) due
         WHERE p.alert_id = due.alert_id AND p.phase = due.phase
        RETURNING p.alert_id, p.phase, p.tried
    """
    return await fetch_row(connection, DuePost, statement, agency_id, now, until)


async def find_next_post(connection: Connection, agency_id: str) -> datetime | None:
    statement = """SELECT min(due_at) FROM alert_posts WHERE agency_id = $1"""
    found: datetime | None = await connection.fetchval(statement, agency_id)
    return found


async def postpone_post(connection: Connection, post: DuePost, due_at: datetime) -> None:
    statement = """UPDATE alert_posts SET tried = tried + 1, due_at = $3 WHERE alert_id = $1 AND phase = $2"""
    await connection.execute(statement, post.alert_id, post.phase, due_at)


async def delete_post(connection: Connection, post: DuePost) -> None:
    statement = """DELETE FROM alert_posts WHERE alert_id = $1 AND phase = $2"""
    await connection.execute(statement, post.alert_id, post.phase)


async def list_agencies_with_posts(connection: Connection, now: datetime) -> list[str]:
    """Those with a post that is due."""
    return await fetch_column(connection, """SELECT DISTINCT agency_id FROM alert_posts WHERE due_at <= $1""", now)
