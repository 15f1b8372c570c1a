"""Ends of calls that were told before the call itself was in the database.

A call's beginning may wait in the spool of a process that is busy or dead while its end reaches another one. The end
is put down by router.store.calls.records.EndCallLater, and carried out here once the call is there.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from router.store.pool import Pool

_KEPT: Final = timedelta(days=7)  # some calls never come: those that we could not take, and Twilio's fallback did

# As EndCallLater does it.
_CARRY_OUT: Final = """
WITH due AS (
    DELETE FROM early_ends e USING calls c WHERE c.id = e.call_id
    RETURNING e.call_id, e.event_id, e.at, e.seconds
), ended AS (
    UPDATE calls c
       SET ended_at = due.at, seconds = due.seconds,
           ringing_phone = NULL, ringing_shows = NULL, ringing_until = NULL,
           outcome = coalesce(outcome, CASE WHEN answered_by IN ('ai', 'owner') THEN answered_by END, 'abandoned')
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

_FORGET: Final = "DELETE FROM early_ends WHERE at < $1"


async def carry_out_early_ends(pool: Pool, now: datetime) -> None:
    """End the calls that have come since. Ends of calls that never came are forgotten after a week."""
    await pool.execute(_CARRY_OUT)
    await pool.execute(_FORGET, now - _KEPT)
