"""The table of agencies. Every function takes a connection or the settings' pool."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from router.store.pool import Connection
from router.store.rows import columns, fetch_row, parameters, read, values

NumbersFrom: TypeAlias = Literal["provider", "carrier"]


@dataclass(frozen=True, slots=True)
class Agency:
    """A tenant. `fallback_providers` None: every other provider with a key; empty: none.

    `numbers_from`: who sells new numbers: the active provider, where it sells any, or always the carrier.
    """

    id: str
    name: str
    alert_email: str | None
    active_provider: str | None
    former_provider: str | None
    fallback_providers: tuple[str, ...] | None
    created_at: datetime
    retention_days: int | None = None  # None: for ever
    alert_email_confirmed: bool | None = None  # None without an address
    alert_email_problem: str | None = None  # why the last mail there was not delivered; None: it was

    @property
    def problems(self) -> list[str]:
        """What needs attention, for people."""
        if self.alert_email_problem is None:
            return []
        return [f"Emails to {self.alert_email} are not delivered: {self.alert_email_problem}."]

    numbers_from: NumbersFrom = "provider"


_COLUMNS: Final = columns(Agency)
_PARAMETERS: Final = parameters(Agency)
_AGENCIES: Final = f"""SELECT {_COLUMNS} FROM agencies"""


async def insert_agency(connection: Connection, agency: Agency) -> None:
    await connection.execute(f"""INSERT INTO agencies ({_COLUMNS}) VALUES ({_PARAMETERS})""", *values(agency))


async def agency_exists(connection: Connection, agency_id: str) -> bool:
    return bool(await connection.fetchval("""SELECT EXISTS (SELECT FROM agencies WHERE id = $1)""", agency_id))


async def is_copied(connection: Connection, agency_id: str) -> bool:
    """Whether it came with a copy of another database, to which its subaccount belongs."""
    return bool(await connection.fetchval("""SELECT copied FROM agencies WHERE id = $1""", agency_id))


async def find_agency(connection: Connection, agency_id: str) -> Agency | None:
    return await fetch_row(connection, Agency, f"""{_AGENCIES} WHERE id = $1""", agency_id)


async def lock_agency(connection: Connection, agency_id: str) -> Agency | None:
    """Until the transaction ends, no other one can change the agency, its keys, clients or numbers."""
    return await fetch_row(connection, Agency, f"""{_AGENCIES} WHERE id = $1 FOR NO KEY UPDATE""", agency_id)


async def list_agencies(
    connection: Connection, *, only: str | None, number: str | None, after: tuple[datetime, str] | None, limit: int
) -> list[Agency]:
    """Oldest first; `only` one agency, and those that have this number, if given."""
    rows = await connection.fetch(
        f"""
        {_AGENCIES}
         WHERE ($1::text IS NULL OR id = $1)
           AND (created_at, id) > (coalesce($2::timestamptz, '-infinity'), coalesce($3, ''))
           AND ($4::text IS NULL OR id IN (SELECT n.agency_id FROM numbers n WHERE n.e164 = $4))
         ORDER BY created_at, id
         LIMIT $5
        """,
        only,
        *(after or (None, None)),
        number,
        limit,
    )
    return [read(Agency, row) for row in rows]


async def update_agency(connection: Connection, agency: Agency) -> None:
    await connection.execute(
        f"""UPDATE agencies SET ({_COLUMNS}) = ROW ({_PARAMETERS}) WHERE id = $1""", *values(agency)
    )


async def delete_agency(connection: Connection, agency_id: str) -> None:
    """With everything that it owns."""
    await connection.execute(
        """DELETE FROM call_steps WHERE call_id IN (SELECT id FROM calls WHERE agency_id = $1)""", agency_id
    )
    await connection.execute(
        """
        DELETE FROM idempotency_keys
         WHERE agency_id = $1 OR (agency_id IS NULL AND position('/agencies/' || $1 || '/' IN scope) > 0)
        """,
        agency_id,
    )
    await connection.execute(
        """
        DELETE FROM pgqueuer WHERE status = 'queued' AND convert_from(payload, 'UTF8')::jsonb ->> 'agency_id' = $1
        """,
        agency_id,
    )
    await connection.execute("""DELETE FROM agencies WHERE id = $1""", agency_id)
