"""Sessions of the console that were ended before they expired. A row is needed until then, and no longer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from router.store.guard import Guard
from router.store.pool import Database


@dataclass(frozen=True, slots=True)
class SessionsOnRecord:
    """Both methods raise DatabaseAwayError, an OSError."""

    database: Database
    guard: Guard
    clock: Callable[[], datetime]

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
