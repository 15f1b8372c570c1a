"""Lets so many requests use the database at once. While more wait, agencies take turns, so that hundreds of calls of
one agency in the same moment keep another agency's call waiting for a few of them, not for all.

The wait comes before the time limit on the database's answer: a crowd does not make the database look slow.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class FairQueue:
    """For one event loop. `places`: how many may be inside at once."""

    places: int
    _inside: int = 0
    _waiting: OrderedDict[str, deque[asyncio.Future[None]]] = field(
        default_factory=OrderedDict
    )  # the next agency first

    @asynccontextmanager
    async def place(self, agency: str) -> AsyncIterator[None]:
        """Wait for a place, and keep it while the block runs."""
        await self._enter(agency)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, agency: str) -> None:
        if self._inside < self.places:
            self._inside += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(agency, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place was given to this request, which no longer needs it
                self._leave()
            raise

    def _leave(self) -> None:
        """Hand the place to the next one that still waits."""
        while self._waiting:
            agency, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[agency] = turns  # behind all other agencies
            if not turn.done():
                turn.set_result(None)
                return
        self._inside -= 1
