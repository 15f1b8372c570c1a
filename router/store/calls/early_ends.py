"""Ends of calls that were told before the call itself was in the database.

A call's beginning may wait in the spool of a process that is busy or dead while its end reaches another one. The end
is put down by router.store.calls.calls.end_call_later, and carried out here once the call is there.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from router.store.pool import Connection

_KEPT: Final = timedelta(days=7)  # some calls never come: those that we could not take, and Twilio's fallback did


async def carry_out_early_ends(connection: Connection, now: datetime) -> None:
    """End the calls that have come since. Ends of calls that never came are forgotten after a week."""
    # As end_call_later does it.
    await connection.execute(
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
            RETURNING c.id, c.outcome, due.event_id, due.at
        ), timed AS (
            UPDATE calls c
               SET seconds = coalesce(due.seconds, c.seconds)
              FROM due
             WHERE c.id = due.call_id AND c.ended_at IS NOT NULL
        )
        INSERT INTO call_events (id, call_id, at, event, step, reason)
        SELECT event_id, id, at, 'call.ended', 'end', outcome FROM ended
        ON CONFLICT DO NOTHING
        """
    )
    await connection.execute("""DELETE FROM early_ends WHERE at < $1""", now - _KEPT)
