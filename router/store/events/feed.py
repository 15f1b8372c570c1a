"""Call events of an agency in an order that can be resumed without a gap, on any replica.

A position is (transaction, number). Events are held back while an older transaction is open: its events may still come,
and would stand before what was read already. Only transactions of this database count: one that takes hours in another
database of the same server must not hold anything back here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self

from router.store.pool import Connection
from router.store.rows import columns, read, sql

CHANNEL: Final = "callrouter_events"
_POSITION: Final = re.compile(r"([0-9]{1,19})\.([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place between two events."""

    xid: int = field(metadata=sql("t.xid::text::bigint"))
    seq: int

    def __str__(self) -> str:
        return f"{self.xid}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None if the text is not a position."""
        match = _POSITION.fullmatch(text)
        return None if match is None else cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event of a call, with its place."""

    position: Position
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


READ_EVENTS: Final = f"""
SELECT {columns(FeedEvent, "e", without=("position", "client_id"))}, c.client_id, {columns(Position, "e")},
       e.xid < $5::text::xid8 AS settled
  FROM call_events e
  JOIN calls c ON c.id = e.call_id
 WHERE e.agency_id = $1 AND (e.xid, e.seq) > ($2::text::xid8, $3)
 ORDER BY e.xid, e.seq
 LIMIT $4
"""


async def find_end(connection: Connection) -> Position:
    """The position before everything that is committed from now on."""
    return Position(await _find_horizon(connection) - 1, (1 << 59) - 1)


async def read_events(connection: Connection, agency_id: str, after: Position, limit: int) -> Stretch:
    horizon = await _find_horizon(connection)  # in a statement before the one that reads
    rows = await connection.fetch(READ_EVENTS, agency_id, str(after.xid), after.seq, limit, str(horizon))
    settled = [row for row in rows if row["settled"]]
    events = tuple(read(FeedEvent, row, position=read(Position, row)) for row in settled)
    return Stretch(events, held_back=len(settled) < len(rows))


async def _find_horizon(connection: Connection) -> int:
    """All transactions of this database with a lower number are over."""
    # A transaction that gets its number after this statement began gets `newest` or a higher one. The server shows only
    # the lower 32 bits: `behind` is how far a number lies below `newest`, in the upper half of its range if above.
    horizon: int = await connection.fetchval(
        """
        WITH now AS MATERIALIZED (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS newest),
             open AS (SELECT (now.newest - a.backend_xid::text::bigint) & 4294967295 AS behind
                        FROM now, pg_stat_activity a
                       WHERE a.datname = current_database() AND a.backend_xid IS NOT NULL AND a.pid <> pg_backend_pid())
        SELECT now.newest - coalesce((SELECT max(behind) FROM open WHERE behind < 2147483648), 0) FROM now
        """
    )
    return horizon
