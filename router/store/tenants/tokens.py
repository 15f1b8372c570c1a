"""Tokens of agencies. Only their hashes are stored: a token is random enough (256 bits) not to need a slow one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from crypto import Secret
from router.store.pool import Connection
from router.store.rows import columns, fetch_row, parameters, read, returns_row, values


@dataclass(frozen=True, slots=True)
class Token:
    """What may be shown of a token."""

    id: str
    agency_id: str
    name: str
    created_at: datetime


_COLUMNS: Final = columns(Token)
_PARAMETERS: Final = parameters(Token)
_TOKENS: Final = f"""SELECT {_COLUMNS} FROM tokens"""


async def insert_token(connection: Connection, token: Token, secret: Secret) -> None:
    await connection.execute(
        f"""INSERT INTO tokens ({_COLUMNS}, hash) VALUES ({_PARAMETERS}, $5)""", *values(token), _digest(secret)
    )


async def find_token(connection: Connection, secret: Secret) -> Token | None:
    """The token with this text."""
    return await fetch_row(connection, Token, f"""{_TOKENS} WHERE hash = $1""", _digest(secret))


async def list_tokens(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[Token]:
    """Oldest first."""
    rows = await connection.fetch(
        f"""
        {_TOKENS}
         WHERE agency_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) > ($2, $3))
         ORDER BY created_at, id
         LIMIT $4
        """,
        agency_id,
        *(after or (None, None)),
        limit,
    )
    return [read(Token, row) for row in rows]


async def delete_token(connection: Connection, agency_id: str, token_id: str) -> bool:
    """Whether there was one."""
    return await returns_row(
        connection, """DELETE FROM tokens WHERE agency_id = $1 AND id = $2 RETURNING id""", agency_id, token_id
    )


def _digest(secret: Secret) -> bytes:
    return hashlib.sha256(secret.reveal().encode()).digest()
