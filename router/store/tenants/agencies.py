"""The table of agencies. Every function takes a connection or the settings' pool."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from router.store.pool import Connection
from router.store.rows import columns, parameters, read, values


@dataclass(frozen=True, slots=True)
class Agency:
    """A tenant. `fallback_providers` None: every other provider with a key; empty: none."""

    id: str
    name: str
    alert_email: str | None
    active_provider: str | None
    former_provider: str | None
    fallback_providers: tuple[str, ...] | None
    created_at: datetime
    retention_days: int | None = None  # None: for ever


_AGENCY: Final = columns(Agency)
_PARAMETERS: Final = parameters(Agency)


async def insert_agency(connection: Connection, agency: Agency) -> None:
    await connection.execute(
        f"""
        INSERT INTO agencies ({_AGENCY})
        VALUES ({_PARAMETERS})
        """,
        *values(agency),
    )


async def agency_exists(connection: Connection, agency_id: str) -> bool:
    found: bool = await connection.fetchval("""SELECT EXISTS (SELECT FROM agencies WHERE id = $1)""", agency_id)
    return found


async def find_agency(connection: Connection, agency_id: str) -> Agency | None:
    row = await connection.fetchrow(
        f"""
        SELECT {_AGENCY}
          FROM agencies
         WHERE id = $1
        """,
        agency_id,
    )
    return read(Agency, row) if row else None


async def lock_agency(connection: Connection, agency_id: str) -> Agency | None:
    """Until the end of the transaction nobody else changes the agency, its keys, clients or numbers."""
    row = await connection.fetchrow(
        f"""
        SELECT {_AGENCY}
          FROM agencies
         WHERE id = $1
           FOR NO KEY UPDATE
        """,
        agency_id,
    )
    return read(Agency, row) if row else None


async def list_agencies(
    connection: Connection, *, only: str | None, number: str | None, after: tuple[datetime, str] | None, limit: int
) -> list[Agency]:
    """Oldest first; `only` one agency, and those that have this number, if given."""
    at, agency_id = after or (None, None)
    rows = await connection.fetch(
        f"""
        SELECT {_AGENCY}
          FROM agencies
         WHERE ($1::text IS NULL OR id = $1) AND ($2::timestamptz IS NULL OR (created_at, id) > ($2, $3))
           AND ($4::text IS NULL OR id IN (SELECT n.agency_id FROM numbers n WHERE n.e164 = $4))
         ORDER BY created_at, id
         LIMIT $5
        """,
        only,
        at,
        agency_id,
        number,
        limit,
    )
    return [read(Agency, row) for row in rows]


async def update_agency(connection: Connection, agency: Agency) -> None:
    await connection.execute(
        """
        UPDATE agencies
           SET name = $2, alert_email = $3, active_provider = $4, former_provider = $5, fallback_providers = $6,
               retention_days = $7
         WHERE id = $1
        """,
        agency.id,
        agency.name,
        agency.alert_email,
        agency.active_provider,
        agency.former_provider,
        agency.fallback_providers,
        agency.retention_days,
    )


async def delete_agency(connection: Connection, agency_id: str) -> None:
    """With everything that it owns."""
    await connection.execute(
        """DELETE FROM call_steps WHERE call_id IN (SELECT id FROM calls WHERE agency_id = $1)""", agency_id
    )
    await connection.execute("""DELETE FROM agencies WHERE id = $1""", agency_id)
