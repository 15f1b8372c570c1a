"""Replies to writes that may be repeated, by the Idempotency-Key that the client gave them.

A claim without a reply that outlives every request was left behind by a crash. Its work was rolled back, since the
reply is stored in the same transaction as the work: it may be taken over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from router.store.pool import Connection
from router.store.rows import columns, read

KEPT: Final = timedelta(hours=24)
ABANDONED_AFTER: Final = timedelta(seconds=60)
_SWEPT_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class StoredReply:
    """What is known of a key. Without a reply, somebody is still at work on it."""

    request_hash: bytes
    status: int | None
    reply: str | None = field(repr=False)


_REPLY: Final = columns(StoredReply)


async def claim_key(connection: Connection, scope: str, key: str, request_hash: bytes, now: datetime) -> bool:
    """Whether the key is ours to do the work for. False: somebody else has it or had it."""
    claimed = await connection.fetchval(
        """
        INSERT INTO idempotency_keys (scope, key, request_hash, created_at)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (scope, key) DO UPDATE
           SET request_hash = EXCLUDED.request_hash, created_at = EXCLUDED.created_at, status = NULL, reply = NULL
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
    return claimed is not None


async def find_reply(connection: Connection, scope: str, key: str) -> StoredReply | None:
    row = await connection.fetchrow(
        f"""
        SELECT {_REPLY}
          FROM idempotency_keys
         WHERE scope = $1 AND key = $2
        """,
        scope,
        key,
    )
    return read(StoredReply, row) if row else None


async def store_reply(connection: Connection, scope: str, key: str, status: int, reply: str) -> None:
    await connection.execute(
        """UPDATE idempotency_keys SET status = $3, reply = $4 WHERE scope = $1 AND key = $2""",
        scope,
        key,
        status,
        reply,
    )


async def release_key(connection: Connection, scope: str, key: str) -> None:
    """Nothing was done: whoever comes next may try."""
    await connection.execute(
        """DELETE FROM idempotency_keys WHERE scope = $1 AND key = $2 AND status IS NULL""", scope, key
    )


async def sweep_replies(connection: Connection, now: datetime) -> None:
    """Erase some of those that are too old; called at each claim, so that none are left for long."""
    await connection.execute(
        """
        DELETE FROM idempotency_keys
         WHERE (scope, key) IN (SELECT scope, key FROM idempotency_keys WHERE created_at < $1 LIMIT $2)
        """,
        now - KEPT,
        _SWEPT_AT_ONCE,
    )
