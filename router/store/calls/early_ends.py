"""Ends of calls whose outcome could not be told at once.

A call's beginning may wait in the spool of a process that is busy or dead while its end reaches another one. The end
is kept by router.store.calls.records.EndCallLater, and carried out here once the call is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from router.store.pool import Connection
from router.store.rows import read

_KEPT: Final = timedelta(days=7)  # some calls never come: those that we could not take, and Twilio's fallback did


@dataclass(frozen=True, slots=True)
class EarlyEnd:
    """A call that was closed just now."""

    call_id: str
    agency_id: str
    at: datetime
    outcome: str
    seconds: int | None


async def carry_out_early_ends(connection: Connection, now: datetime) -> list[EarlyEnd]:
    """End the calls that have arrived since. Ends of calls that never arrived are forgotten after a week."""
    rows = await connection.fetch(
        """
        WITH due AS (
            DELETE FROM early_ends e USING calls c WHERE c.id = e.call_id
            RETURNING e.call_id, e.event_id, e.at, e.seconds
        ), ended AS (
            UPDATE calls c
               SET ended_at = due.at, seconds = due.seconds,
                   ringing_phone = NULL, ringing_shows = NULL, ringing_until = NULL,
                   outcome = coalesce(outcome, CASE WHEN answered_by IN ('ai', 'owner') THEN answered_by END,
                                      'abandoned')
              FROM due
             WHERE c.id = due.call_id AND c.ended_at IS NULL
            RETURNING c.id, c.agency_id, c.outcome, c.seconds, due.event_id, due.at
        ), timed AS (
            UPDATE calls c
               SET seconds = coalesce(due.seconds, c.seconds)
              FROM due
             WHERE c.id = due.call_id AND c.ended_at IS NOT NULL
        ), told AS (
            INSERT INTO call_events (id, call_id, at, event, step, reason)
            SELECT event_id, id, at, 'call.ended', 'end', outcome FROM ended
            ON CONFLICT DO NOTHING
        )
        SELECT id AS call_id, agency_id, at, outcome, seconds FROM ended
        """
    )
    await connection.execute("""DELETE FROM early_ends WHERE at < $1""", now - _KEPT)
    return [read(EarlyEnd, row) for row in rows]
