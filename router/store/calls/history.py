"""Calls and what happened on them, as people read them. What a live call asks and writes is router.store.calls.calls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from router.store.pool import Connection
from router.store.rows import columns, read


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call, maybe still on. `seconds` is its length, `cost` in US dollars."""

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
        """As other programs are told of it, under the names of the API."""
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


_CALL: Final = columns(PastCall)
_EVENT: Final = columns(PastEvent, "e")
_CALL_EVENT: Final = columns(PastCallEvent)


async def list_calls(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[PastCall]:
    """Newest first."""
    at, call_id = after or (None, None)
    rows = await connection.fetch(
        f"""
        SELECT {_CALL}
          FROM calls
         WHERE agency_id = $1 AND ($2::timestamptz IS NULL OR (started_at, id) < ($2, $3))
         ORDER BY started_at DESC, id DESC
         LIMIT $4
        """,
        agency_id,
        at,
        call_id,
        limit,
    )
    return [read(PastCall, row) for row in rows]


async def find_call(connection: Connection, agency_id: str, call_id: str) -> PastCall | None:
    row = await connection.fetchrow(
        f"""
        SELECT {_CALL}
          FROM calls
         WHERE agency_id = $1 AND id = $2
        """,
        agency_id,
        call_id,
    )
    return read(PastCall, row) if row else None


async def list_call_events(connection: Connection, agency_id: str, call_id: str) -> list[PastEvent]:
    """In the order in which they happened."""
    rows = await connection.fetch(
        f"""
        SELECT {_EVENT}
          FROM call_events e
          JOIN calls c ON c.id = e.call_id
         WHERE c.agency_id = $1 AND e.call_id = $2
         ORDER BY e.at, e.seq
        """,
        agency_id,
        call_id,
    )
    return [read(PastEvent, row) for row in rows]


async def find_call_event(connection: Connection, agency_id: str, event_id: str) -> PastCallEvent | None:
    row = await connection.fetchrow(
        f"""
        SELECT {_CALL_EVENT}
          FROM call_events
         WHERE id = $1 AND agency_id = $2
        """,
        event_id,
        agency_id,
    )
    return read(PastCallEvent, row) if row else None
