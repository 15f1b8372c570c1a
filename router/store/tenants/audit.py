"""Who changed what in an agency's settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from router.store.pool import Connection


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change. `actor` is "admin" or a token's id, `address` the client's IP address."""

    id: str
    at: datetime
    actor: str
    action: str
    target: str
    address: str | None


async def insert_audit_entry(connection: Connection, agency_id: str, entry: AuditEntry) -> None:
    await connection.execute(
        """
        INSERT INTO audit (id, agency_id, at, actor, action, target, address)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        entry.id,
        agency_id,
        entry.at,
        entry.actor,
        entry.action,
        entry.target,
        entry.address,
    )


async def list_audit_entries(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[AuditEntry]:
    """Newest first."""
    at, entry_id = after or (None, None)
    rows = await connection.fetch(
        """
        SELECT id, at, actor, action, target, address
          FROM audit
         WHERE agency_id = $1 AND ($2::timestamptz IS NULL OR (at, id) < ($2, $3))
         ORDER BY at DESC, id DESC
         LIMIT $4
        """,
        agency_id,
        at,
        entry_id,
        limit,
    )
    return [AuditEntry(**row) for row in rows]
