"""Purchases of numbers: recorded before they are made, so that a second try looks for the number of the first one.

State open: it may have been made or not; done; failed: it was not made, and will not be tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from router.store.pool import Connection
from router.store.rows import columns, fetch_row, fetch_rows, parameters, returns_row, values

LEASE: Final = timedelta(seconds=60)
ASKED_AGAIN: Final = timedelta(minutes=15)  # a request without an answer may be repeated in the same words
CLAIMED: Final = timedelta(hours=24)  # or with the same Idempotency-Key for so long
_DAY: Final = timedelta(hours=24)
_PAID: Final = ("client_gone", "unknown")  # errors of failed purchases that cost money, or may have


@dataclass(frozen=True, slots=True)
class Order:
    """What a request asks to buy. `wanted` is one of the numbers on offer; `claim` tells requests in the same words apart."""

    agency_id: str
    client_id: str
    carrier: str
    country: str
    area_code: str | None
    wanted: str | None
    claim: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase(Order):
    """`wanted` is the number that is asked for where one can be chosen; `named`: the request named it, so that no other
    will do. `known`: what the account had before.
    """

    id: str
    account: Literal["platform", "agency", "provider"]
    account_sid: str
    named: bool
    known: Sequence[str]
    created_at: datetime

    @property
    def label(self) -> str:
        """Our mark on the number, where there is a place for one."""
        return f"callrouter {self.id}"


_COLUMNS: Final = columns(Purchase)
_PARAMETERS: Final = parameters(Purchase)
_PURCHASE: Final = columns(Purchase, "p")


async def find_next_purchase(connection: Connection, agency_id: str, now: datetime, most: int) -> datetime | None:
    """When the agency may buy its next number; None: now. It may buy `most` in 24 hours.

    Purchases that were certainly not made do not count. With the agency's row locked, none can come in between.
    """
    statement = """
        SELECT created_at
          FROM purchases
         WHERE agency_id = $1 AND created_at > $2 AND (state <> 'failed' OR error = ANY ($4))
         ORDER BY created_at DESC
        OFFSET $3
         LIMIT 1
    """
    oldest = await connection.fetchval(statement, agency_id, now - _DAY, most - 1, _PAID)
    return None if oldest is None else oldest + _DAY


async def insert_purchase(connection: Connection, purchase: Purchase) -> bool:
    """Leased to the caller. False: another purchase at that provider is open, and there may be only one."""
    statement = f"""
        INSERT INTO purchases ({_COLUMNS}, state, leased_until)
        VALUES ({_PARAMETERS}, 'open', $14)
        ON CONFLICT DO NOTHING
        RETURNING id
    """
    return await returns_row(connection, statement, *values(purchase), purchase.created_at + LEASE)


async def lease_like(connection: Connection, now: datetime, order: Order) -> Purchase | None:
    """An open purchase of the same order that is not being worked on: this is a second try of it."""
    statement = f"""
        UPDATE purchases p
           SET leased_until = $9
          FROM (SELECT id
                  FROM purchases
                 WHERE agency_id = $1 AND client_id = $2 AND carrier = $3 AND country = $4
                   AND area_code IS NOT DISTINCT FROM $5 AND named = ($6::text IS NOT NULL) AND ($6 IS NULL OR wanted = $6)
                   AND (claim IS NULL OR $7::text IS NULL OR claim = $7)
                   AND state = 'open' AND leased_until <= $8
                 ORDER BY created_at
                 LIMIT 1
                   FOR UPDATE SKIP LOCKED) found
         WHERE p.id = found.id
        RETURNING {_PURCHASE}
    """
    return await fetch_row(connection, Purchase, statement, *values(order), now, now + LEASE)


async def take_made(connection: Connection, now: datetime, order: Order) -> str | None:
    """The number of a finished purchase whose request got no answer: one with the same Idempotency-Key, or the same
    order a short while ago. The caller answers with it.
    """
    statement = """
        UPDATE purchases p
           SET told = true
          FROM (SELECT id
                  FROM purchases
                 WHERE agency_id = $1 AND state = 'done'
                   AND (claim = $7 AND created_at > $8
                        OR NOT told AND created_at > $9
                           AND client_id = $2 AND carrier = $3 AND country = $4 AND area_code IS NOT DISTINCT FROM $5
                           AND named = ($6::text IS NOT NULL) AND ($6 IS NULL OR wanted = $6)
                           AND (claim IS NULL OR $7::text IS NULL OR claim = $7))
                 ORDER BY created_at
                 LIMIT 1
                   FOR UPDATE) made
         WHERE p.id = made.id
        RETURNING p.e164
    """
    e164: str | None = await connection.fetchval(statement, *values(order), now - CLAIMED, now - ASKED_AGAIN)
    return e164


async def lease_open_purchases(connection: Connection, now: datetime, limit: int = 20) -> list[Purchase]:
    """Those that were not finished."""
    statement = f"""
        UPDATE purchases p
           SET leased_until = $2
          FROM (SELECT id
                  FROM purchases
                 WHERE state = 'open' AND leased_until <= $1
                 ORDER BY leased_until
                 LIMIT $3
                   FOR UPDATE SKIP LOCKED) due
         WHERE p.id = due.id
        RETURNING {_PURCHASE}
    """
    return await fetch_rows(connection, Purchase, statement, now, now + LEASE, limit)


async def find_purchase(connection: Connection, purchase_id: str) -> Purchase | None:
    """While it is open."""
    statement = f"""SELECT {_PURCHASE} FROM purchases p WHERE id = $1 AND state = 'open'"""
    return await fetch_row(connection, Purchase, statement, purchase_id)


async def want_number(connection: Connection, purchase_id: str, wanted: str) -> None:
    """Ask for another number: the one before was certainly not sold."""
    statement = """UPDATE purchases SET wanted = $2 WHERE id = $1 AND state = 'open'"""
    await connection.execute(statement, purchase_id, wanted)


async def release_purchase(connection: Connection, purchase_id: str, now: datetime) -> None:
    """End the lease. Whether the purchase was made is unknown: the next worker finds out."""
    statement = """UPDATE purchases SET leased_until = $2 WHERE id = $1 AND state = 'open'"""
    await connection.execute(statement, purchase_id, now)


async def finish_purchase(connection: Connection, purchase_id: str, e164: str, *, told: bool) -> bool:
    """The number is recorded, in the same transaction. False: another worker finished it."""
    statement = """
        UPDATE purchases
           SET state = 'done', e164 = $2, told = $3, error = NULL
         WHERE id = $1 AND state = 'open'
        RETURNING id
    """
    return await returns_row(connection, statement, purchase_id, e164, told)


async def note_told(connection: Connection, purchase_id: str) -> None:
    """Another worker recorded the number, but this request is answered with it."""
    await connection.execute("""UPDATE purchases SET told = true WHERE id = $1""", purchase_id)


async def fail_purchase(connection: Connection, purchase_id: str, error: str) -> None:
    """It was certainly not made. `error` is a word for people who look at the table."""
    statement = """UPDATE purchases SET state = 'failed', error = $2 WHERE id = $1 AND state = 'open'"""
    await connection.execute(statement, purchase_id, error)
