"""Makes what happened on calls durable: collects writes and commits many at a time over a connection of its own.

`note` costs nothing; `flush` waits until everything noted before is on disk. While the database is away, writes
wait here, bounded, and are tried again; the caller on the line never waits longer than the flush's limit.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Final

import asyncpg

from router.store.calls import Write
from router.store.pool import COMMAND_SECONDS, Connection
from router.telemetry import emit, metrics

_MOST_IN_A_BATCH: Final = 500
_MOST_WAITING: Final = 20_000
_RETRY_SECONDS: Final = 1.0
_CLOSING_SECONDS: Final = 5.0

# What the server may say although the writes are fine; it will take them another time, or another server will.
_AWAY: Final = (
    OSError,
    TimeoutError,
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
        self._batch: list[Write] = []  # taken from those waiting, and tried until it is written
        self._noted = 0  # how many writes were ever noted, and how many of them are settled: written, refused, dropped
        self._settled = 0
        self._dropped = 0  # since that was last said
        self._wake = asyncio.Event()
        self._changed = asyncio.Condition()
        self._away = False
        self._lost_at = 0.0
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def away(self) -> bool:
        """Whether the database was away at the last try."""
        return self._away

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="recorder")

    async def aclose(self) -> None:
        """Write what is waiting, within a few seconds, and stop. A database that is away is tried once more."""
        self._closing.set()
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_CLOSING_SECONDS)
            self._task.cancel()
            self._disconnect()
            await asyncio.gather(self._task, return_exceptions=True)
        if left := len(self._batch) + len(self._waiting):
            emit("recorder.failed", count=left, reason="closing")

    def note(self, *writes: Write) -> None:
        """Keep for the next commit."""
        for write in writes:
            if len(self._waiting) >= _MOST_WAITING:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(write)
            self._noted += 1
        self._show_depth()
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
        while True:
            self._wake.clear()
            if self._batch or self._waiting:
                written = await self._write_next()
                self._report_dropped()
                if not written and self._closing.is_set():
                    return
                if not written:
                    await self._pause()
            elif self._closing.is_set():
                return
            else:
                await self._wake.wait()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_SECONDS):
                await self._closing.wait()

    async def _write_next(self) -> bool:
        """Write one batch; False if the database is away."""
        if not self._batch:
            self._batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_IN_A_BATCH))]
        started = time.monotonic()
        try:
            await _write_all(await self._connected(), self._batch)
        except Exception as error:  # noqa: BLE001  whatever it is, the writes are kept and tried again
            await self._lose(error)
            return False
        self._regain()
        metrics.recorder_flushed(time.monotonic() - started, len(self._batch))
        self._batch = []
        self._show_depth()
        async with self._changed:
            self._settled = self._noted - len(self._waiting)
            self._changed.notify_all()
        return True

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _lose(self, error: Exception) -> None:
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

    def _report_dropped(self) -> None:
        """One line for many: a full recorder must not fill the log as well."""
        if self._dropped:
            emit("recorder.failed", count=self._dropped, reason="full")
            self._dropped = 0

    def _show_depth(self) -> None:
        metrics.recorder_queue(len(self._batch) + len(self._waiting))


async def _write_all(connection: Connection, batch: Sequence[Write]) -> None:
    """One write that is refused must not take the others along. Raises only if the database is away."""
    try:
        await _commit(connection, batch)
    except Exception as error:
        if _is_away(connection, error):
            raise
    else:
        return
    for write in batch:
        try:
            await _commit(connection, [write])
        except Exception as error:
            if _is_away(connection, error):
                raise
            emit("recorder.failed", count=1, reason=type(error).__name__)


async def _commit(connection: Connection, batch: Sequence[Write]) -> None:
    # Without a connection the driver stops waiting for a server that says nothing, also while it rolls back.
    limit = asyncio.get_running_loop().call_later(COMMAND_SECONDS, connection.terminate)
    try:
        async with connection.transaction():
            for statement, writes in groupby(batch, key=lambda write: write.statement):
                rows: list[tuple[Any, ...]] = [write.arguments for write in writes]
                if len(rows) == 1:
                    await connection.execute(statement, *rows[0])
                else:
                    await connection.executemany(statement, rows)
    finally:
        limit.cancel()


def _is_away(connection: Connection, error: Exception) -> bool:
    """Otherwise it is about a write: refused by PostgreSQL, or with arguments that the driver cannot send."""
    return connection.is_closed() or isinstance(error, _AWAY)
