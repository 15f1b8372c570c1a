"""Endpoints of agencies, to which call events are delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias

import asyncpg

from router.store.pool import Connection
from router.store.rows import columns, fetch_column, read, returns_row

EVERYTHING: Final = "*"

ContentType: TypeAlias = Literal["application/json", "application/cloudevents+json"]
"""What deliveries are declared as; the body is the same. Many receivers read `application/json` only."""


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where an agency receives events. `resting_until`: deliveries pause until then after `failures` in a row. `slow`: the
    latest attempt failed or took long. `former_sealed`: what signed before, and also signs until `former_until`.
    `gone_at`: it answered 410 Gone then, and was paused. `place`: events up to there have become deliveries.
    """

    id: str
    agency_id: str
    url: str
    events: Sequence[str]
    content_type: ContentType
    description: str | None
    sealed: str = field(repr=False)
    former_sealed: str | None = field(repr=False)
    former_until: datetime | None
    place: int
    resting_until: datetime | None
    failures: int
    slow: bool
    paused: bool
    gone_at: datetime | None
    created_at: datetime


ENDPOINT: Final = columns(WebhookEndpoint, "e")
_FIND: Final = f"""SELECT {ENDPOINT} FROM endpoints e WHERE e.id = $1"""


def read_endpoint(row: asyncpg.Record) -> WebhookEndpoint:
    return read(WebhookEndpoint, row)


async def insert_endpoint(connection: Connection, endpoint: WebhookEndpoint) -> None:
    await connection.execute(
        """
        INSERT INTO endpoints (id, agency_id, url, events, content_type, description, sealed, place, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        endpoint.id,
        endpoint.agency_id,
        endpoint.url,
        endpoint.events,
        endpoint.content_type,
        endpoint.description,
        endpoint.sealed,
        endpoint.place,
        endpoint.created_at,
    )


async def find_endpoint(connection: Connection, agency_id: str, endpoint_id: str) -> WebhookEndpoint | None:
    row = await connection.fetchrow(f"""{_FIND} AND e.agency_id = $2""", endpoint_id, agency_id)
    return read_endpoint(row) if row else None


async def list_endpoints(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None = None, limit: int | None = None
) -> list[WebhookEndpoint]:
    """Oldest first."""
    rows = await connection.fetch(
        f"""
        SELECT {ENDPOINT}
          FROM endpoints e
         WHERE agency_id = $1 AND (created_at, id) > (coalesce($2::timestamptz, '-infinity'), coalesce($3, ''))
         ORDER BY created_at, id
         LIMIT $4
        """,
        agency_id,
        *(after or (None, None)),
        limit,
    )
    return [read_endpoint(row) for row in rows]


async def list_agencies_with_endpoints(connection: Connection) -> list[str]:
    return await fetch_column(connection, """SELECT DISTINCT agency_id FROM endpoints""")


async def lock_endpoint(connection: Connection, endpoint_id: str) -> WebhookEndpoint | None:
    """Until the transaction ends, no other one can create deliveries of its events."""
    row = await connection.fetchrow(f"""{_FIND} FOR NO KEY UPDATE""", endpoint_id)
    return read_endpoint(row) if row else None


async def move_endpoint(connection: Connection, endpoint_id: str, place: int) -> None:
    """Deliveries were created for all events up to there."""
    await connection.execute("""UPDATE endpoints SET place = $2 WHERE id = $1""", endpoint_id, place)


async def delete_endpoint(connection: Connection, agency_id: str, endpoint_id: str) -> bool:
    """With its deliveries. Whether there was one."""
    statement = """DELETE FROM endpoints WHERE agency_id = $1 AND id = $2 RETURNING id"""
    return await returns_row(connection, statement, agency_id, endpoint_id)


async def update_endpoint(connection: Connection, endpoint: WebhookEndpoint) -> None:
    """Change what its agency entered. Deliveries that wait go to the new address, too, which has not failed yet."""
    await connection.execute(
        """
        UPDATE endpoints
           SET url = $2, events = $3, content_type = $4, description = $5,
               resting_until = CASE WHEN url = $2 THEN resting_until END,
               failures = CASE WHEN url = $2 THEN failures ELSE 0 END,
               slow = url = $2 AND slow,
               gone_at = CASE WHEN url = $2 THEN gone_at END
         WHERE id = $1
        """,
        endpoint.id,
        endpoint.url,
        endpoint.events,
        endpoint.content_type,
        endpoint.description,
    )


async def change_secret(
    connection: Connection, endpoint_id: str, sealed: str, former_sealed: str | None, former_until: datetime | None
) -> None:
    statement = """UPDATE endpoints SET sealed = $2, former_sealed = $3, former_until = $4 WHERE id = $1"""
    await connection.execute(statement, endpoint_id, sealed, former_sealed, former_until)


async def pause_endpoint(connection: Connection, endpoint_id: str, error: str) -> None:
    """Nothing waits for it any more; the deliveries that waited are dead because of `error`."""
    statement = """
        WITH paused AS (UPDATE endpoints SET paused = true, resting_until = NULL WHERE id = $1)
        UPDATE deliveries SET state = 'dead', error = $2 WHERE endpoint_id = $1 AND state = 'waiting'
    """
    await connection.execute(statement, endpoint_id, error)


async def resume_endpoint(connection: Connection, endpoint_id: str, place: int) -> None:
    """Events after `place` become deliveries again."""
    statement = """
        UPDATE endpoints SET paused = false, gone_at = NULL, failures = 0, slow = false, place = $2
         WHERE id = $1
    """
    await connection.execute(statement, endpoint_id, place)
