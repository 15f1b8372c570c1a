"""Invitations: each becomes a token once, by its link. Only a hash of the link's secret is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from crypto import Secret
from router.store.pool import Connection
from router.store.rows import columns, fetch_row, fetch_rows, parameters, returns_row, values
from router.store.tenants.tokens import Role, digest


@dataclass(frozen=True, slots=True)
class Invitation:
    """What may be shown of an invitation. `until`: the link works until then. The rest is that of the token."""

    id: str
    agency_id: str
    name: str
    role: Role
    made_by: str
    created_at: datetime
    until: datetime
    expires_at: datetime | None
    makers: tuple[str, ...]


_COLUMNS: Final = columns(Invitation)
_PARAMETERS: Final = parameters(Invitation)
_INVITATIONS: Final = f"""SELECT {_COLUMNS} FROM invitations"""
_WORKS: Final = """hash = $1 AND until > $2 AND (expires_at IS NULL OR expires_at > $2)"""


async def insert_invitation(connection: Connection, invitation: Invitation, secret: Secret) -> None:
    statement = f"""INSERT INTO invitations ({_COLUMNS}, hash) VALUES ({_PARAMETERS}, $10)"""
    await connection.execute(statement, *values(invitation), digest(secret))


async def find_invitation(connection: Connection, secret: Secret, now: datetime) -> Invitation | None:
    """The one with this link, while it works."""
    return await fetch_row(connection, Invitation, f"""{_INVITATIONS} WHERE {_WORKS}""", digest(secret), now)


async def take_invitation(connection: Connection, secret: Secret, now: datetime) -> Invitation | None:
    """The same, and it is deleted: of several that take it at once, one gets it."""
    statement = f"""DELETE FROM invitations WHERE {_WORKS} RETURNING {_COLUMNS}"""
    return await fetch_row(connection, Invitation, statement, digest(secret), now)


async def list_invitations(
    connection: Connection, agency_id: str, now: datetime, *, after: tuple[datetime, str] | None, limit: int
) -> list[Invitation]:
    """Those that work, oldest first."""
    statement = f"""
        {_INVITATIONS}
         WHERE agency_id = $1 AND until > $2
           AND (created_at, id) > (coalesce($3::timestamptz, '-infinity'), coalesce($4, ''))
         ORDER BY created_at, id
         LIMIT $5
    """
    return await fetch_rows(connection, Invitation, statement, agency_id, now, *(after or (None, None)), limit)


async def delete_invitation(connection: Connection, agency_id: str, invitation_id: str) -> bool:
    statement = """DELETE FROM invitations WHERE agency_id = $1 AND id = $2 RETURNING id"""
    return await returns_row(connection, statement, agency_id, invitation_id)


async def delete_expired_invitations(connection: Connection, agency_id: str, now: datetime) -> None:
    await connection.execute("""DELETE FROM invitations WHERE agency_id = $1 AND until <= $2""", agency_id, now)


async def count_invitations(connection: Connection, agency_id: str) -> int:
    return int(await connection.fetchval("""SELECT count(*) FROM invitations WHERE agency_id = $1""", agency_id))
