"""Call events of an agency in an order that can be resumed without a gap, on any replica.

A position is (transaction, number). Events of transactions that began before one that is still open are held back
until that is over: read later, they would stand before what was read already.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from router.store.pool import Connection

CHANNEL: Final = "callrouter_events"
_POSITION: Final = re.compile(r"([0-9]{1,19})\.([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place between two events."""

    xid: int
    seq: int

    def __str__(self) -> str:
        return f"{self.xid}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for what is none of ours."""
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


READ_EVENTS: Final = """
SELECT e.xid::text::bigint AS xid, e.seq, e.id, e.call_id, c.client_id, e.at, e.event, e.step, e.provider, e.reason,
       e.duration_ms, e.xid < pg_snapshot_xmin(pg_current_snapshot()) AS settled
  FROM call_events e
  JOIN calls c ON c.id = e.call_id
 WHERE e.agency_id = $1 AND (e.xid, e.seq) > ($2::text::xid8, $3)
 ORDER BY e.xid, e.seq
 LIMIT $4
"""


async def find_end(connection: Connection) -> Position:
    """Whatever is committed from now on stands behind it."""
    xid: int = await connection.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1")
    return Position(xid, (1 << 59) - 1)


async def read_events(connection: Connection, agency_id: str, after: Position, limit: int) -> Stretch:
    rows = await connection.fetch(READ_EVENTS, agency_id, str(after.xid), after.seq, limit)
    settled = [row for row in rows if row["settled"]]
    return Stretch(
        tuple(
            FeedEvent(
                Position(row["xid"], row["seq"]),
                row["id"],
                row["call_id"],
                row["client_id"],
                row["at"],
                row["event"],
                row["step"],
                row["provider"],
                row["reason"],
                row["duration_ms"],
            )
            for row in settled
        ),
        held_back=len(settled) < len(rows),
    )
