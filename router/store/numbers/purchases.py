"""Purchases of numbers: written down before they are made, so that a second try looks for the first one's number.

State open: it may have been made or not; done; failed: it was not made, and nobody will try again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from router.store.pool import Connection
from router.store.rows import columns, parameters, read, values

LEASE: Final = timedelta(seconds=60)
ASKED_AGAIN: Final = timedelta(minutes=15)  # whoever got no answer asks in the same words
CLAIMED: Final = timedelta(hours=24)  # or with the same Idempotency-Key


@dataclass(frozen=True, slots=True)
class Purchase:
    """`wanted` is the number that is asked for where one can be chosen; `named`: by whoever buys, so that no other will
    do. `known`: what the account had before. `claim` tells requests apart that use the same words.
    """

    id: str
    agency_id: str
    client_id: str
    carrier: str
    account: Literal["platform", "agency", "provider"]
    account_sid: str
    country: str
    area_code: str | None
    wanted: str | None
    named: bool
    known: Sequence[str]
    created_at: datetime
    claim: str | None = None

    @property
    def label(self) -> str:
        """Our mark on the number, where there is a place for one."""
        return f"callrouter {self.id}"


_COLUMNS: Final = columns(Purchase)
_PARAMETERS: Final = parameters(Purchase)
_PURCHASE: Final = columns(Purchase, "p")


async def insert_purchase(connection: Connection, purchase: Purchase) -> bool:
    """Held by whoever makes it. False: another one at that provider is open, and there may be one at a time."""
    inserted = await connection.fetchval(
        f"""
        INSERT INTO purchases ({_COLUMNS}, state, leased_until)
        VALUES ({_PARAMETERS}, 'open', $14)
        ON CONFLICT DO NOTHING
        RETURNING id
        """,
        *values(purchase),
        purchase.created_at + LEASE,
    )
    return inserted is not None


async def lease_like(
    connection: Connection,
    now: datetime,
    *,
    agency_id: str,
    client_id: str,
    carrier: str,
    country: str,
    area_code: str | None,
    wanted: str | None,
    claim: str | None,
) -> Purchase | None:
    """An open one that nobody is at and that was asked for in the same words: a second try of it."""
    row = await connection.fetchrow(
        f"""
        UPDATE purchases p
           SET leased_until = $8
          FROM (SELECT id
                  FROM purchases
                 WHERE agency_id = $1 AND client_id = $2 AND carrier = $3 AND country = $4
                   AND area_code IS NOT DISTINCT FROM $5 AND named = ($6::text IS NOT NULL) AND ($6 IS NULL OR wanted = $6)
                   AND (claim IS NULL OR $9::text IS NULL OR claim = $9)
                   AND state = 'open' AND leased_until <= $7
                 ORDER BY created_at
                 LIMIT 1
                   FOR UPDATE SKIP LOCKED) found
         WHERE p.id = found.id
        RETURNING {_PURCHASE}
        """,
        agency_id,
        client_id,
        carrier,
        country,
        area_code,
        wanted,
        now,
        now + LEASE,
        claim,
    )
    return read(Purchase, row) if row else None


async def take_made(
    connection: Connection,
    now: datetime,
    *,
    agency_id: str,
    client_id: str,
    carrier: str,
    country: str,
    area_code: str | None,
    wanted: str | None,
    claim: str | None,
) -> str | None:
    """The number of a purchase that was made for this request, which got no answer: for the same Idempotency-Key, or
    asked for in the same words a short while ago. Whoever takes it answers with it.
    """
    e164: str | None = await connection.fetchval(
        """
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
        """,
        agency_id,
        client_id,
        carrier,
        country,
        area_code,
        wanted,
        claim,
        now - CLAIMED,
        now - ASKED_AGAIN,
    )
    return e164


async def lease_open_purchases(connection: Connection, now: datetime, limit: int = 20) -> list[Purchase]:
    """Those that somebody left half way."""
    rows = await connection.fetch(
        f"""
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
        """,
        now,
        now + LEASE,
        limit,
    )
    return [read(Purchase, row) for row in rows]


async def find_purchase(connection: Connection, purchase_id: str) -> Purchase | None:
    """While it is open."""
    row = await connection.fetchrow(
        f"""
        SELECT {_PURCHASE}
          FROM purchases p
         WHERE id = $1 AND state = 'open'
        """,
        purchase_id,
    )
    return read(Purchase, row) if row else None


async def want_number(connection: Connection, purchase_id: str, wanted: str) -> None:
    """Another number is asked for: the one before was certainly not sold."""
    await connection.execute(
        """UPDATE purchases SET wanted = $2 WHERE id = $1 AND state = 'open'""", purchase_id, wanted
    )


async def release_purchase(connection: Connection, purchase_id: str, now: datetime) -> None:
    """Nobody is at it now, and nobody knows whether it was made: whoever comes next looks."""
    await connection.execute(
        """UPDATE purchases SET leased_until = $2 WHERE id = $1 AND state = 'open'""", purchase_id, now
    )


async def finish_purchase(connection: Connection, purchase_id: str, e164: str, *, told: bool) -> bool:
    """The number is recorded, in the same transaction. False: somebody else finished it."""
    finished = await connection.fetchval(
        """
        UPDATE purchases
           SET state = 'done', e164 = $2, told = $3, error = NULL
         WHERE id = $1 AND state = 'open'
        RETURNING id
        """,
        purchase_id,
        e164,
        told,
    )
    return finished is not None


async def note_told(connection: Connection, purchase_id: str) -> None:
    """Somebody else recorded it, but whoever asked is answered with it."""
    await connection.execute("""UPDATE purchases SET told = true WHERE id = $1""", purchase_id)


async def fail_purchase(connection: Connection, purchase_id: str, error: str) -> None:
    """It was certainly not made. `error` is a word for people who look into the table."""
    await connection.execute(
        """UPDATE purchases SET state = 'failed', error = $2 WHERE id = $1 AND state = 'open'""", purchase_id, error
    )
