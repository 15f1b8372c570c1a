"""Sessions of the console: who signed in, and which sessions were ended before they expired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from router.ids import new_id
from router.store.guard import Guard
from router.store.pool import Database
from router.store.tenants.audit import AuditEntry, insert_audit_entry


@dataclass(frozen=True, slots=True)
class SessionsOnRecord:
    """All methods raise DatabaseAwayError, an OSError. The row of an ended session is kept until it would have expired."""

    database: Database
    guard: Guard
    clock: Callable[[], datetime]

    async def note_begin(self, actor: str, agency_id: str | None, address: str | None) -> None:
        entry = AuditEntry(new_id("audit"), self.clock(), actor, "console.signed_in", actor, address, agency_id)
        await self.guard.ask(lambda: insert_audit_entry(self.database.settings, entry))

    async def end(self, session_id: str, until: datetime) -> None:
        """Also deletes the expired ones."""
        statement = """
            WITH over AS (DELETE FROM ended_sessions WHERE until <= $3)
            INSERT INTO ended_sessions (id, until) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING
        """
        await self.guard.ask(lambda: self.database.settings.execute(statement, session_id, until, self.clock()))

    async def has_ended(self, session_id: str) -> bool:
        statement = """SELECT EXISTS (SELECT FROM ended_sessions WHERE id = $1)"""
        return bool(await self.guard.ask(lambda: self.database.settings.fetchval(statement, session_id)))
