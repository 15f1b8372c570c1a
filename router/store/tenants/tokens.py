"""Tokens of agencies. Only their hashes are stored: a token is random enough (256 bits) not to need a slow one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from crypto import Secret
from router.store.pool import Connection
from router.store.rows import columns, parameters, read, values


@dataclass(frozen=True, slots=True)
class Token:
    """What may be shown of a token."""

    id: str
    agency_id: str
    name: str
    created_at: datetime


_TOKEN: Final = columns(Token)
_PARAMETERS: Final = parameters(Token)


async def insert_token(connection: Connection, token: Token, secret: Secret) -> None:
    await connection.execute(
        f"""
        INSERT INTO tokens ({_TOKEN}, hash)
        VALUES ({_PARAMETERS}, $5)
        """,
        *values(token),
        _digest(secret),
    )


async def find_token(connection: Connection, secret: Secret) -> Token | None:
    """The token that this text is."""
    row = await connection.fetchrow(
        f"""
        SELECT {_TOKEN}
          FROM tokens
         WHERE hash = $1
        """,
        _digest(secret),
    )
    return read(Token, row) if row else None


async def list_tokens(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[Token]:
    """Oldest first."""
    at, token_id = after or (None, None)
    rows = await connection.fetch(
        f"""
        SELECT {_TOKEN}
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
    return [read(Token, row) for row in rows]


async def delete_token(connection: Connection, agency_id: str, token_id: str) -> bool:
    """Whether there was one."""
    deleted = await connection.fetchval(
        """DELETE FROM tokens WHERE agency_id = $1 AND id = $2 RETURNING id""", agency_id, token_id
    )
    return deleted is not None


def _digest(secret: Secret) -> bytes:
    return hashlib.sha256(secret.reveal().encode()).digest()
