"""Sealed keys of agencies, by version. Contexts of sealed values are in router.store.sealed.

One version of a kind is in use. Earlier versions stay for a while, retired: a provider signs the webhooks of a call
with the key that the call was made with, and a carrier uses its former token until the new one is promoted. A version
number is never used twice, not even after the key was deleted, because circuits and remembered routes know keys by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from router.store.pool import Connection
from router.store.rows import columns, fetch_column, fetch_row, fetch_rows, returns_row, sql, values

KeyStatus: TypeAlias = Literal["valid", "out_of_credit", "failing"]

RETIRED_KEPT: Final = timedelta(hours=24)
KEPT_AFTER_CALL: Final = timedelta(hours=1)
FIRST_CHECK: Final = timedelta(minutes=1)
"""How long after it was saved a key is checked: saving only asks whether it works."""

_CLOCKS_DIFFER: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One version of a key. `account_sid` and `shared_key_ids` for a carrier's key only: the ids of the shared keys that
    `webhook_sealed` holds together.

    The rest is what the provider or carrier said at the last check: `problem` in its words, `balance` in US dollars.
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
    signed_at: datetime | None = None  # when a webhook signed with it, or with its webhook secret, first verified
    shared_key_ids: tuple[str, ...] = ()
    unproven_at: datetime | None = None  # when a request of the carrier was refused whose shared key we don't have


_KEYS: Final = f"""SELECT {columns(StoredKey)} FROM keys"""


async def list_keys_in_use(connection: Connection, agency_id: str) -> list[StoredKey]:
    statement = f"""{_KEYS} WHERE agency_id = $1 AND retired_at IS NULL"""
    return await fetch_rows(connection, StoredKey, statement, agency_id)


async def list_account_keys_in_use(connection: Connection, account_sid: str) -> list[StoredKey]:
    """Those of all agencies that use this carrier account."""
    statement = f"""{_KEYS} WHERE account_sid = $1 AND retired_at IS NULL ORDER BY agency_id"""
    return await fetch_rows(connection, StoredKey, statement, account_sid)


async def find_key_in_use(connection: Connection, agency_id: str, kind: str) -> StoredKey | None:
    statement = f"""{_KEYS} WHERE agency_id = $1 AND kind = $2 AND retired_at IS NULL"""
    return await fetch_row(connection, StoredKey, statement, agency_id, kind)


async def find_account_key(connection: Connection, agency_id: str, account_sid: str) -> StoredKey | None:
    """The newest version of the agency's key that opens this carrier account, even if a key for another one is in use."""
    statement = f"""{_KEYS} WHERE agency_id = $1 AND account_sid = $2 ORDER BY version DESC LIMIT 1"""
    return await fetch_row(connection, StoredKey, statement, agency_id, account_sid)


async def list_accounts(connection: Connection, agency_id: str, kind: str) -> set[str]:
    """The carrier accounts that all versions of the agency's key open."""
    statement = """
        SELECT DISTINCT account_sid FROM keys WHERE agency_id = $1 AND kind = $2 AND account_sid IS NOT NULL
    """
    return set(await fetch_column(connection, statement, agency_id, kind))


async def take_version(connection: Connection, agency_id: str, kind: str) -> int:
    """The next version number; a transaction that is rolled back gives it back."""
    statement = """
        INSERT INTO key_versions (agency_id, kind, newest)
        VALUES ($1, $2, 1)
        ON CONFLICT (agency_id, kind) DO UPDATE SET newest = key_versions.newest + 1
        RETURNING newest
    """
    return int(await connection.fetchval(statement, agency_id, kind))


