"""Deliveries of call events to endpoints: which are due, what became of each attempt, and replays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from router.store.events.endpoints import ENDPOINT, WebhookEndpoint, read_endpoint
from router.store.pool import Connection
from router.store.rows import columns, fetch_column, fetch_row, fetch_rows, read, returns_row

DeliveryState: TypeAlias = Literal["waiting", "delivered", "dead"]


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
class Exchange:
    """What was sent at the latest attempt, and the beginning of the answer; None if there was none."""

    at: datetime
    request: str
    response: str | None
    duration_ms: int


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """Everything needed to make one delivery."""

    id: str
    tried: int
    event_id: str
    endpoint: WebhookEndpoint


_KEEP: Final = """
    INSERT INTO exchanges (delivery_id, at, request, response, duration_ms)
    SELECT id, $2, $3, $4, $5 FROM deliveries WHERE id = $1
    ON CONFLICT (delivery_id) DO UPDATE
       SET at = excluded.at, request = excluded.request, response = excluded.response, duration_ms = excluded.duration_ms
"""
_DELIVERIES: Final = f"""
SELECT {columns(Delivery, "d", without=("event",))}, v.event
  FROM deliveries d
  JOIN endpoints e ON e.id = d.endpoint_id
  JOIN call_events v ON v.id = d.event_id
 WHERE e.agency_id = $1 AND d.endpoint_id = $2
"""


async def insert_deliveries(
    connection: Connection, endpoint_id: str, deliveries: Sequence[tuple[str, str]], now: datetime
) -> bool:
    """(id, event id) of each; those that the endpoint has already are left out. Whether there were new ones."""
    statement = """
        INSERT INTO deliveries (id, endpoint_id, event_id, state, created_at, due_at)
        SELECT d.id, $1, d.event_id, 'waiting', $4, $4 FROM unnest($2::text[], $3::text[]) AS d (id, event_id)
        ON CONFLICT (endpoint_id, event_id) DO NOTHING
        RETURNING id
    """
    ids, event_ids = [each for each, _ in deliveries], [event_id for _, event_id in deliveries]
    return await returns_row(connection, statement, endpoint_id, ids, event_ids, now)


async def find_next_delivery(connection: Connection, agency_id: str, *, slow: bool) -> datetime | None:
    """When the next one to the agency's slow, or other, endpoints is due."""
    statement = """
        SELECT min(greatest(d.due_at, e.resting_until))
          FROM endpoints e
         CROSS JOIN (VALUES (false), (true)) kinds (replayed)
          JOIN LATERAL (SELECT min(due_at) AS due_at FROM deliveries
                         WHERE endpoint_id = e.id AND state = 'waiting' AND replayed = kinds.replayed) d
            ON d.due_at IS NOT NULL
         WHERE e.agency_id = $1 AND e.slow = $2 AND NOT e.paused
    """
    found: datetime | None = await connection.fetchval(statement, agency_id, slow)
    return found


async def claim_deliveries(
    connection: Connection,
    agency_id: str,
    now: datetime,
    until: datetime,
    *,
    slow: bool,
    of_endpoint: int,
    limit: int,
) -> list[DueDelivery]:
    """Some that are due, from each endpoint in turn, new events before replayed ones. They are not due again before
    `until`.
    """
    rows = await connection.fetch(
        f"""
        WITH due AS (
            SELECT d.id
              FROM endpoints e
             CROSS JOIN LATERAL (
                 SELECT id, due_at, row_number() OVER () AS place
                   FROM (SELECT id, due_at FROM deliveries
                          WHERE endpoint_id = e.id AND state = 'waiting' AND due_at <= $3
                          ORDER BY replayed, due_at LIMIT $5) first
             ) d
             WHERE e.agency_id = $1 AND e.slow = $2 AND NOT e.paused
               AND (e.resting_until IS NULL OR e.resting_until <= $3)
             ORDER BY d.place, d.due_at
             LIMIT $6
        )
        UPDATE deliveries d SET due_at = $4
          FROM due, endpoints e
         WHERE d.id = due.id AND e.id = d.endpoint_id
        RETURNING d.id AS delivery_id, d.tried, d.event_id, {ENDPOINT}
        """,
        agency_id,
        slow,
        now,
        until,
        of_endpoint,
        limit,
    )
    return [read(DueDelivery, row, id=row["delivery_id"], endpoint=read_endpoint(row)) for row in rows]


