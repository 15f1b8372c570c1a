"""Revocable API keys of carrier accounts, each made for one provider: what opens them is sealed."""

from __future__ import annotations

from dataclasses import dataclass, field

from router.store.pool import Connection


@dataclass(frozen=True, slots=True)
class StoredCarrierKey:
    """`key_sid` is the key's public name at the carrier."""

    agency_id: str
    account_sid: str
    provider: str
    key_sid: str
    sealed: str = field(repr=False)


async def find_carrier_key(
    connection: Connection, agency_id: str, account_sid: str, provider: str
) -> StoredCarrierKey | None:
    row = await connection.fetchrow(
        """
        SELECT agency_id, account_sid, provider, key_sid, sealed
          FROM carrier_keys
         WHERE agency_id = $1 AND account_sid = $2 AND provider = $3
        """,
        agency_id,
        account_sid,
        provider,
    )
    return StoredCarrierKey(**row) if row else None


async def save_carrier_key(connection: Connection, key: StoredCarrierKey) -> None:
    await connection.execute(
        """
        INSERT INTO carrier_keys (agency_id, account_sid, provider, key_sid, sealed, created_at)
        VALUES ($1, $2, $3, $4, $5, now())
        ON CONFLICT (agency_id, account_sid, provider) DO UPDATE
           SET key_sid = EXCLUDED.key_sid, sealed = EXCLUDED.sealed, created_at = EXCLUDED.created_at
        """,
        key.agency_id,
        key.account_sid,
        key.provider,
        key.key_sid,
        key.sealed,
    )


async def delete_carrier_key(connection: Connection, key: StoredCarrierKey) -> None:
    """Unless another one took its place."""
    await connection.execute(
        "DELETE FROM carrier_keys WHERE agency_id = $1 AND account_sid = $2 AND provider = $3 AND key_sid = $4",
        key.agency_id,
        key.account_sid,
        key.provider,
        key.key_sid,
    )


async def list_unused_carrier_keys(connection: Connection, limit: int = 20) -> list[StoredCarrierKey]:
    """Those whose provider has no key of the agency any more, or no number of the account: they are to be revoked."""
    rows = await connection.fetch(
        """
        SELECT c.agency_id, c.account_sid, c.provider, c.key_sid, c.sealed
          FROM carrier_keys c
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
        """,
        limit,
    )
    return [StoredCarrierKey(**row) for row in rows]
