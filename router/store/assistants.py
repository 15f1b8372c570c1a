"""Where a client's assistant is at each provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.portable import Copy
from router.store.pool import Connection


@dataclass(frozen=True, slots=True)
class StoredAssistant:
    """A client's assistant at one provider. `lost` is what the provider cannot do of the definition."""

    provider: str
    remote_id: str | None
    state: str
    error: str | None
    lost: Sequence[str]


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of an agency's clients have their assistant at a provider."""

    total: int = 0
    done: int = 0
    failed: int = 0


async def link_assistant(
    connection: Connection,
    agency_id: str,
    client_id: str,
    provider: str,
    remote_id: str,
    manage: Sequence[str],
    now: datetime,
) -> StoredAssistant | None:
    """None if the agency has no such client."""
    row = await connection.fetchrow(
        """
        INSERT INTO assistants (client_id, provider, remote_id, state, usable, manage, updated_at)
        SELECT id, $3, $4, 'linked', true, $5, $6 FROM clients WHERE agency_id = $1 AND id = $2
        ON CONFLICT (client_id, provider) DO UPDATE
           SET remote_id = EXCLUDED.remote_id, state = EXCLUDED.state, usable = EXCLUDED.usable,
               manage = EXCLUDED.manage, parts = '{}', version = NULL, synced_hash = NULL, leased_until = NULL,
               tried = 0, updated_at = EXCLUDED.updated_at, error = NULL, lost = '{}'
        RETURNING provider, remote_id, state, error, lost
        """,
        agency_id,
        client_id,
        provider,
        remote_id,
        manage,
        now,
    )
    return StoredAssistant(**row) if row else None


async def unlink_assistant(connection: Connection, agency_id: str, client_id: str, provider: str) -> bool:
    """Whether there was one."""
    deleted = await connection.fetchval(
        """
        DELETE FROM assistants s
         USING clients c
         WHERE c.id = s.client_id AND c.agency_id = $1 AND s.client_id = $2 AND s.provider = $3
        RETURNING s.provider
        """,
        agency_id,
        client_id,
        provider,
    )
    return deleted is not None


async def list_assistants(connection: Connection, agency_id: str, client_id: str) -> list[StoredAssistant]:
    rows = await connection.fetch(
        """
        SELECT s.provider, s.remote_id, s.state, s.error, s.lost
          FROM assistants s
          JOIN clients c ON c.id = s.client_id
         WHERE c.agency_id = $1 AND s.client_id = $2
        """,
        agency_id,
        client_id,
    )
    return [StoredAssistant(**row) for row in rows]


async def find_usable_copy(connection: Connection, agency_id: str, client_id: str, provider: str) -> Copy | None:
    """The assistant that takes the client's calls there now, made by us or linked."""
    row = await connection.fetchrow(
        """
        SELECT s.remote_id, s.parts, s.version
          FROM assistants s
          JOIN clients c ON c.id = s.client_id
         WHERE c.agency_id = $1 AND s.client_id = $2 AND s.provider = $3 AND s.usable
        """,
        agency_id,
        client_id,
        provider,
    )
    return Copy(row["remote_id"], row["parts"] or {}, row["version"]) if row else None


async def has_assistant(connection: Connection, client_id: str) -> bool:
    """Whether the client has one anywhere, or is to have one."""
    found: bool = await connection.fetchval(
        """
        SELECT EXISTS (SELECT FROM assistants WHERE client_id = $1)
            OR EXISTS (SELECT FROM clients WHERE id = $1 AND assistant IS NOT NULL)
        """,
        client_id,
    )
    return found


async def count_assistants(connection: Connection, agency_id: str, provider: str) -> Progress:
    row = await connection.fetchrow(
        """
        SELECT count(*) AS total,
               count(*) FILTER (WHERE s.state IN ('linked', 'synced')) AS done,
               count(*) FILTER (WHERE s.state = 'failed') AS failed
          FROM clients c
          LEFT JOIN assistants s ON s.client_id = c.id AND s.provider = $2
         WHERE c.agency_id = $1
        """,
        agency_id,
        provider,
    )
    return Progress(**row)
