"""Endpoints of agencies, to which call events are delivered, and the state of each delivery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias

import asyncpg

from router.store.events.feed import Position
from router.store.pool import Connection
from router.store.rows import columns, fetch_column, fetch_rows, read, returns_row

DeliveryState: TypeAlias = Literal["waiting", "delivered", "dead"]

EVERYTHING: Final = "*"


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where an agency receives events. `resting_until`: deliveries pause until then after `failures` in a row."""

    id: str
    agency_id: str
    url: str
    events: Sequence[str]
    sealed: str = field(repr=False)
    position: Position
    resting_until: datetime | None
    failures: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint. `error` is in our words, never the receiver's."""

    id: str
    endpoint_id: str
    event_id: str
    event: str
    state: DeliveryState
    tried: int
    status: int | None
    error: str | None
    created_at: datetime
    tried_at: datetime | None


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """Everything needed to make one delivery."""

    id: str
    state: DeliveryState
    tried: int
    event_id: str
    endpoint: WebhookEndpoint


_ENDPOINT: Final = f"""{columns(WebhookEndpoint, "e", without=("position",))}, {columns(Position, "e")}"""
_FIND: Final = f"""SELECT {_ENDPOINT} FROM endpoints e WHERE e.id = $1"""


def _read(row: asyncpg.Record) -> WebhookEndpoint:
    return read(WebhookEndpoint, row, position=read(Position, row))


async def insert_endpoint(connection: Connection, endpoint: WebhookEndpoint) -> None:
    await connection.execute(
        """
        INSERT INTO endpoints (id, agency_id, url, events, sealed, xid, seq, created_at)
        VALUES ($1, $2, $3, $4, $5, $6::text::xid8, $7, $8)
        """,
        endpoint.id,
        endpoint.agency_id,
        endpoint.url,
        endpoint.events,
        endpoint.sealed,
        str(endpoint.position.xid),
        endpoint.position.seq,
        endpoint.created_at,
    )


async def find_endpoint(connection: Connection, agency_id: str, endpoint_id: str) -> WebhookEndpoint | None:
    row = await connection.fetchrow(f"""{_FIND} AND e.agency_id = $2""", endpoint_id, agency_id)
    return _read(row) if row else None


async def list_endpoints(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None = None, limit: int | None = None
) -> list[WebhookEndpoint]:
    """Oldest first."""
    rows = await connection.fetch(
        f"""
        SELECT {_ENDPOINT}
          FROM endpoints e
         WHERE agency_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) > ($2, $3))
         ORDER BY created_at, id
         LIMIT $4
        """,
        agency_id,
        *(after or (None, None)),
        limit,
    )
    return [_read(row) for row in rows]


async def list_agencies_with_endpoints(connection: Connection) -> list[str]:
    return await fetch_column(connection, """SELECT DISTINCT agency_id FROM endpoints""")


async def lock_endpoint(connection: Connection, endpoint_id: str) -> WebhookEndpoint | None:
    """Until the transaction ends, no other one can create deliveries of its events."""
    row = await connection.fetchrow(f"""{_FIND} FOR NO KEY UPDATE""", endpoint_id)
    return _read(row) if row else None


async def move_endpoint(connection: Connection, endpoint_id: str, position: Position) -> None:
    """Deliveries were created for all events up to there."""
    statement = """UPDATE endpoints SET xid = $2::text::xid8, seq = $3 WHERE id = $1"""
    await connection.execute(statement, endpoint_id, str(position.xid), position.seq)


async def delete_endpoint(connection: Connection, agency_id: str, endpoint_id: str) -> bool:
    """With its deliveries. Whether there was one."""
    statement = """DELETE FROM endpoints WHERE agency_id = $1 AND id = $2 RETURNING id"""
    return await returns_row(connection, statement, agency_id, endpoint_id)


