"""Who changed what in an agency's settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from router.store.pool import Connection
from router.store.rows import columns, parameters, read, values


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change. `actor` is "admin" or a token's id, `address` the client's IP address."""

    id: str
    at: datetime
    actor: str
    action: str
    target: str
    address: str | None


_COLUMNS: Final = columns(AuditEntry)
_PARAMETERS: Final = parameters(AuditEntry)


async def insert_audit_entry(connection: Connection, agency_id: str, entry: AuditEntry) -> None:
    await connection.execute(
        f"""INSERT INTO audit ({_COLUMNS}, agency_id) VALUES ({_PARAMETERS}, $7)""", *values(entry), agency_id
    )


async def list_audit_entries(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[AuditEntry]:
    """Newest first."""
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS}
          FROM audit
         WHERE agency_id = $1 AND ($2::timestamptz IS NULL OR (at, id) < ($2, $3))
         ORDER BY at DESC, id DESC
         LIMIT $4
        """,
        agency_id,
        *(after or (None, None)),
        limit,
    )
    return [read(AuditEntry, row) for row in rows]
