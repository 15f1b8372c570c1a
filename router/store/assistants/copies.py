"""Where a client's assistant is at each provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from adapters.portable import Copy
from router.store.assistants.places import LOOK, STATE
from router.store.pool import Connection
from router.store.rows import columns, fetch_row, fetch_rows, read, returns_row, sql


@dataclass(frozen=True, slots=True)
class StoredAssistant:
    """A client's assistant at one provider. `lost` is what the provider cannot do of the definition."""

    provider: str
    remote_id: str | None
    state: str = field(metadata=sql(STATE))
    error: str | None
    lost: Sequence[str]


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of an agency's clients are to have an assistant at a provider, and how many have it there as wanted."""

    total: int = 0
    done: int = 0
    failed: int = 0
    pending: int = 0

    @property
    def state(self) -> Literal["idle", "running", "done", "failed"]:
        if self.pending:
            return "running"
        if self.failed:
            return "failed"
        return "done" if self.total and self.done == self.total else "idle"


@dataclass(frozen=True, slots=True)
class Failure:
    """A client whose assistant is not at a provider as it should be, and why."""

    client_id: str
    client_name: str
    error: str | None


async def link_assistant(
    connection: Connection,
    agency_id: str,
    client_id: str,
    provider: str,
    remote_id: str,
    manage: Sequence[str],
    lost: Sequence[str],
    managed: str | None,
    now: datetime,
) -> StoredAssistant | None:
    """None if the agency has no such client. `managed`: the Place's `form` that was written to it, if any."""
    statement = f"""
        INSERT INTO assistants AS s (client_id, provider, remote_id, state, usable, manage, lost, synced_hash,
                                     updated_at, look_after)
        SELECT id, $3, $4, 'linked', true, $5, $6, $7, $8, $9 FROM clients WHERE agency_id = $1 AND id = $2
        ON CONFLICT (client_id, provider) DO UPDATE
           SET remote_id = EXCLUDED.remote_id, state = EXCLUDED.state, usable = EXCLUDED.usable,
               manage = EXCLUDED.manage, lost = EXCLUDED.lost, synced_hash = EXCLUDED.synced_hash, parts = '{{}}',
               version = NULL, key_version = NULL, refused_hash = NULL, leased_until = NULL, retry_at = NULL,
               tried = 0, updated_at = EXCLUDED.updated_at, look_after = EXCLUDED.look_after, error = NULL
        RETURNING {columns(StoredAssistant, "s")}
    """
    arguments = (agency_id, client_id, provider, remote_id, manage, lost, managed, now, now + LOOK)
    return await fetch_row(connection, StoredAssistant, statement, *arguments)


async def unlink_assistant(connection: Connection, agency_id: str, client_id: str, provider: str) -> bool:
    """Whether there was a link."""
    statement = """
        DELETE FROM assistants s
         USING clients c
         WHERE c.id = s.client_id AND c.agency_id = $1 AND s.client_id = $2 AND s.provider = $3 AND s.state = 'linked'
        RETURNING s.provider
    """
    return await returns_row(connection, statement, agency_id, client_id, provider)


async def list_assistants(connection: Connection, agency_id: str, client_id: str) -> list[StoredAssistant]:
    statement = f"""
        SELECT {columns(StoredAssistant, "s")}
          FROM assistants s
          JOIN clients c ON c.id = s.client_id
         WHERE c.agency_id = $1 AND s.client_id = $2
    """
    return await fetch_rows(connection, StoredAssistant, statement, agency_id, client_id)


async def find_usable_copy(connection: Connection, agency_id: str, client_id: str, provider: str) -> Copy | None:
    """The assistant that takes the client's calls there now, made by us or linked."""
    statement = """
        SELECT s.remote_id, s.parts, s.version
          FROM assistants s
          JOIN clients c ON c.id = s.client_id
         WHERE c.agency_id = $1 AND s.client_id = $2 AND s.provider = $3 AND s.usable
    """
    row = await connection.fetchrow(statement, agency_id, client_id, provider)
    return Copy(row["remote_id"], row["parts"] or {}, row["version"]) if row else None


async def has_assistant(connection: Connection, client_id: str) -> bool:
    """Whether the client has one anywhere, or is to have one."""
    statement = """
        SELECT EXISTS (SELECT FROM assistants WHERE client_id = $1)
            OR EXISTS (SELECT FROM clients WHERE id = $1 AND assistant IS NOT NULL)
    """
    return bool(await connection.fetchval(statement, client_id))


async def count_assistants(connection: Connection, agency_id: str, provider: str) -> Progress:
    [row] = await connection.fetch(
        """
        SELECT count(*) FILTER (WHERE c.assistant IS NOT NULL OR s.state = 'linked') AS total,
               count(*) FILTER (WHERE s.state = 'synced' OR s.state = 'linked' AND s.usable) AS done,
               count(*) FILTER (WHERE s.state = 'failed' OR s.state = 'linked' AND NOT s.usable) AS failed,
               count(*) FILTER (WHERE s.state = 'pending') AS pending
          FROM clients c
          LEFT JOIN assistants s ON s.client_id = c.id AND s.provider = $2
         WHERE c.agency_id = $1
        """,
        agency_id,
        provider,
    )
    return read(Progress, row)


async def list_failures(connection: Connection, agency_id: str, provider: str) -> list[Failure]:
    statement = """
        SELECT c.id AS client_id, c.name AS client_name, s.error
          FROM assistants s
          JOIN clients c ON c.id = s.client_id
         WHERE c.agency_id = $1 AND s.provider = $2
           AND (s.state = 'failed' OR s.state = 'linked' AND NOT s.usable)
         ORDER BY c.created_at, c.id
    """
    return await fetch_rows(connection, Failure, statement, agency_id, provider)
