"""Tokens of agencies. Only their hashes are stored: a token is random enough (256 bits) not to need a slow one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from crypto import Secret
from router.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Token:
    """What may be shown of a token."""

    id: str
    agency_id: str
    name: str
    created_at: datetime


async def insert_token(connection: Connection, token: Token, secret: Secret) -> None:
    await connection.execute(
        "INSERT INTO tokens (id, agency_id, name, hash, created_at) VALUES ($1, $2, $3, $4, $5)",
        token.id,
        token.agency_id,
        token.name,
        _digest(secret),
        token.created_at,
    )


async def find_token(connection: Connection, secret: Secret) -> Token | None:
    """The token that this text is."""
    row = await connection.fetchrow(
        "SELECT id, agency_id, name, created_at FROM tokens WHERE hash = $1", _digest(secret)
    )
    return Token(**row) if row else None


async def list_tokens(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[Token]:
    """Oldest first."""
    at, token_id = after or (None, None)
    rows = await connection.fetch(
        """
        SELECT id, agency_id, name, created_at
          FROM tokens
         WHERE agency_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) > ($2, $3))
         ORDER BY created_at, id
         LIMIT $4
        """,
        agency_id,
        at,
        token_id,
        limit,
    )
    return [Token(**row) for row in rows]


async def delete_token(connection: Connection, agency_id: str, token_id: str) -> bool:
    """Whether there was one."""
    deleted = await connection.fetchval(
        "DELETE FROM tokens WHERE agency_id = $1 AND id = $2 RETURNING id", agency_id, token_id
    )
    return deleted is not None


def _digest(secret: Secret) -> bytes:
    return hashlib.sha256(secret.reveal().encode()).digest()
