"""The tokens of webhook addresses that prove a provider's reports besides a key's own, and whether it signs them."""

from __future__ import annotations

from datetime import datetime

from router.store.keys.versions import StoredKey
from router.store.pool import Connection


async def set_webhook_token(connection: Connection, key: StoredKey) -> None:
    """Of the version in use: retired versions' tokens prove nothing."""
    statement = """UPDATE keys SET webhook_token_sealed = $4 WHERE agency_id = $1 AND kind = $2 AND version = $3"""
    await connection.execute(statement, key.agency_id, key.kind, key.version, key.webhook_token_sealed)


async def keep_former_token(connection: Connection, key: StoredKey, until: datetime) -> None:
    """The token that the key has now still proves reports until then."""
    statement = """
        INSERT INTO former_webhook_tokens (agency_id, kind, until, sealed) VALUES ($1, $2, $3, $4)
        ON CONFLICT (agency_id, kind, until) DO UPDATE SET sealed = EXCLUDED.sealed
    """
    await connection.execute(statement, key.agency_id, key.kind, until, key.webhook_token_sealed)


async def erase_former_tokens(connection: Connection, agency_id: str, kind: str) -> None:
    await connection.execute(
        """DELETE FROM former_webhook_tokens WHERE agency_id = $1 AND kind = $2""", agency_id, kind
    )


async def erase_outlived_tokens(connection: Connection, now: datetime) -> None:
    await connection.execute("""DELETE FROM former_webhook_tokens WHERE until < $1""", now)


async def note_signed(connection: Connection, agency_id: str, kind: str, version: int, at: datetime) -> None:
    """A report was signed with what belongs to this version."""
    statement = """
        UPDATE keys SET signed_at = $4 WHERE agency_id = $1 AND kind = $2 AND version = $3 AND signed_at IS NULL
    """
    await connection.execute(statement, agency_id, kind, version, at)
