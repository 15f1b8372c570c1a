"""Sealed keys of agencies, by version. What is sealed under which context stands in router.store.sealed.

One version of a kind is in use; those before it stay for a while, retired, because providers sign webhooks of calls
that are still on with the key that the call was made with, and carriers with the former token until they are told. A version number is never used twice, not even after a
key was deleted: circuits and remembered routes know keys by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from router.store.pool import Connection
from router.store.rows import columns, read, sql

KeyStatus: TypeAlias = Literal["valid", "out_of_credit", "failing"]

RETIRED_KEPT: Final = timedelta(hours=24)
KEPT_AFTER_CALL: Final = timedelta(hours=1)
FIRST_CHECK: Final = timedelta(minutes=1)
"""After it was saved a key is looked at: saving asks only whether it works."""

_CLOCKS_DIFFER: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One version of a key. `account_sid` for a carrier's key only.

    The rest is what its owner told at the last look: `problem` in its own words, `balance` in US dollars.
    """

    agency_id: str
    kind: str
    version: int
    sealed: str = field(repr=False)
    webhook_sealed: str | None = field(repr=False)
    webhook_token_sealed: str | None = field(repr=False)
    account_sid: str | None
    last4: str
    status: KeyStatus
    checked_at: datetime
    saved_at: datetime
    problem: str | None = None
    balance: float | None = field(default=None, metadata=sql("t.balance::float8"))
    lines_limit: int | None = None
    lines_used: int | None = None
    failing_since: datetime | None = None


_KEY: Final = columns(StoredKey)


async def list_keys_in_use(connection: Connection, agency_id: str) -> list[StoredKey]:
    rows = await connection.fetch(
        f"""
        SELECT {_KEY}
          FROM keys
         WHERE agency_id = $1 AND retired_at IS NULL
        """,
        agency_id,
    )
    return [read(StoredKey, row) for row in rows]


async def find_key_in_use(connection: Connection, agency_id: str, kind: str) -> StoredKey | None:
    row = await connection.fetchrow(
        f"""
        SELECT {_KEY}
          FROM keys
         WHERE agency_id = $1 AND kind = $2 AND retired_at IS NULL
        """,
        agency_id,
        kind,
    )
    return read(StoredKey, row) if row else None


async def find_account_key(connection: Connection, agency_id: str, account_sid: str) -> StoredKey | None:
    """The newest version of the agency's key that opens this carrier account, also if another one is in use now."""
    row = await connection.fetchrow(
        f"""
        SELECT {_KEY}
          FROM keys
         WHERE agency_id = $1 AND account_sid = $2
         ORDER BY version DESC
         LIMIT 1
        """,
        agency_id,
        account_sid,
    )
    return read(StoredKey, row) if row else None


async def take_version(connection: Connection, agency_id: str, kind: str) -> int:
    """The next version number; a transaction that is rolled back gives it back."""
    version: int = await connection.fetchval(
        """
        INSERT INTO key_versions (agency_id, kind, newest)
        VALUES ($1, $2, 1)
        ON CONFLICT (agency_id, kind) DO UPDATE SET newest = key_versions.newest + 1
        RETURNING newest
        """,
        agency_id,
        kind,
    )
    return version


async def replace_key(connection: Connection, key: StoredKey) -> None:
    """Put the key in use, retire the one before it, erase those retired long ago. Needs a transaction.

    Nothing is left of how the one before it was. Who saves a key that fails knows of it: no letter tells him.
    """
    await connection.execute(
        """UPDATE keys SET retired_at = $3 WHERE agency_id = $1 AND kind = $2 AND retired_at IS NULL""",
        key.agency_id,
        key.kind,
        key.saved_at,
    )
    await connection.execute(
        """DELETE FROM keys WHERE agency_id = $1 AND kind = $2 AND retired_at < $3""",
        key.agency_id,
        key.kind,
        key.saved_at - RETIRED_KEPT,
    )
    await connection.execute(
        """
        INSERT INTO keys (agency_id, kind, version, sealed, webhook_sealed, webhook_token_sealed, account_sid, last4,
                          status, checked_at, saved_at, problem, balance, lines_limit, lines_used, lines_at,
                          failing_since, alerted_at, check_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::float8, $14, $15, $11, $16, $16, $17)
        """,
        key.agency_id,
        key.kind,
        key.version,
        key.sealed,
        key.webhook_sealed,
        key.webhook_token_sealed,
        key.account_sid,
        key.last4,
        key.status,
        key.checked_at,
        key.saved_at,
        key.problem,
        key.balance,
        key.lines_limit,
        key.lines_used,
        key.failing_since,
        key.saved_at + FIRST_CHECK,
    )


