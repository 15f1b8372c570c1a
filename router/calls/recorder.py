"""Makes what happened on calls durable: collects writes and commits many at a time over a connection of its own.

`note` costs nothing; `flush` waits until everything noted before is on disk. While the database is away, writes
wait here, bounded, and are tried again; the caller on the line never waits longer than the flush's limit.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import Any, Final

import asyncpg

from router.store.calls import Write
from router.store.pool import Connection
from router.telemetry import emit, metrics

_MOST_IN_A_BATCH: Final = 500
_MOST_WAITING: Final = 20_000
_RETRY_SECONDS: Final = 1.0
_CLOSING_SECONDS: Final = 5.0

# What a lost connection looks like; anything else that PostgreSQL says is about the writes themselves.
_AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
)


class Recorder:
    """The batch writer. `connect` opens its connection, also after a loss."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._waiting: deque[Write] = deque()
        self._noted = 0  # how many writes were ever noted, and how many of them are settled
        self._settled = 0
        self._wake = asyncio.Event()
        self._changed = asyncio.Condition()
        self._away = False
        self._lost_at = 0.0
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    @property
    def away(self) -> bool:
        """Whether the database was away at the last try."""
        return self._away

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="recorder")

    async def aclose(self) -> None:
        """Write what is waiting, within a few seconds, and stop."""
        await self.flush(_CLOSING_SECONDS)
        self._closing = True
        self._wake.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._disconnect()
        if self._waiting:
            emit("recorder.failed", count=len(self._waiting), reason="closing")

    def note(self, *writes: Write) -> None:
        """Keep for the next commit."""
        for write in writes:
            if len(self._waiting) >= _MOST_WAITING:
                self._waiting.popleft()
                self._settled += 1
                emit("recorder.failed", count=1, reason="full")
            self._waiting.append(write)
            self._noted += 1
        metrics.recorder_queue(len(self._waiting))
        self._wake.set()

    async def flush(self, limit: float) -> bool:
        """Wait until all that was noted so far is durable, `limit` seconds at most. False if it is not."""
        goal = self._noted
        if self._settled >= goal:
            return True
        if self._away:
            return False
        try:
            async with asyncio.timeout(max(limit, 0)), self._changed:
                await self._changed.wait_for(lambda: self._settled >= goal or self._away)
        except TimeoutError:
            return False
        return self._settled >= goal

    async def _run(self) -> None:
        while not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch = [self._waiting[place] for place in range(min(len(self._waiting), _MOST_IN_A_BATCH))]
                if await self._write(batch):
                    continue
                await asyncio.sleep(_RETRY_SECONDS)

    async def _write(self, batch: list[Write]) -> bool:
        started = time.monotonic()
        try:
            connection = await self._connected()
            try:
                await _commit(connection, batch)
            except _AWAY:
                raise
            except asyncpg.PostgresError:
                await self._write_singly(connection, batch)
        except _AWAY as error:
            await self._lose(error)
            return False
        self._regain()
        for _ in batch:
            self._waiting.popleft()
        metrics.recorder_flushed(time.monotonic() - started, len(batch))
        metrics.recorder_queue(len(self._waiting))
        await self._settle(len(batch))
        return True

    async def _write_singly(self, connection: Connection, batch: list[Write]) -> None:
        """One write that PostgreSQL refuses must not take the others along."""
        for write in batch:
            try:
                await _commit(connection, [write])
            except _AWAY:
                raise
            except asyncpg.PostgresError as error:
                emit("recorder.failed", count=1, reason=type(error).__name__)

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _lose(self, error: BaseException) -> None:
        self._disconnect()
        if not self._away:
            self._away = True
            self._lost_at = time.monotonic()
            emit("database.lost", reason=type(error).__name__)
        metrics.database_up(False)
        async with self._changed:
            self._changed.notify_all()

    def _regain(self) -> None:
        if self._away:
            self._away = False
            emit("database.regained", seconds=round(time.monotonic() - self._lost_at, 3))
        metrics.database_up(True)

    async def _settle(self, count: int) -> None:
        async with self._changed:
            self._settled += count
            self._changed.notify_all()


async def _commit(connection: Connection, batch: list[Write]) -> None:
    async with connection.transaction():
        for statement, writes in groupby(batch, key=lambda write: write.statement):
            rows: list[tuple[Any, ...]] = [write.arguments for write in writes]
            if len(rows) == 1:
                await connection.execute(statement, *rows[0])
            else:
                await connection.executemany(statement, rows)
