"""Asks the database with a time limit, and not at all while it is away.

What happens without an answer is up to the caller. Only router.calls.recorder checks whether the database is back, so
that a slow one is not lost and regained with every question.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from router.routing.deadline import is_done_within
from router.store.pool import AWAY_ERRORS
from router.telemetry import emit

_PATIENCE_SECONDS: Final = 1.5

_Answer = TypeVar("_Answer")


class DatabaseAwayError(ConnectionError):
    """The database did not answer just now. Among router.store.pool.AWAY_ERRORS."""


class Guard:
    """Lets questions through while the database answers."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, patience: float = _PATIENCE_SECONDS) -> None:
        self._clock = clock
        self._patience = patience
        self._away_since: float | None = None
        self._regained = 0  # how often
        self._when_lost: Callable[[], None] | None = None
        self._abandoned: set[asyncio.Future[Any]] = set()

    @property
    def away(self) -> bool:
        return self._away_since is not None

    def when_lost(self, tell: Callable[[], None]) -> None:
        """`tell` is called each time the database is found away. Its owner has to call `back`."""
        self._when_lost = tell

    async def ask(self, question: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """The answer, or DatabaseAwayError within the patience. Other exceptions of the question pass through."""
        if self.away:
            raise DatabaseAwayError
        regained = self._regained
        task = asyncio.ensure_future(question())
        try:
            done = await is_done_within(task, self._patience)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not done:
            self._abandon(task)
            self._lose("TimeoutError", regained)
            raise DatabaseAwayError
        try:
            return task.result()
        except AWAY_ERRORS as error:
            if isinstance(error, ValueError):  # an argument that the driver cannot send
                raise
            if not isinstance(error, DatabaseAwayError):  # of a question within a question: reported already
                self._lose(type(error).__name__, regained)
            raise DatabaseAwayError from None

    def lost(self, reason: str) -> None:
        """The database does not answer."""
        if self._away_since is None:
            self._away_since = self._clock()
            emit("database.lost", reason=reason)
        if self._when_lost is not None:
            self._when_lost()

    def _lose(self, reason: str, regained: int) -> None:
        """A failure on an old connection means nothing if the database has been regained meanwhile."""
        if regained == self._regained:
            self.lost(reason)

    def back(self) -> None:
        """The database answers."""
        if self._away_since is not None:
            seconds, self._away_since = self._clock() - self._away_since, None
            self._regained += 1
            emit("database.regained", seconds=round(seconds, 3))

    def _abandon(self, task: asyncio.Future[_Answer]) -> None:
        """Cancel the task without waiting: a driver may wait long for a server that does not react."""
        task.cancel()
        self._abandoned.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Future[Any]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()
