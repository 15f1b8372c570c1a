"""Asking the database without waiting for one that is away: bounded, and after a failure not tried by every call.

What to do without an answer is the asker's decision.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from router.store.pool import AWAY_ERRORS
from router.telemetry import emit, metrics

_PATIENCE_SECONDS: Final = 1.5
_PROBE_EVERY_SECONDS: Final = 1.0
_MOST_ABANDONED: Final = 64

_Answer = TypeVar("_Answer")


class DatabaseAwayError(ConnectionError):
    """The database did not answer just now. Among router.store.pool.DATABASE_ERRORS."""


class Guard:
    """Lets questions through while the database answers; when it does not, one a second to see."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, patience: float = _PATIENCE_SECONDS) -> None:
        self._clock = clock
        self._patience = patience
        self._away_since: float | None = None
        self._next_probe = 0.0
        self._abandoned: set[asyncio.Task[object]] = set()

    @property
    def away(self) -> bool:
        return self._away_since is not None

    async def ask(self, question: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """The answer, or DatabaseAwayError within the patience. Other exceptions of the question pass through."""
        if self.away and not self._may_probe():
            raise DatabaseAwayError
        task = asyncio.ensure_future(question())
        try:
            done, _ = await asyncio.wait({task}, timeout=self._patience)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not done:
            self._abandon(task)
            self.lost("TimeoutError")
            raise DatabaseAwayError
        try:
            answer = task.result()
        except AWAY_ERRORS as error:
            self.lost(type(error).__name__)
            raise DatabaseAwayError from None
        self.back()
        return answer

    def _may_probe(self) -> bool:
        now = self._clock()
        if now < self._next_probe or len(self._abandoned) >= _MOST_ABANDONED:
            return False
        self._next_probe = now + _PROBE_EVERY_SECONDS
        return True

    def _abandon(self, task: asyncio.Future[_Answer]) -> None:
        """Cancelled, but not waited for: a driver may wait long for a server that does not react."""
        task.cancel()
        self._abandoned.add(task)  # type: ignore[arg-type]
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Future[_Answer]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()

    def lost(self, reason: str) -> None:
        """Somebody found that it does not answer."""
        now = self._clock()
        self._next_probe = now + _PROBE_EVERY_SECONDS
        if self._away_since is None:
            self._away_since = now
            metrics.database_up(False)
            emit("database.lost", reason=reason)

    def back(self) -> None:
        """Somebody got an answer."""
        if self._away_since is not None:
            seconds, self._away_since = self._clock() - self._away_since, None
            metrics.database_up(True)
            emit("database.regained", seconds=round(seconds, 3))
