"""Replies to requests that may be repeated, by the Idempotency-Key that came with them.

A claim without a reply that is older than any request may be was left behind by a crash. Another request may take it
over: the reply is stored in the same transaction as the work, so the work was rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from router.store.pool import Connection
from router.store.rows import columns, fetch_row, returns_row

KEPT: Final = timedelta(hours=24)
ABANDONED_AFTER: Final = timedelta(seconds=60)
_SWEPT_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class StoredReply:
    """What is known of a key. Without a reply, its request is still running."""

    request_hash: bytes
    status: int | None
    reply: str | None = field(repr=False)


_FIND: Final = f"""SELECT {columns(StoredReply)} FROM idempotency_keys WHERE scope = $1 AND key = $2"""


async def claim_key(connection: Connection, scope: str, key: str, request_hash: bytes, now: datetime) -> bool:
    """Whether this request may do the work. False: another one has the key or had it."""
    return await returns_row(
        connection,
        """
        INSERT INTO idempotency_keys (scope, key, request_hash, created_at)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (scope, key) DO UPDATE
           SET request_hash = EXCLUDED.request_hash, created_at = EXCLUDED.created_at, agency_id = NULL,
               status = NULL, reply = NULL
         WHERE idempotency_keys.created_at < $5
            OR (idempotency_keys.status IS NULL AND idempotency_keys.created_at < $6
                AND idempotency_keys.request_hash = EXCLUDED.request_hash)
        RETURNING key
        """,
        scope,
        key,
        request_hash,
        now,
        now - KEPT,
        now - ABANDONED_AFTER,
    )


async def find_reply(connection: Connection, scope: str, key: str) -> StoredReply | None:
    return await fetch_row(connection, StoredReply, _FIND, scope, key)


async def store_reply(
    connection: Connection, scope: str, key: str, status: int, reply: str, agency_id: str | None
) -> None:
    """It is deleted with the agency."""
    statement = """
        UPDATE idempotency_keys SET status = $3, reply = $4, agency_id = $5 WHERE scope = $1 AND key = $2
    """
    await connection.execute(statement, scope, key, status, reply, agency_id)


async def release_key(connection: Connection, scope: str, key: str) -> None:
    """Nothing was done: the next request may try."""
    await connection.execute(
        """DELETE FROM idempotency_keys WHERE scope = $1 AND key = $2 AND status IS NULL""", scope, key
    )


async def sweep_replies(connection: Connection, now: datetime) -> None:
    """Delete some of the expired replies. Called at each claim, so that none stays for long."""
    await connection.execute(
        """
        DELETE FROM idempotency_keys
         WHERE (scope, key) IN (SELECT scope, key FROM idempotency_keys WHERE created_at < $1 LIMIT $2)
        """,
        now - KEPT,
        _SWEPT_AT_ONCE,
    )
