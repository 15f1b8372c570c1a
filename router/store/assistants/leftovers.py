"""Copies to delete at providers: the client is gone, has no assistant any more, or links another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adapters.portable import Copy
from router.store.assistants.syncs import LEASE
from router.store.pool import Connection
from router.store.rows import columns, fetch_column, fetch_row, sql


@dataclass(frozen=True, slots=True)
class Leftover:
    """Without `remote_id` and `parts`, there may or may not be a copy. `until`: when the lease of its worker ends."""

    id: str
    agency_id: str
    client_id: str
    marker: str | None
    provider: str
    remote_id: str | None
    parts: Mapping[str, str]
    tried: int
    until: datetime = field(metadata=sql("t.leased_until"))

    @property
    def copy(self) -> Copy | None:
        """What is known to be there."""
        if self.remote_id is None and not self.parts:
            return None
        return Copy(self.remote_id, self.parts)


async def leave_copies(
    connection: Connection, agency_id: str, now: datetime, *, client_id: str | None = None, provider: str | None = None
) -> set[str]:
    """Take our copies, or those of one client or provider, from their clients; returns the providers that have them."""
    statement = """
        WITH taken AS (
            DELETE FROM assistants s
             USING clients c
             WHERE c.id = s.client_id AND c.agency_id = $1 AND s.state <> 'linked'
               AND ($2::text IS NULL OR s.client_id = $2) AND ($3::text IS NULL OR s.provider = $3)
            RETURNING s.client_id, c.marker, s.provider, s.remote_id, s.parts
        )
        INSERT INTO leftovers (id, agency_id, client_id, marker, provider, remote_id, parts, created_at)
        SELECT gen_random_uuid()::text, $1, client_id, marker, provider, remote_id, parts, $4 FROM taken
        RETURNING provider
    """
    return set(await fetch_column(connection, statement, agency_id, client_id, provider, now))


async def leave_copy(
    connection: Connection, agency_id: str, client_id: str, provider: str, copy: Copy, now: datetime
) -> None:
    """A copy that was made for a client that does not want it any more. Does nothing if the agency is gone, too."""
    await connection.execute(
        """
        INSERT INTO leftovers (id, agency_id, client_id, provider, remote_id, parts, created_at)
        SELECT gen_random_uuid()::text, id, $2, $3, $4, $5, $6 FROM agencies WHERE id = $1
        """,
        agency_id,
        client_id,
        provider,
        copy.remote_id,
        dict(copy.parts),
        now,
    )


async def claim_leftover(connection: Connection, agency_id: str, provider: str, now: datetime) -> Leftover | None:
    """One to delete, with the place locked; None: nothing is due."""
    statement = f"""
        UPDATE leftovers
           SET leased_until = $4
         WHERE id = (
               SELECT id
                 FROM leftovers
                WHERE agency_id = $1 AND provider = $2 AND (retry_at IS NULL OR retry_at <= $3)
                ORDER BY created_at, id
                LIMIT 1
                  FOR UPDATE SKIP LOCKED)
        RETURNING {columns(Leftover)}
    """
    return await fetch_row(connection, Leftover, statement, agency_id, provider, now, now + LEASE)


async def is_wanted_again(connection: Connection, leftover: Leftover) -> bool:
    """Whether the client has an assistant of ours there again, which is this copy or will be found by its marker; or
    a client links the copy.
    """
    statement = """
        SELECT EXISTS (
               SELECT FROM assistants s
                 JOIN clients c ON c.id = s.client_id
                WHERE c.agency_id = $1 AND s.provider = $3
                  AND (s.remote_id = $4
                       OR s.client_id = $2 AND s.state <> 'linked' AND (s.remote_id IS NULL OR $4::text IS NULL)))
    """
    arguments = (leftover.agency_id, leftover.client_id, leftover.provider, leftover.remote_id)
    return bool(await connection.fetchval(statement, *arguments))


async def forget_leftover(connection: Connection, leftover: Leftover) -> None:
    await connection.execute("""DELETE FROM leftovers WHERE id = $1""", leftover.id)


async def postpone_leftover(
    connection: Connection, leftover: Leftover, error: str | None, retry_at: datetime | None
) -> None:
    """Release it; with an error it counts as an attempt."""
    statement = """
        UPDATE leftovers
           SET leased_until = NULL, error = coalesce($2, error), retry_at = $3,
               tried = tried + CASE WHEN $2::text IS NULL THEN 0 ELSE 1 END
         WHERE id = $1
    """
    await connection.execute(statement, leftover.id, error, retry_at)


async def hurry_leftovers(connection: Connection, agency_id: str, provider: str) -> None:
    """Retry now: a new key may succeed where the former one failed."""
    statement = """UPDATE leftovers SET retry_at = NULL WHERE agency_id = $1 AND provider = $2"""
    await connection.execute(statement, agency_id, provider)


async def list_leftovers(connection: Connection, agency_id: str) -> list[Any]:
    """What is still to be deleted: (provider, client id, remote id) by column name; oldest first."""
    statement = """
        SELECT provider, client_id, remote_id FROM leftovers WHERE agency_id = $1 ORDER BY created_at, id
    """
    rows: list[Any] = await connection.fetch(statement, agency_id)
    return rows
