"""Call events of an agency in an order that can be resumed without a gap, on any replica.

A place is a number of one sequence, which a dump, a replica and another host take along. Numbers are given out in another
order than transactions commit in: who reads in order must know which are settled (router.events.order).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from router.store.pool import Connection
from router.store.rows import columns, read, sql

CHANNEL: Final = "callrouter_events"
_PLACE: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


def parse_place(text: str) -> int | None:
    """None if the text is not a place."""
    return int(text) if _PLACE.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event of a call, with its place."""

    place: int = field(metadata=sql("t.seq"))
    id: str
    call_id: str
    client_id: str
    at: datetime
    event: str
    step: str | None
    provider: str | None
    reason: str | None
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Events in order. `held_back`: there are more, which can be read in a moment."""

    events: tuple[FeedEvent, ...]
    held_back: bool


@dataclass(frozen=True, slots=True)
class Numbering:
    """`latest`: the highest number given out so far. `writing`: transactions that may have got one and are not over."""

    latest: int
    writing: Sequence[str]


READ_EVENTS: Final = f"""
SELECT {columns(FeedEvent, "e", without=("client_id",))}, c.client_id
  FROM call_events e
  JOIN calls c ON c.id = e.call_id
 WHERE e.agency_id = $1 AND e.seq > $2
 ORDER BY e.seq
 LIMIT $3
"""


async def read_events(connection: Connection, agency_id: str, after: int, settled: int, limit: int) -> Stretch:
    """Those after a place, up to the one that was `settled` before this began."""
    rows = await connection.fetch(READ_EVENTS, agency_id, after, limit)
    events = tuple(read(FeedEvent, row) for row in rows if row["place"] <= settled)
    return Stretch(events, held_back=len(events) < len(rows))


async def find_end(connection: Connection) -> int:
    """The place after everything that was written so far."""
    return (await look_at_numbering(connection)).latest


async def look_at_numbering(connection: Connection) -> Numbering:
    # A transaction holds this lock from before it gets a number until it is over, and the locks are looked at after the
    # number: the condition on `given` is there for this order.
    [row] = await connection.fetch(
        """
        SELECT given.last_value - CASE WHEN given.is_called THEN 0 ELSE 1 END AS latest,
               ARRAY (SELECT l.virtualtransaction
                        FROM pg_locks l
                       WHERE given.last_value > 0 AND l.locktype = 'relation' AND l.mode = 'RowExclusiveLock'
                         AND l.relation = 'call_events'::regclass AND l.pid IS DISTINCT FROM pg_backend_pid()
                         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS writing
          FROM call_event_places given
        """
    )
    return Numbering(row["latest"], row["writing"])
