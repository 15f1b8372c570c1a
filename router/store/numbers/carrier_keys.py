"""Revocable API keys of carrier accounts, each made for one provider. Their secrets are sealed.

Leftovers are those in accounts whose token was deleted here, each with the token that revokes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from router.store.pool import Connection
from router.store.rows import columns, fetch_row, fetch_rows, parameters, values


@dataclass(frozen=True, slots=True)
class StoredCarrierKey:
    """`key_sid` is the key's public name at the carrier."""

    agency_id: str
    account_sid: str
    provider: str
    key_sid: str
    sealed: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Leftover:
    """A key to revoke. `sealed`: the account's token."""

    key_sid: str
    account_sid: str
    sealed: str = field(repr=False)
    created_at: datetime
    look_after: datetime


_COLUMNS: Final = columns(StoredCarrierKey)
_PARAMETERS: Final = parameters(StoredCarrierKey)
_KEYS: Final = f"""SELECT {_COLUMNS} FROM carrier_keys"""
_LEFTOVER_COLUMNS: Final = columns(Leftover)
_LEFTOVER_PARAMETERS: Final = parameters(Leftover)


async def find_carrier_key(
    connection: Connection, agency_id: str, account_sid: str, provider: str
) -> StoredCarrierKey | None:
    statement = f"""{_KEYS} WHERE agency_id = $1 AND account_sid = $2 AND provider = $3"""
    return await fetch_row(connection, StoredCarrierKey, statement, agency_id, account_sid, provider)


async def save_carrier_key(connection: Connection, key: StoredCarrierKey) -> None:
    await connection.execute(
        f"""
        INSERT INTO carrier_keys ({_COLUMNS}, created_at)
        VALUES ({_PARAMETERS}, now())
        ON CONFLICT (agency_id, account_sid, provider) DO UPDATE
           SET key_sid = EXCLUDED.key_sid, sealed = EXCLUDED.sealed, created_at = EXCLUDED.created_at
        """,
        *values(key),
    )


async def delete_carrier_key(connection: Connection, key: StoredCarrierKey) -> None:
    """Unless another one took its place."""
    statement = """
        DELETE FROM carrier_keys WHERE agency_id = $1 AND account_sid = $2 AND provider = $3 AND key_sid = $4
    """
    await connection.execute(statement, key.agency_id, key.account_sid, key.provider, key.key_sid)


async def list_carrier_keys(connection: Connection, agency_id: str) -> list[StoredCarrierKey]:
    return await fetch_rows(connection, StoredCarrierKey, f"""{_KEYS} WHERE agency_id = $1""", agency_id)


async def list_unused_carrier_keys(connection: Connection, limit: int = 20) -> list[StoredCarrierKey]:
    """Keys to revoke: the agency has no key for the provider any more, or the provider has no number of the account."""
    statement = f"""
        {_KEYS} c
         WHERE NOT EXISTS (SELECT FROM keys k
                            WHERE k.agency_id = c.agency_id AND k.kind = c.provider AND k.retired_at IS NULL)
            OR (NOT EXISTS (SELECT FROM registrations r
                              JOIN numbers n ON n.agency_id = r.agency_id AND n.e164 = r.e164
                             WHERE r.agency_id = c.agency_id AND r.provider = c.provider AND r.ours
                               AND n.account_sid = c.account_sid)
                AND NOT EXISTS (SELECT FROM former_registrations f
                                 WHERE f.agency_id = c.agency_id AND f.provider = c.provider))
         ORDER BY c.created_at
         LIMIT $1
    """
    return await fetch_rows(connection, StoredCarrierKey, statement, limit)


async def insert_leftover(connection: Connection, leftover: Leftover) -> None:
    statement = f"""
        INSERT INTO leftover_carrier_keys ({_LEFTOVER_COLUMNS})
        VALUES ({_LEFTOVER_PARAMETERS})
        ON CONFLICT (key_sid) DO NOTHING
    """
    await connection.execute(statement, *values(leftover))


async def take_leftovers(connection: Connection, now: datetime, until: datetime, limit: int = 20) -> list[Leftover]:
    """Those that are due. Another worker leaves them alone until then."""
    statement = f"""
        UPDATE leftover_carrier_keys SET look_after = $2
         WHERE key_sid IN (SELECT key_sid FROM leftover_carrier_keys WHERE look_after <= $1
                            ORDER BY look_after LIMIT $3 FOR UPDATE SKIP LOCKED)
        RETURNING {_LEFTOVER_COLUMNS}
    """
    return await fetch_rows(connection, Leftover, statement, now, until, limit)


async def delete_leftover(connection: Connection, key_sid: str) -> None:
    await connection.execute("""DELETE FROM leftover_carrier_keys WHERE key_sid = $1""", key_sid)
