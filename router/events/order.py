"""Up to which place the call events are settled: all of them are there, or never will be.

Numbers are given out before transactions commit. Whoever wrote when a number was the latest one may still add events
before it; once these transactions are over, everything up to it is settled. Nothing of this is stored, and writers do
nothing for it.
"""

from __future__ import annotations

import asyncio

from router.store.events.feed import Numbering, look_at_numbering
from router.store.pool import Connection, Pool


class Order:
    """What one process knows of it. Many who ask at once share one look."""

    def __init__(self) -> None:
        self._settled = 0
        self._waits_for: Numbering | None = None  # its latest number is settled when these transactions are over
        self._looking = asyncio.Lock()
        self._begun = self._done = 0

    async def look(self, pool: Connection) -> int:
        """The place up to which all is settled, as of a moment after this was called. Raises DATABASE_ERRORS."""
        before = self._begun
        async with self._looking:
            if self._done <= before:
                self._begun += 1
                self._note(await look_at_numbering(pool))
                self._done = self._begun
            return self._settled

    async def find_end(self, pool: Pool) -> int:
        """A place before all that is committed from now on. Waits for those who are writing, if they take no longer than
        a second. Raises DATABASE_ERRORS.
        """
        end = (await look_at_numbering(pool)).latest
        for wait in (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5):
            await asyncio.sleep(wait)
            if await self.look(pool) >= end:
                break
        return end

    def _note(self, now: Numbering) -> None:
        if now.latest < self._settled:  # another server took over, and lacks the end of what this one had
            self._settled, self._waits_for = 0, None
        if self._waits_for is not None:
            still = tuple(set(self._waits_for.writing) & set(now.writing))
            if not still:
                self._settled = self._waits_for.latest
            self._waits_for = Numbering(self._waits_for.latest, still) if still else None
        if not now.writing:
            self._settled, self._waits_for = now.latest, None
        elif self._waits_for is None:
            self._waits_for = now
