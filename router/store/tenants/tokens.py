"""Tokens of agencies. Only their hashes are stored: a token is random enough (256 bits) not to need a slow one."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias

from crypto import Secret
from router.store.pool import Connection
from router.store.rows import columns, fetch_column, fetch_row, fetch_rows, parameters, values

Role: TypeAlias = Literal["full", "read"]


@dataclass(frozen=True, slots=True)
class Token:
    """What may be shown of a token. `made_by` is "admin" or a token's id.

    `makers` are the tokens that it was made by, directly or through others, as far as they still exist.
    """

    id: str
    agency_id: str
    name: str
    role: Role
    made_by: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    makers: tuple[str, ...] = field(default=())


_COLUMNS: Final = columns(Token)
_PARAMETERS: Final = parameters(Token)
_TOKENS: Final = f"""SELECT {_COLUMNS} FROM tokens"""


async def insert_token(connection: Connection, token: Token, secret: Secret) -> None:
    await connection.execute(
        f"""INSERT INTO tokens ({_COLUMNS}, hash) VALUES ({_PARAMETERS}, $10)""", *values(token), digest(secret)
    )


async def find_token(connection: Connection, secret: Secret, now: datetime) -> Token | None:
    """The token with this text, if it has not expired."""
    statement = f"""{_TOKENS} WHERE hash = $1 AND (expires_at IS NULL OR expires_at > $2)"""
    return await fetch_row(connection, Token, statement, digest(secret), now)


async def find_token_by_id(connection: Connection, agency_id: str, token_id: str) -> Token | None:
    return await fetch_row(connection, Token, f"""{_TOKENS} WHERE agency_id = $1 AND id = $2""", agency_id, token_id)


async def note_use(connection: Connection, token_id: str, now: datetime) -> None:
    await connection.execute("""UPDATE tokens SET last_used_at = $2 WHERE id = $1""", token_id, now)


async def count_tokens(connection: Connection, agency_id: str, now: datetime) -> int:
    """With those that invitations may still make."""
    statement = """
        SELECT (SELECT count(*) FROM tokens WHERE agency_id = $1)
             + (SELECT count(*) FROM invitations WHERE agency_id = $1 AND until > $2)
    """
    return int(await connection.fetchval(statement, agency_id, now))


async def list_tokens(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[Token]:
    """Oldest first."""
    statement = f"""
        {_TOKENS}
         WHERE agency_id = $1 AND (created_at, id) > (coalesce($2::timestamptz, '-infinity'), coalesce($3, ''))
         ORDER BY created_at, id
         LIMIT $4
    """
    return await fetch_rows(connection, Token, statement, agency_id, *(after or (None, None)), limit)


async def list_made(connection: Connection, agency_id: str, token_id: str, now: datetime) -> list[Token]:
    """Tokens that this one made, directly or through others, and that give access. Oldest first."""
    statement = f"""
        {_TOKENS}
         WHERE agency_id = $1 AND $2 = ANY (makers) AND (expires_at IS NULL OR expires_at > $3)
         ORDER BY created_at, id
    """
    return await fetch_rows(connection, Token, statement, agency_id, token_id, now)


async def delete_tokens(connection: Connection, agency_id: str, token_ids: Collection[str]) -> None:
    """With the invitations that they made. Other tokens forget them as their makers."""
    await connection.execute(
        """DELETE FROM tokens WHERE agency_id = $1 AND id = ANY ($2::text[])""", agency_id, [*token_ids]
    )
    await connection.execute(
        """DELETE FROM invitations WHERE agency_id = $1 AND makers && $2::text[]""", agency_id, [*token_ids]
    )
    await connection.execute(
        """
        UPDATE tokens
           SET makers = ARRAY (SELECT maker FROM unnest(makers) WITH ORDINALITY AS given (maker, place)
                                WHERE maker <> ALL ($2::text[]) ORDER BY place)
         WHERE agency_id = $1 AND makers && $2::text[]
        """,
        agency_id,
        [*token_ids],
    )


async def find_gone(connection: Connection, agency_ids: Collection[str], token_ids: Collection[str]) -> set[str]:
    """The ids of these agencies and tokens that do not exist any more."""
    statement = """
        SELECT id FROM unnest($1::text[]) AS given (id) WHERE NOT EXISTS (SELECT FROM agencies a WHERE a.id = given.id)
        UNION ALL
        SELECT id FROM unnest($2::text[]) AS given (id) WHERE NOT EXISTS (SELECT FROM tokens t WHERE t.id = given.id)
    """
    return {*await fetch_column(connection, statement, [*agency_ids], [*token_ids])}


def digest(secret: Secret) -> bytes:
    return hashlib.sha256(secret.reveal().encode()).digest()
