"""Calls and their events for lists and timelines. What a live call reads and writes is in router.store.calls.calls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from router.store.pool import Connection
from router.store.rows import columns, fetch_row, fetch_rows, read


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call, which may still be on. `seconds` is its length, `cost` in US dollars."""

    id: str
    call_sid: str
    client_id: str
    from_number: str
    to_number: str
    provider: str | None
    outcome: str | None
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    seconds: int | None
    cost: Decimal | None

    def as_json(self) -> dict[str, Any]:
        """For other programs, under the names of the API."""
        return {
            "id": self.id,
            "call_sid": self.call_sid,
            "client_id": self.client_id,
            "from": self.from_number,
            "to": self.to_number,
            "provider": self.provider,
            "outcome": self.outcome,
            "started_at": self.started_at.isoformat(),
            "answered_at": self.answered_at and self.answered_at.isoformat(),
            "ended_at": self.ended_at and self.ended_at.isoformat(),
            "seconds": self.seconds,
            "cost": None if self.cost is None else float(self.cost),
        }


@dataclass(frozen=True, slots=True)
class PastEvent:
    """One thing that happened to a call."""

    id: str
    at: datetime
    event: str
    step: str | None
    provider: str | None
    reason: str | None
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class PastCallEvent(PastEvent):
    """The same, with its call."""

    call_id: str

    def as_json(self) -> dict[str, Any]:
        """Likewise."""
        return {
            "id": self.id,
            "call_id": self.call_id,
            "at": self.at.isoformat(),
            "event": self.event,
            "step": self.step,
            "provider": self.provider,
            "reason": self.reason,
            "duration_ms": self.duration_ms,
        }


_CALLS: Final = f"""SELECT {columns(PastCall)} FROM calls"""


async def list_calls(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[PastCall]:
    """Newest first."""
    rows = await connection.fetch(
        f"""
        {_CALLS}
         WHERE agency_id = $1 AND (started_at, id) < (coalesce($2::timestamptz, 'infinity'), coalesce($3, ''))
         ORDER BY started_at DESC, id DESC
         LIMIT $4
        """,
        agency_id,
        *(after or (None, None)),
        limit,
    )
    return [read(PastCall, row) for row in rows]


async def find_call(connection: Connection, agency_id: str, call_id: str) -> PastCall | None:
    return await fetch_row(connection, PastCall, f"""{_CALLS} WHERE agency_id = $1 AND id = $2""", agency_id, call_id)


async def list_call_events(connection: Connection, agency_id: str, call_id: str) -> list[PastEvent]:
    """In the order in which they happened."""
    statement = f"""
        SELECT {columns(PastEvent, "e")}
          FROM call_events e
          JOIN calls c ON c.id = e.call_id
         WHERE c.agency_id = $1 AND e.call_id = $2
         ORDER BY e.at, e.seq
    """
    return await fetch_rows(connection, PastEvent, statement, agency_id, call_id)


async def find_call_event(connection: Connection, agency_id: str, event_id: str) -> PastCallEvent | None:
    statement = f"""SELECT {columns(PastCallEvent)} FROM call_events WHERE id = $1 AND agency_id = $2"""
    return await fetch_row(connection, PastCallEvent, statement, event_id, agency_id)
