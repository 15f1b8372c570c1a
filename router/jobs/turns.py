"""Turns: agencies' waiting rows are worked off a few seconds at a time, one agency after the other.

An agency has one job per kind of work, however many rows wait. After its turn, the job goes to the end of the queue. So
another agency waits for the agencies before it, and not for their rows.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from router.clock import Clock
from router.jobs.enqueue import enqueue_fresh
from router.jobs.retry import Again
from router.jobs.runner import Job
from router.store.pool import Connection, Database
from router.store.turns import begin_turn, end_turn

_SECONDS: Final = 2.0
_LEASE: Final = timedelta(seconds=60)
_BUSY_SECONDS: Final = 1.0


async def ask_for_turn(connection: Connection, name: str, agency_id: str) -> None:
    """Have the agency's rows worked on after this transaction."""
    await enqueue_fresh(connection, name, {"agency_id": agency_id}, once=f"{name}/{agency_id}")


@dataclass(frozen=True, slots=True)
class Turns:
    database: Database
    clock: Clock
    # Turns that are over here and not in the database, because it was away: by kind and agency, with their leases.
    _unended: dict[tuple[str, str], datetime] = field(default_factory=dict, init=False)

    async def take(
        self, job: Job, find_next: Callable[[], Awaitable[datetime | None]], work: Callable[[], Awaitable[bool]]
    ) -> None:
        """Let the job's agency have its turn. `work` does some of what is due and returns whether there was anything;
        `find_next` tells when the next row is due. Raises Again while rows wait.
        """
        if not await self._is_due(find_next):
            return
        pool, agency_id, now = self.database.settings, str(job.payload["agency_id"]), self.clock()
        await self._end(job.name, agency_id)
        if not await begin_turn(pool, job.name, agency_id, now, now + _LEASE):
            raise Again(_BUSY_SECONDS)
        try:
            over = time.monotonic() + _SECONDS
            while await work() and time.monotonic() < over:
                pass
        finally:
            self._unended[job.name, agency_id] = now + _LEASE
            await self._end(job.name, agency_id)
        if await self._is_due(find_next):
            raise Again

    async def _is_due(self, find_next: Callable[[], Awaitable[datetime | None]]) -> bool:
        """False if no row waits. Raises Again if one is due later."""
        at, now = await find_next(), self.clock()
        if at is not None and at > now:
            raise Again((at - now).total_seconds())
        return at is not None

    async def _end(self, kind: str, agency_id: str) -> None:
        lease = self._unended.get((kind, agency_id))
        if lease is not None:
            await end_turn(self.database.settings, kind, agency_id, lease)
            self._unended.pop((kind, agency_id), None)