async def insert_deliveries(
    connection: Connection, endpoint_id: str, deliveries: Sequence[tuple[str, str]], now: datetime
) -> list[str]:
    """(id, event id) of each; those that the endpoint has already are left out. Returns the ids of the new ones."""
    statement = """
        INSERT INTO deliveries (id, endpoint_id, event_id, state, created_at)
        SELECT d.id, $1, d.event_id, 'waiting', $4 FROM unnest($2::text[], $3::text[]) AS d (id, event_id)
        ON CONFLICT (endpoint_id, event_id) DO NOTHING
        RETURNING id
    """
    ids, event_ids = [each for each, _ in deliveries], [event_id for _, event_id in deliveries]
    return await fetch_column(connection, statement, endpoint_id, ids, event_ids, now)


async def find_delivery(connection: Connection, delivery_id: str) -> DueDelivery | None:
    row = await connection.fetchrow(
        f"""
        SELECT d.id AS delivery_id, d.state, d.tried, d.event_id, {_ENDPOINT}
          FROM deliveries d
          JOIN endpoints e ON e.id = d.endpoint_id
         WHERE d.id = $1
        """,
        delivery_id,
    )
    return read(DueDelivery, row, id=row["delivery_id"], endpoint=_read(row)) if row else None


async def note_delivered(connection: Connection, due: DueDelivery, status: int, now: datetime) -> None:
    statement = """
        WITH rested AS (UPDATE endpoints SET resting_until = NULL, failures = 0 WHERE id = $4 AND failures > 0)
        UPDATE deliveries SET state = 'delivered', tried = tried + 1, status = $2, error = NULL, tried_at = $3
         WHERE id = $1
    """
    await connection.execute(statement, due.id, status, now, due.endpoint.id)


async def note_failure(
    connection: Connection, due: DueDelivery, status: int | None, error: str, now: datetime, rest_until: datetime
) -> None:
    statement = """
        WITH resting AS (UPDATE endpoints SET resting_until = $6, failures = failures + 1 WHERE id = $5)
        UPDATE deliveries SET tried = tried + 1, status = $2, error = $3, tried_at = $4 WHERE id = $1
    """
    await connection.execute(statement, due.id, status, error, now, due.endpoint.id, rest_until)


async def give_up_delivery(connection: Connection, delivery_id: str) -> None:
    statement = """UPDATE deliveries SET state = 'dead' WHERE id = $1 AND state = 'waiting'"""
    await connection.execute(statement, delivery_id)


async def list_deliveries(
    connection: Connection, agency_id: str, endpoint_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[Delivery]:
    """Newest first."""
    statement = f"""
        SELECT {columns(Delivery, "d", without=("event",))}, v.event
          FROM deliveries d
          JOIN endpoints e ON e.id = d.endpoint_id
          JOIN call_events v ON v.id = d.event_id
         WHERE e.agency_id = $1 AND d.endpoint_id = $2
           AND ($3::timestamptz IS NULL OR (d.created_at, d.id) < ($3, $4))
         ORDER BY d.created_at DESC, d.id DESC
         LIMIT $5
    """
    return await fetch_rows(connection, Delivery, statement, agency_id, endpoint_id, *(after or (None, None)), limit)


async def list_events_since(
    connection: Connection, endpoint: WebhookEndpoint, since: datetime, limit: int
) -> list[str]:
    """Ids of the events since then that the endpoint wants, oldest first."""
    statement = """
        SELECT v.id
          FROM call_events v
         WHERE v.agency_id = $1 AND v.at >= $2 AND ('*' = ANY ($3::text[]) OR v.event = ANY ($3))
         ORDER BY v.xid, v.seq
         LIMIT $4
    """
    return await fetch_column(connection, statement, endpoint.agency_id, since, endpoint.events, limit)


async def revive_deliveries(
    connection: Connection, endpoint_id: str, event_ids: Sequence[str], now: datetime
) -> list[str]:
    """Deliver these events again, whether they were delivered or not. Returns the deliveries' ids."""
    statement = """
        UPDATE deliveries SET state = 'waiting', tried = 0, status = NULL, error = NULL, tried_at = NULL, created_at = $3
         WHERE endpoint_id = $1 AND event_id = ANY ($2) AND state <> 'waiting'
        RETURNING id
    """
    return await fetch_column(connection, statement, endpoint_id, event_ids, now)
