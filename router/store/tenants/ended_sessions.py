"""Sessions of the console that were ended before their time. A row is of use until then, and no longer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from router.store.guard import Guard
from router.store.pool import Database


class SessionsOnRecord:
    """Both methods raise DatabaseAwayError, an OSError."""

    def __init__(self, database: Database, guard: Guard, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._guard = guard
        self._clock = clock

    async def end(self, session_id: str, until: datetime) -> None:
        """Also forgets those whose time is over."""

        async def write() -> None:
            await self._database.settings.execute(
                """
                WITH over AS (DELETE FROM ended_sessions WHERE until <= $3)
                INSERT INTO ended_sessions (id, until) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING
                """,
                session_id,
                until,
                self._clock(),
            )

        await self._guard.ask(write)

    async def has_ended(self, session_id: str) -> bool:
        async def read() -> bool:
            return bool(
                await self._database.settings.fetchval(
                    """SELECT EXISTS (SELECT FROM ended_sessions WHERE id = $1)""", session_id
                )
            )

        return await self._guard.ask(read)
