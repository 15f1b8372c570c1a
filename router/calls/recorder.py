"""Makes what happened on calls durable: collects records and commits many at a time over a connection of its own.

`note` costs nothing; `flush` waits until everything noted before is on a disk: the database's, or the spool's while
the database is away. Meanwhile it is looked for, beside the writing; when it is back the spool is replayed in order.
Without room on either, records wait here, bounded, and are tried again; the caller on the line never waits longer
than the flush's limit.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Final, NamedTuple

import asyncpg
from asyncpg import Connection

from router.calls.spool import Spool, SpoolFile
from router.store.calls.records import Record
from router.store.guard import Guard
from router.store.pool import AWAY_ERRORS
from router.telemetry import emit, metrics

_MOST_IN_A_BATCH: Final = 500
_MOST_WAITING: Final = 20_000
_RETRY_SECONDS: Final = 1.0
_CLOSING_SECONDS: Final = 5.0
_COMMIT_SECONDS: Final = 1.5  # shorter than a flush is waited for, so that a silent server still leaves time to spool
_REPLAY_SECONDS: Final = 5.0  # for a batch that nobody waits for
_LAST_BYTES: Final = 256 * 1024  # so little of the spool is replayed while new records wait for it


class _Noted(NamedTuple):
    record: Record
    spool_only: bool


class Recorder:
    """The batch writer. `connect` opens its connections, also after a loss; it says when the database is back."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], guard: Guard, spool: Spool) -> None:
        self._connect = connect
        self._guard = guard
        self._spool = spool
        self._connection: Connection | None = None
        self._waiting: deque[_Noted] = deque()
        self._batch: list[_Noted] = []  # taken from those waiting, and tried until it is durable
        self._noted = 0  # how many records were ever noted, and how many of them are settled: durable, refused, dropped
        self._settled = 0
        self._dropped = 0  # since that was last said
        self._stuck = False
        self._wake = asyncio.Event()
        self._behind = asyncio.Event()  # the database lacks something
        self._turn = asyncio.Lock()  # of whoever appends to the spool, or decides that it is empty
        self._changed = asyncio.Condition()
        self._closing = asyncio.Event()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        guard.when_lost(self._behind.set)

    @property
    def spooling(self) -> bool:
        """Whether something that was noted is not in the database yet because that was away."""
        return self._behind.is_set()

    def start(self) -> None:
        if self._spool.take() is not None:
            self._behind.set()
        self._tasks = (
            asyncio.create_task(self._write(), name="recorder"),
            asyncio.create_task(self._catch_up(), name="spool"),
        )

    async def aclose(self) -> None:
        """Make durable what is waiting, within a few seconds, and stop."""
        self._closing.set()
        self._wake.set()
        if self._tasks:
            writing, catching_up = self._tasks
            await asyncio.wait({writing}, timeout=_CLOSING_SECONDS)
            writing.cancel()
            catching_up.cancel()
            self._disconnect()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if left := len(self._batch) + len(self._waiting):
            emit("recorder.failed", count=left, reason="closing")
        self._spool.close()

    def note(self, *records: Record, spool_only: bool = False) -> None:
        """Keep for the next commit.

        `spool_only`: the database has them already, unless it loses its last moments in a crash. Then the spool, in
        which all that followed stands, has to have them too.
        """
        for record in records:
            if len(self._waiting) >= _MOST_WAITING:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(_Noted(record, spool_only))
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

    async def _write(self) -> None:
        while True:
            self._wake.clear()
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
        async with self._turn:
            durable = await self._write_batch() or await self._spool_batch()
        if not durable:
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
        if self.spooling:
            return False
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._open_connection()
            await _write_all(
                self._connection, [each.record for each in self._batch if not each.spool_only], _COMMIT_SECONDS
            )
        except Exception as error:  # noqa: BLE001  whatever it is, the records are kept
            self._disconnect()
            self._guard.lost(type(error).__name__)
            return False
        return True

    async def _spool_batch(self) -> bool:
        try:
            metrics.spool_bytes(await asyncio.to_thread(_append, self._spool, [each.record for each in self._batch]))
        except Exception as error:  # noqa: BLE001  a full disk or a record that has no form there: they are kept here
            emit("recorder.failed", count=0, reason=type(error).__name__)
            return False
        return True

    async def _catch_up(self) -> None:
        """Whenever something is behind: until the database answers and has it all."""
        while True:
            await self._behind.wait()
            try:
                await self._replay()
            except Exception as error:  # noqa: BLE001  nothing is lost: the files are still there
                self._guard.lost(type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _replay(self) -> None:
        started, count = time.monotonic(), 0
        connection = await self._open_connection()
        try:
            self._guard.back()
            while await asyncio.to_thread(self._spool.size) > _LAST_BYTES:
                async with self._turn:
                    file = await asyncio.to_thread(self._spool.take)
                if file is None:
                    break  # the rest is other processes'
                count += await self._replay_file(connection, file, _REPLAY_SECONDS)
            async with self._turn:
                while file := await asyncio.to_thread(self._spool.take):
                    count += await self._replay_file(connection, file, _COMMIT_SECONDS)
                metrics.spool_bytes(await asyncio.to_thread(self._spool.size))
                if not self._guard.away:  # somebody may have lost it again, and records are spooled since
                    self._behind.clear()
                self._disconnect()
                self._connection = connection
        finally:
            if self._connection is not connection:
                connection.terminate()
        if count:
            emit("spool.replayed", count=count, duration_ms=round((time.monotonic() - started) * 1000))

    async def _replay_file(self, connection: Connection, file: SpoolFile, limit: float) -> int:
        """How many records were written. After a loss it is begun again: what was written already does no harm."""
        batches, count = self._spool.read(file), 0
        while batch := await asyncio.to_thread(next, batches, None):
            await _write_all(connection, batch, limit)
            count += len(batch)
        await asyncio.to_thread(self._spool.finish, file)
        return count

    async def _open_connection(self) -> Connection:
        async with asyncio.timeout(_COMMIT_SECONDS):
            return await self._connect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

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


def _append(spool: Spool, records: Sequence[Record]) -> int:
    """How many bytes are waiting there now."""
    spool.append(records)
    return spool.size()


async def _write_all(connection: Connection, batch: Sequence[Record], limit: float) -> None:
    """One record that is refused must not take the others along. Raises only if the database is away."""
    try:
        await _commit(connection, batch, limit)
    except Exception as error:
        if _is_away(connection, error):
            raise
    else:
        return
    for record in batch:
        try:
            await _commit(connection, [record], limit)
        except Exception as error:
            if _is_away(connection, error):
                raise
            emit("recorder.failed", count=1, reason=type(error).__name__)


async def _commit(connection: Connection, batch: Sequence[Record], limit: float) -> None:
    # Without a connection the driver stops waiting for a server that says nothing, also while it rolls back.
    giving_up = asyncio.get_running_loop().call_later(limit, connection.terminate)
    try:
        async with connection.transaction():
            for statement, records in groupby(batch, key=lambda record: record.statement):
                rows: list[tuple[Any, ...]] = [record.arguments for record in records]
                if len(rows) == 1:
                    await connection.execute(statement, *rows[0])
                else:
                    await connection.executemany(statement, rows)
    finally:
        giving_up.cancel()


def _is_away(connection: Connection, error: Exception) -> bool:
    """Otherwise it is about a record: refused by PostgreSQL, or with arguments that the driver cannot send."""
    return connection.is_closed() or (isinstance(error, AWAY_ERRORS) and not isinstance(error, asyncpg.InterfaceError))