async def list_unattended_deliveries(connection: Connection, now: datetime) -> list[tuple[str, bool]]:
    """(agency id, slow) of those that are due."""
    statement = """
        SELECT DISTINCT e.agency_id, e.slow
          FROM endpoints e
         WHERE NOT e.paused AND (e.resting_until IS NULL OR e.resting_until <= $1)
           AND EXISTS (SELECT FROM deliveries WHERE endpoint_id = e.id AND state = 'waiting' AND due_at <= $1)
    """
    return [(row["agency_id"], row["slow"]) for row in await connection.fetch(statement, now)]


async def note_delivered(
    connection: Connection, due: DueDelivery, status: int, exchange: Exchange, *, slow: bool
) -> None:
    statement = f"""
        WITH kept AS ({_KEEP}),
             endpoint AS (UPDATE endpoints SET resting_until = NULL, failures = 0, slow = $8
                           WHERE id = $7 AND (failures > 0 OR slow <> $8))
        UPDATE deliveries SET state = 'delivered', tried = tried + 1, status = $6, error = NULL, tried_at = $2
         WHERE id = $1
    """
    await connection.execute(statement, *_kept(due, exchange), status, due.endpoint.id, slow)


async def note_failure(
    connection: Connection,
    due: DueDelivery,
    status: int | None,
    error: str,
    exchange: Exchange,
    *,
    rest_until: datetime,
    due_at: datetime | None,
) -> None:
    """`due_at`: when to try again; None: this was the last attempt. Of an address that was changed meanwhile, it says
    nothing about the new one.
    """
    statement = f"""
        WITH kept AS ({_KEEP}),
             resting AS (UPDATE endpoints SET resting_until = $10, failures = failures + 1, slow = true
                          WHERE id = $8 AND url = $9)
        UPDATE deliveries SET state = CASE WHEN $11::timestamptz IS NULL THEN 'dead' ELSE state END,
               tried = tried + 1, status = $6, error = $7, tried_at = $2, due_at = coalesce($11, due_at)
         WHERE id = $1
    """
    endpoint = due.endpoint
    await connection.execute(
        statement, *_kept(due, exchange), status, error, endpoint.id, endpoint.url, rest_until, due_at
    )


async def note_gone(connection: Connection, due: DueDelivery, status: int, error: str, exchange: Exchange) -> None:
    """The endpoint is paused, and nothing waits for it any more, unless its address was changed meanwhile."""
    statement = f"""
        WITH kept AS ({_KEEP}),
             gone AS (UPDATE endpoints SET paused = true, gone_at = $2, resting_until = NULL
                       WHERE id = $8 AND url = $9 RETURNING id),
             ended AS (UPDATE deliveries SET state = 'dead', error = $7
                        WHERE endpoint_id IN (SELECT id FROM gone) AND state = 'waiting' AND id <> $1)
        UPDATE deliveries SET state = CASE WHEN EXISTS (SELECT FROM gone) THEN 'dead' ELSE state END,
               tried = tried + 1, status = $6, error = $7, tried_at = $2
         WHERE id = $1
    """
    await connection.execute(statement, *_kept(due, exchange), status, error, due.endpoint.id, due.endpoint.url)


def _kept(due: DueDelivery, exchange: Exchange) -> tuple[object, ...]:
    """The parameters $1 to $5."""
    return due.id, exchange.at, exchange.request, exchange.response, exchange.duration_ms


async def find_exchange(connection: Connection, delivery_id: str) -> Exchange | None:
    statement = f"""SELECT {columns(Exchange)} FROM exchanges WHERE delivery_id = $1"""
    return await fetch_row(connection, Exchange, statement, delivery_id)


