"""Makes what happened on calls durable: collects writes and commits many at a time over a connection of its own.

`note` costs nothing; `flush` waits until everything noted before is on a disk: the database's, or the spool's while
the database is away. When it is back the spool is replayed first, in order. Without room on either, writes wait
here, bounded, and are tried again; the caller on the line never waits longer than the flush's limit.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import asyncpg

from router.calls.spool import Spool
from router.store.calls import Write
from router.store.guard import Guard
from router.store.pool import AWAY_ERRORS, Connection
from router.telemetry import emit, metrics

_MOST_IN_A_BATCH: Final = 500
_MOST_WAITING: Final = 20_000
_RETRY_SECONDS: Final = 1.0
_CLOSING_SECONDS: Final = 5.0
_COMMIT_SECONDS: Final = 1.5  # shorter than a flush is waited for, so that a silent server still leaves time to spool
_REPLAY_SECONDS: Final = 0.5  # at a time, between batches that wait


@dataclass(slots=True)
class _Replay:
    """A spool file that is being replayed."""

    path: Path
    batches: Iterator[list[Write]]
    started: float
    count: int = 0


class Recorder:
    """The batch writer. `connect` opens its connection, also after a loss."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], guard: Guard, spool: Spool) -> None:
        self._connect = connect
        self._guard = guard
        self._spool = spool
        self._connection: Connection | None = None
        self._waiting: deque[Write] = deque()
        self._batch: list[Write] = []  # taken from those waiting, and tried until it is durable
        self._noted = 0  # how many writes were ever noted, and how many of them are settled: durable, refused, dropped
        self._settled = 0
        self._dropped = 0  # since that was last said
        self._spooling = False
        self._stuck = False
        self._next_try = 0.0
        self._replay: _Replay | None = None
        self._wake = asyncio.Event()
        self._changed = asyncio.Condition()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def spooling(self) -> bool:
        """Whether something that was noted is not in the database yet because that was away."""
        return self._spooling

    def start(self) -> None:
        self._spooling = not self._spool.is_empty()
        self._task = asyncio.create_task(self._run(), name="recorder")

    async def aclose(self) -> None:
        """Make durable what is waiting, within a few seconds, and stop."""
        self._closing.set()
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_CLOSING_SECONDS)
            self._task.cancel()
            self._disconnect()
            await asyncio.gather(self._task, return_exceptions=True)
        if left := len(self._batch) + len(self._waiting):
            emit("recorder.failed", count=left, reason="closing")
        self._spool.close()

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
        if self._stuck:
            return False
        try:
            async with asyncio.timeout(max(limit, 0)), self._changed:
                await self._changed.wait_for(lambda: self._settled >= goal or self._stuck)
        except TimeoutError:
            return False
        return self._settled >= goal

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            if self._spooling and time.monotonic() >= self._next_try and not self._closing.is_set():
                await self._come_back()
            if self._batch or self._waiting:
                durable = await self._settle_next()
                self._report_dropped()
                if not durable and self._closing.is_set():
                    return
                if not durable:
                    await self._pause()
            elif self._closing.is_set():
                return
            else:
                await self._idle()

    async def _idle(self) -> None:
        """Until something is noted; not longer than until the next look at a database that was away."""
        if not self._spooling:
            await self._wake.wait()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(self._next_try - time.monotonic(), 0)):
                await self._wake.wait()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_SECONDS):
                await self._closing.wait()

    async def _settle_next(self) -> bool:
        """Make one batch durable; False if neither the database nor the spool takes it."""
        if not self._batch:
            self._batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_IN_A_BATCH))]
        started = time.monotonic()
        if not await self._write_batch() and not await self._spool_batch():
            await self._tell(stuck=True)
            return False
        metrics.recorder_flushed(time.monotonic() - started, len(self._batch))
        self._batch = []
        self._show_depth()
        self._settled = self._noted - len(self._waiting)
        await self._tell(stuck=False)
        return True

    async def _write_batch(self) -> bool:
        """False if the database is away, or has to wait its turn behind the spool."""
        if self._spooling or self._guard.away:
            self._spooling = True
            return False
        try:
            await _write_all(await self._connected(), self._batch)
        except Exception as error:  # noqa: BLE001  whatever it is, the writes are kept
            self._lose(error)
            return False
        self._guard.back()
        return True

    async def _spool_batch(self) -> bool:
        try:
            await asyncio.to_thread(self._spool.append, tuple(self._batch))
        except Exception as error:  # noqa: BLE001  a full disk or a write that has no form there: they are kept here
            emit("recorder.failed", count=0, reason=type(error).__name__)
            return False
        return True

    async def _come_back(self) -> None:
        """If the database answers, replay some of the spool; with nothing left, write to the database again."""
        try:
            done = await self._replay_some(await self._connected())
        except Exception as error:  # noqa: BLE001  nothing is lost: the file is still there
            self._lose(error)
            return
        self._guard.back()
        self._next_try = 0.0
        if done:
            self._spooling = False

    async def _replay_some(self, connection: Connection) -> bool:
        """For a short while; True once nothing is left."""
        until = time.monotonic() + _REPLAY_SECONDS
        while time.monotonic() < until:
            if self._replay is None and not await self._open_next_file():
                return True
            replay = self._replay
            if replay is None:
                continue
            batch = await asyncio.to_thread(next, replay.batches, None)
            if batch is None:
                await asyncio.to_thread(self._spool.remove, replay.path)
                emit("spool.replayed", count=replay.count, duration_ms=_milliseconds_since(replay.started))
                self._replay = None
                continue
            await _write_all(connection, batch)
            replay.count += len(batch)
        return False

    async def _open_next_file(self) -> bool:
        files = await asyncio.to_thread(self._spool.take_files)
        if not files:
            return False
        self._replay = _Replay(files[0], self._spool.read(files[0]), time.monotonic())
        return True

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            async with asyncio.timeout(_COMMIT_SECONDS):
                self._connection = await self._connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _lose(self, error: Exception) -> None:
        self._disconnect()
        self._guard.lost(type(error).__name__)
        self._spooling = True
        self._replay = None  # from its beginning again: what was written already does no harm
        self._next_try = time.monotonic() + _RETRY_SECONDS

    async def _tell(self, *, stuck: bool) -> None:
        async with self._changed:
            self._stuck = stuck
            self._changed.notify_all()

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
    limit = asyncio.get_running_loop().call_later(_COMMIT_SECONDS, connection.terminate)
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
    return connection.is_closed() or (isinstance(error, AWAY_ERRORS) and not isinstance(error, asyncpg.InterfaceError))


def _milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