async def erase_retired_keys(connection: Connection, now: datetime) -> list[tuple[str, str, int]]:
    """Versions that nothing needs any more: (agency id, kind, version). Several may run it at once.

    One stays until an hour after the last call that may have used it, a carrier account's token for the whole day.
    """
    # A call may have used a version if it came in while that one was in use, and its provider was asked. Which of an
    # account's tokens Twilio signs with, nobody tells us: the former one until the agency promotes the new one.
    rows = await connection.fetch(
        """
        DELETE FROM keys k
         WHERE k.retired_at < $1
           AND (k.retired_at < $2
                OR k.account_sid IS NULL
                   AND NOT EXISTS (
                       SELECT FROM calls c
                        WHERE c.agency_id = k.agency_id
                          AND c.started_at BETWEEN k.retired_at - $3::interval AND k.retired_at + $4::interval
                          AND (c.ended_at IS NULL OR c.ended_at > $1)
                          AND EXISTS (
                              SELECT FROM call_events e
                               WHERE e.call_id = c.id AND e.event = 'handoff.requested' AND e.provider = k.kind)))
        RETURNING k.agency_id, k.kind, k.version
        """,
        now - KEPT_AFTER_CALL,
        now - RETIRED_KEPT,
        RETIRED_KEPT,
        _CLOCKS_DIFFER,
    )
    return [(row["agency_id"], row["kind"], row["version"]) for row in rows]


async def list_account_keys_in_use(connection: Connection, account_sid: str) -> list[StoredKey]:
    """Those of all agencies that use this carrier account."""
    rows = await connection.fetch(
        f"""
        SELECT {_KEY}
          FROM keys
         WHERE account_sid = $1 AND retired_at IS NULL
         ORDER BY agency_id
        """,
        account_sid,
    )
    return [read(StoredKey, row) for row in rows]


async def note_check(connection: Connection, key: StoredKey, status: KeyStatus, at: datetime) -> bool:
    """What a look out of turn said of a key that is still in use; the next one comes at once, and tells people.

    Whether that is another status than before.
    """
    changed = await connection.fetchval(
        """
        UPDATE keys
           SET status = $4, suspected = NULL, checked_at = $5, check_at = $5,
               problem = NULL, alerted_at = NULL, failing_since = CASE WHEN $4 <> 'valid' THEN $5::timestamptz END
         WHERE agency_id = $1 AND kind = $2 AND version = $3 AND retired_at IS NULL AND status <> $4
        RETURNING version
        """,
        key.agency_id,
        key.kind,
        key.version,
        status,
        at,
    )
    return changed is not None


async def erase_key(connection: Connection, agency_id: str, kind: str) -> bool:
    """All versions at once. Whether there was one in use."""
    rows = await connection.fetch(
        """DELETE FROM keys WHERE agency_id = $1 AND kind = $2 RETURNING retired_at IS NULL AS in_use""",
        agency_id,
        kind,
    )
    return any(row["in_use"] for row in rows)


async def find_pause(connection: Connection, key: StoredKey) -> datetime | None:
    """Until when the provider wants not to be asked for settings with this key."""
    until: datetime | None = await connection.fetchval(
        """SELECT paused_until FROM keys WHERE agency_id = $1 AND kind = $2 AND version = $3""",
        key.agency_id,
        key.kind,
        key.version,
    )
    return until


async def pause_key(connection: Connection, key: StoredKey, until: datetime) -> None:
    """The provider wants not to be asked for settings before that."""
    await connection.execute(
        """
        UPDATE keys
           SET paused_until = greatest(paused_until, $4)
         WHERE agency_id = $1 AND kind = $2 AND version = $3
        """,
        key.agency_id,
        key.kind,
        key.version,
        until,
    )
