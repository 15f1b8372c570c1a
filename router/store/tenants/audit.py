"""The audit log: an agency's entries, and the operator's, which belong to no agency and outlive all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from router.ids import derive_id
from router.store.pool import Connection
from router.store.rows import columns, fetch_rows, parameters, values


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change. `actor` is "admin" or a token's id, `address` the client's IP address. `count`: so many of the same."""

    id: str
    at: datetime
    actor: str
    action: str
    target: str
    address: str | None
    agency_id: str | None
    count: int = 1


_COLUMNS: Final = columns(AuditEntry)
_PARAMETERS: Final = parameters(AuditEntry)
_ENTRIES: Final = f"""SELECT {_COLUMNS} FROM audit"""


async def insert_audit_entry(connection: Connection, entry: AuditEntry) -> None:
    await connection.execute(f"""INSERT INTO audit ({_COLUMNS}) VALUES ({_PARAMETERS})""", *values(entry))


async def count_refused_tokens(connection: Connection, counts: Mapping[str | None, int], now: datetime) -> None:
    """Add them to the operator's entries, of which each address has one an hour."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    names = [derive_id("audit", f"token.refused {address} {hour.isoformat()}") for address in counts]
    await connection.execute(
        """
        INSERT INTO audit (id, at, actor, action, target, address, count)
        SELECT id, $4, 'unknown', 'token.refused', '', address, count
          FROM unnest($1::text[], $2::text[], $3::integer[]) AS given (id, address, count)
        ON CONFLICT (id) DO UPDATE SET at = EXCLUDED.at, count = audit.count + EXCLUDED.count
        """,
        names,
        [*counts.keys()],
        [*counts.values()],
        now,
    )


async def list_audit_entries(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[AuditEntry]:
    """An agency's, newest first."""
    statement = f"""
        {_ENTRIES}
         WHERE agency_id = $1 AND (at, id) < (coalesce($2::timestamptz, 'infinity'), coalesce($3, ''))
         ORDER BY at DESC, id DESC
         LIMIT $4
    """
    return await fetch_rows(connection, AuditEntry, statement, agency_id, *(after or (None, None)), limit)


async def list_all_audit_entries(
    connection: Connection, *, after: tuple[datetime, str] | None, limit: int
) -> list[AuditEntry]:
    """The operator's and every agency's, newest first."""
    statement = f"""
        {_ENTRIES}
         WHERE (at, id) < (coalesce($1::timestamptz, 'infinity'), coalesce($2, ''))
         ORDER BY at DESC, id DESC
         LIMIT $3
    """
    return await fetch_rows(connection, AuditEntry, statement, *(after or (None, None)), limit)


async def count_entries(connection: Connection, agency_id: str, action: str, since: datetime, most: int) -> int:
    """How often an agency did that since then, counted up to `most`."""
    found: int = await connection.fetchval(
        """
        SELECT count(*)
          FROM (SELECT id FROM audit WHERE agency_id = $1 AND action = $2 AND at > $3 LIMIT $4) AS entries
        """,
        agency_id,
        action,
        since,
        most,
    )
    return found