async def replace_key(connection: Connection, key: StoredKey) -> None:
    """Put the key in use, retire the one before it, delete those retired long ago. Needs a transaction.

    The new version inherits nothing from the one before it. If it fails already, that counts as alerted: the person who
    saves it can see it.
    """
    retire = """UPDATE keys SET retired_at = $3 WHERE agency_id = $1 AND kind = $2 AND retired_at IS NULL"""
    await connection.execute(retire, key.agency_id, key.kind, key.saved_at)
    erase = """DELETE FROM keys WHERE agency_id = $1 AND kind = $2 AND retired_at < $3"""
    await connection.execute(erase, key.agency_id, key.kind, key.saved_at - RETIRED_KEPT)
    await connection.execute(
        """
        INSERT INTO keys (agency_id, kind, version, sealed, webhook_sealed, webhook_token_sealed, account_sid, last4,
                          status, checked_at, saved_at, problem, balance, lines_limit, lines_used, failing_since,
                          signed_at, shared_key_ids, unproven_at, lines_at, alerted_at, check_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::float8, $14, $15, $16, $17, $18, $19, $11, $16,
                $20)
        """,
        *values(key),
        key.saved_at + FIRST_CHECK,
    )


async def erase_retired_keys(connection: Connection, now: datetime) -> list[tuple[str, str, int]]:
    """Delete versions that are not needed any more: (agency id, kind, version). Several processes may run it at once.

    One stays until an hour after the last call that may have used it, a carrier account's token for the whole day.
    """
    # A call may have used a version if it came in while that one was in use, and its provider was asked. Twilio does not
    # say which of an account's tokens it signs with: it is the former one until the agency promotes the new one.
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
    return [tuple(row) for row in rows]


async def note_check(connection: Connection, key: StoredKey, status: KeyStatus, at: datetime) -> bool:
    """Save the result of a check out of turn if the status differs. The next check is due at once, and sends alerts.

    Whether the status changed.
    """
    return await returns_row(
        connection,
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


async def note_unproven(connection: Connection, key: StoredKey, at: datetime) -> bool:
    """A request of the carrier was refused, signed with a shared key that was not saved with this key. Whether this is
    news.
    """
    was = await connection.fetchval(
        """
        WITH before AS (
            SELECT unproven_at FROM keys
             WHERE agency_id = $1 AND kind = $2 AND version = $3 AND retired_at IS NULL
               FOR UPDATE
        )
        UPDATE keys SET unproven_at = $4
          FROM before
         WHERE agency_id = $1 AND kind = $2 AND version = $3
        RETURNING before.unproven_at IS NULL
        """,
        key.agency_id,
        key.kind,
        key.version,
        at,
    )
    return bool(was)


async def note_proven(connection: Connection, account_sid: str) -> None:
    """Requests of this carrier account are proven again."""
    statement = """UPDATE keys SET unproven_at = NULL WHERE account_sid = $1 AND unproven_at IS NOT NULL"""
    await connection.execute(statement, account_sid)


async def erase_key(connection: Connection, agency_id: str, kind: str) -> bool:
    """All versions at once, and the former tokens of its webhook address. Whether there was one in use."""
    await connection.execute(
        """DELETE FROM former_webhook_tokens WHERE agency_id = $1 AND kind = $2""", agency_id, kind
    )
    statement = """DELETE FROM keys WHERE agency_id = $1 AND kind = $2 RETURNING retired_at IS NULL"""
    return any(await fetch_column(connection, statement, agency_id, kind))


async def find_pause(connection: Connection, key: StoredKey) -> datetime | None:
    """The time before which the provider does not want settings requests with this key."""
    statement = """SELECT paused_until FROM keys WHERE agency_id = $1 AND kind = $2 AND version = $3"""
    until: datetime | None = await connection.fetchval(statement, key.agency_id, key.kind, key.version)
    return until


async def pause_key(connection: Connection, key: StoredKey, until: datetime) -> None:
    """The provider does not want settings requests before that."""
    statement = """
        UPDATE keys SET paused_until = greatest(paused_until, $4) WHERE agency_id = $1 AND kind = $2 AND version = $3
    """
    await connection.execute(statement, key.agency_id, key.kind, key.version, until)