async def erase_exchanges(connection: Connection, before: datetime, limit: int) -> int:
    """The oldest of those from before then. How many there were, `limit` at most."""
    statement = """
        WITH old AS (SELECT delivery_id FROM exchanges WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)
        DELETE FROM exchanges e USING old WHERE e.delivery_id = old.delivery_id RETURNING e.delivery_id
    """
    return len(await fetch_column(connection, statement, before, limit))


async def give_up_delivery(connection: Connection, delivery_id: str) -> None:
    statement = """UPDATE deliveries SET state = 'dead' WHERE id = $1 AND state = 'waiting'"""
    await connection.execute(statement, delivery_id)


async def list_deliveries(
    connection: Connection,
    agency_id: str,
    endpoint_id: str,
    *,
    state: DeliveryState | None = None,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[Delivery]:
    """Newest first; with `state`, only those."""
    statement = f"""
        {_DELIVERIES}
           AND ($6::text IS NULL OR d.state = $6)
           AND (d.created_at, d.id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4, ''))
         ORDER BY d.created_at DESC, d.id DESC
         LIMIT $5
    """
    place = after or (None, None)
    return await fetch_rows(connection, Delivery, statement, agency_id, endpoint_id, *place, limit, state)


async def find_delivery(connection: Connection, agency_id: str, endpoint_id: str, delivery_id: str) -> Delivery | None:
    statement = f"""{_DELIVERIES} AND d.id = $3"""
    return await fetch_row(connection, Delivery, statement, agency_id, endpoint_id, delivery_id)


async def resend_delivery(connection: Connection, delivery_id: str, now: datetime) -> None:
    """It is due now; unless it waits already, all its attempts begin again."""
    statement = """
        UPDATE deliveries
           SET state = 'waiting', due_at = $2, tried = CASE state WHEN 'waiting' THEN tried ELSE 0 END
         WHERE id = $1
    """
    await connection.execute(statement, delivery_id, now)


async def list_events_since(
    connection: Connection, endpoint: WebhookEndpoint, since: datetime, limit: int
) -> list[str]:
    """Ids of the events since then that the endpoint wants, oldest first."""
    statement = """
        SELECT v.id
          FROM call_events v
         WHERE v.agency_id = $1 AND v.at >= $2 AND ('*' = ANY ($3::text[]) OR v.event = ANY ($3))
         ORDER BY v.seq
         LIMIT $4
    """
    return await fetch_column(connection, statement, endpoint.agency_id, since, endpoint.events, limit)


async def find_replays(connection: Connection, agency_id: str) -> tuple[int, datetime | None]:
    """How many replayed deliveries of the agency wait, and when the last of those not yet tried is due."""
    [row] = await connection.fetch(
        """
        SELECT count(*) AS waiting, max(d.due_at) FILTER (WHERE d.tried = 0) AS last
          FROM endpoints e
          JOIN deliveries d ON d.endpoint_id = e.id
         WHERE e.agency_id = $1 AND d.state = 'waiting' AND d.replayed
        """,
        agency_id,
    )
    return row["waiting"], row["last"]


async def replay_deliveries(
    connection: Connection,
    endpoint_id: str,
    deliveries: Sequence[tuple[str, str]],
    now: datetime,
    *,
    first: datetime,
    interval: timedelta,
) -> int:
    """(id, event id) of each, in order: deliver these events, also those delivered before. One is due each `interval`.
    Those that wait already are left out. Returns how many there are.
    """
    statement = """
        INSERT INTO deliveries (id, endpoint_id, event_id, state, created_at, due_at, replayed)
        SELECT d.id, $1, d.event_id, 'waiting', $4, $5::timestamptz + $6::interval * (d.place - 1), true
          FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS d (id, event_id, place)
        ON CONFLICT (endpoint_id, event_id) DO UPDATE
           SET state = 'waiting', tried = 0, status = NULL, error = NULL, tried_at = NULL,
               created_at = excluded.created_at, due_at = excluded.due_at, replayed = true
         WHERE deliveries.state <> 'waiting'
        RETURNING id
    """
    ids, event_ids = [each for each, _ in deliveries], [event_id for _, event_id in deliveries]
    return len(await fetch_column(connection, statement, endpoint_id, ids, event_ids, now, first, interval))
