"""Where a client's assistant is at each provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from adapters.portable import Copy
from router.store.pool import Connection
from router.store.rows import columns, read


@dataclass(frozen=True, slots=True)
class StoredAssistant:
    """A client's assistant at one provider. `lost` is what the provider cannot do of the definition."""

    provider: str
    remote_id: str | None
    state: str
    error: str | None
    lost: Sequence[str]


_ASSISTANT: Final = columns(StoredAssistant, "s")


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
    """None if the agency has no such client. `managed`: what of ours was set on it, as a Place's `form`."""
    row = await connection.fetchrow(
        f"""
        INSERT INTO assistants AS s (client_id, provider, remote_id, state, usable, manage, lost, synced_hash,
                                     updated_at)
        SELECT id, $3, $4, 'linked', true, $5, $6, $7, $8 FROM clients WHERE agency_id = $1 AND id = $2
        ON CONFLICT (client_id, provider) DO UPDATE
           SET remote_id = EXCLUDED.remote_id, state = EXCLUDED.state, usable = EXCLUDED.usable,
               manage = EXCLUDED.manage, lost = EXCLUDED.lost, synced_hash = EXCLUDED.synced_hash, parts = '{{}}',
               version = NULL, key_version = NULL, refused_hash = NULL, leased_until = NULL, retry_at = NULL,
               tried = 0, updated_at = EXCLUDED.updated_at, error = NULL
        RETURNING {_ASSISTANT}
        """,
        agency_id,
        client_id,
        provider,
        remote_id,
        manage,
        lost,
        managed,
        now,
    )
    return read(StoredAssistant, row) if row else None


async def unlink_assistant(connection: Connection, agency_id: str, client_id: str, provider: str) -> bool:
    """Whether there was a link."""
    deleted = await connection.fetchval(
        """
        DELETE FROM assistants s
         USING clients c
         WHERE c.id = s.client_id AND c.agency_id = $1 AND s.client_id = $2 AND s.provider = $3 AND s.state = 'linked'
        RETURNING s.provider
        """,
        agency_id,
        client_id,
        provider,
    )
    return deleted is not None


async def list_assistants(connection: Connection, agency_id: str, client_id: str) -> list[StoredAssistant]:
    rows = await connection.fetch(
        f"""
        SELECT {_ASSISTANT}
          FROM assistants s
          JOIN clients c ON c.id = s.client_id
         WHERE c.agency_id = $1 AND s.client_id = $2
        """,
        agency_id,
        client_id,
    )
    return [read(StoredAssistant, row) for row in rows]


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
    [row] = await connection.fetch(
        """
        SELECT count(*) FILTER (WHERE c.assistant IS NOT NULL OR s.state = 'linked') AS total,
               count(*) FILTER (WHERE s.state IN ('linked', 'synced')) AS done,
               count(*) FILTER (WHERE s.state = 'failed') AS failed,
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
    rows = await connection.fetch(
        """
        SELECT c.id AS client_id, c.name AS client_name, s.error
          FROM assistants s
          JOIN clients c ON c.id = s.client_id
         WHERE c.agency_id = $1 AND s.provider = $2 AND s.state = 'failed'
         ORDER BY c.created_at, c.id
        """,
        agency_id,
        provider,
    )
    return [read(Failure, row) for row in rows]
