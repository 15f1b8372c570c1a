"""Where assistants are kept: the providers of each agency, what is there now, and whether it is what is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from router.store.pool import Connection
from router.store.rows import columns, fetch_column, read, sql
from router.store.tenants.clients import Client


@dataclass(frozen=True, slots=True)
class Place:
    """A provider at which an agency's assistants are kept.

    `form` stands for everything in a copy that is not a setting of the client; `numbered`: its numbers matter, too.
    """

    agency_id: str
    provider: str
    form: str
    numbered: bool

    @property
    def values(self) -> tuple[str, str, str, bool]:
        """The first arguments of a statement with ASKED."""
        return self.agency_id, self.provider, self.form, self.numbered


# A hash of all settings of a client that go into a copy: another one means that the copy is outdated. `asked` is a Place.
FINGERPRINT: Final = """
encode(sha256(convert_to(jsonb_build_array(
    asked.form, c.name, c.routing #> '{hours,timezone}', c.assistant - 'voice', c.assistant #> ARRAY['voice', asked.provider],
    CASE WHEN asked.numbered THEN c.personal_phone END,
    CASE WHEN asked.numbered THEN (
        SELECT jsonb_agg(jsonb_build_array(n.e164, given.remote_id) ORDER BY n.e164)
          FROM numbers n
          LEFT JOIN registrations given ON given.agency_id = n.agency_id AND given.e164 = n.e164
                                       AND given.provider = asked.provider AND NOT given.ours
         WHERE n.agency_id = c.agency_id AND n.client_id = c.id)
    END)::text, 'UTF8')), 'hex')
"""
# The state as people see it.
STATE: Final = "CASE WHEN t.state = 'linked' AND NOT t.usable THEN 'gone' ELSE t.state END"
LOOK: Final = timedelta(hours=1)
"""How often each assistant is looked at."""
ASKED: Final = """
(SELECT $1::text AS agency_id, $2::text AS provider, $3::text AS form, $4::boolean AS numbered) AS asked
"""


async def list_kept(connection: Connection) -> list[tuple[str, str]]:
    """Agencies, and the providers at which they have a key and assistants that we write or manage."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT c.agency_id, s.provider
          FROM assistants s
          JOIN clients c ON c.id = s.client_id
          JOIN keys k ON k.agency_id = c.agency_id AND k.kind = s.provider AND k.retired_at IS NULL
         WHERE s.state <> 'linked' OR s.manage <> '{}'
         ORDER BY c.agency_id, s.provider
        """
    )
    return [tuple(row) for row in rows]


async def start_sync(connection: Connection, agency_id: str, provider: str, now: datetime) -> None:
    """From now on the agency's assistants are kept up to date there, including those of future clients."""
    statement = """
        INSERT INTO syncs (agency_id, provider, started_at) VALUES ($1, $2, $3)
        ON CONFLICT (agency_id, provider) DO UPDATE SET started_at = EXCLUDED.started_at
    """
    await connection.execute(statement, agency_id, provider, now)


async def stop_sync(connection: Connection, agency_id: str, provider: str) -> None:
    await connection.execute("""DELETE FROM syncs WHERE agency_id = $1 AND provider = $2""", agency_id, provider)


async def list_synced_providers(connection: Connection, agency_id: str) -> set[str]:
    """Where the agency's assistants are kept up to date."""
    return set(await fetch_column(connection, """SELECT provider FROM syncs WHERE agency_id = $1""", agency_id))


async def list_own_copies(connection: Connection, client_id: str) -> set[str]:
    """Providers at which the client has an assistant that is ours, or is to have one."""
    statement = """SELECT provider FROM assistants WHERE client_id = $1 AND state <> 'linked'"""
    return set(await fetch_column(connection, statement, client_id))


async def list_copies(connection: Connection, agency_id: str) -> list[Any]:
    """All copies of our making: client_id, the client's own provider, provider, remote_id."""
    rows: list[Any] = await connection.fetch(
        """
        SELECT s.client_id, c.provider AS own, s.provider, s.remote_id
          FROM assistants s
          JOIN clients c ON c.id = s.client_id
         WHERE c.agency_id = $1 AND s.state <> 'linked' AND s.usable
         ORDER BY c.created_at, c.id, s.provider
        """,
        agency_id,
    )
    return rows


@dataclass(frozen=True, slots=True)
class Standing:
    """A client and its copy at a place. `current`: what is there is what is wanted."""

    client: Client
    state: str | None = field(metadata=sql(STATE))
    remote_id: str | None
    parts: Mapping[str, str] = field(metadata=sql("coalesce(t.parts, '{}')"))
    current: bool
    lost: tuple[str, ...] = field(metadata=sql("coalesce(t.lost, '{}')"))

    @property
    def is_there(self) -> bool:
        """Whether a copy of ours, or a link, is known to be there."""
        return self.state == "synced" or self.remote_id is not None or bool(self.parts)


_STANDING: Final = f"""{columns(Client, "c")}, {columns(Standing, "s", without=("client", "current"))}"""


async def survey(connection: Connection, place: Place) -> list[Standing]:
    """All clients of the agency, oldest first."""
    rows = await connection.fetch(
        f"""
        SELECT {_STANDING}, coalesce(s.synced_hash = {FINGERPRINT}, false) AS current
          FROM {ASKED}
          JOIN clients c ON c.agency_id = asked.agency_id
          LEFT JOIN assistants s ON s.client_id = c.id AND s.provider = asked.provider
         ORDER BY c.created_at, c.id
        """,
        *place.values,
    )
    return [read(Standing, row, client=read(Client, row)) for row in rows]


async def list_outdated(connection: Connection, place: Place) -> list[tuple[str, str | None]]:
    """Clients whose assistant there is not as it is wanted, and why it could not be made so; None while that waits."""
    rows = await connection.fetch(
        f"""
        SELECT c.name,
               CASE WHEN s.state = 'failed' OR s.state = 'linked' AND s.synced_hash = asked.form THEN s.error END AS reason
          FROM {ASKED}
          JOIN clients c ON c.agency_id = asked.agency_id
          JOIN assistants s ON s.client_id = c.id AND s.provider = asked.provider
         WHERE s.state <> 'linked' AND c.assistant IS NOT NULL
               AND (s.state <> 'synced' OR s.synced_hash IS DISTINCT FROM {FINGERPRINT})
            OR s.state = 'linked' AND s.manage <> '{{}}'
               AND (s.synced_hash IS DISTINCT FROM asked.form OR s.error IS NOT NULL)
         ORDER BY c.created_at, c.id
        """,
        *place.values,
    )
    return [tuple(row) for row in rows]


async def retry_links(connection: Connection, place: Place) -> None:
    """Links that could not be managed are tried again."""
    statement = """
        UPDATE assistants s
           SET synced_hash = NULL, error = NULL, retry_at = NULL
          FROM clients c
         WHERE c.id = s.client_id AND c.agency_id = $1 AND s.provider = $2
           AND s.state = 'linked' AND s.manage <> '{}' AND s.error IS NOT NULL
    """
    await connection.execute(statement, place.agency_id, place.provider)
