"""Makes what happened on calls durable: collects records and commits many at a time over its own connection.

`note` does not wait: what is noted is written with the next flush, so that a step of a call takes one commit, or else soon
after. `flush` waits until everything noted before is durable: in the database or, while that is away, in the spool.
Meanwhile the recorder tries to reconnect, then replays the spool in order. If neither has room, records wait here, up to a
limit, and are tried again. A caller never waits longer than the flush's limit.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Final, NamedTuple, TypeAlias

import asyncpg
from asyncpg import Connection

from router.calls.spool import Spool, SpoolFile
from router.store.calls.records import EndCall, Record, in_few_statements, write_together
from router.store.guard import Guard
from router.store.pool import AWAY_ERRORS
from router.telemetry import emit, metrics, traces

_MOST_IN_A_BATCH: Final = 500
_MOST_WAITING: Final = 20_000
_RETRY_SECONDS: Final = 1.0
_CLOSING_SECONDS: Final = 5.0
_SOON_SECONDS: Final = 0.5
_COMMIT_SECONDS: Final = 1.5  # less than a flush's limit, so that a silent server leaves time to spool
_DEADLOCKS: Final = 2  # after which a batch is tried again; after more it is spooled
_REPLAY_SECONDS: Final = 5.0  # for a batch that no flush waits for
_LAST_BYTES: Final = 256 * 1024  # of the spool; they are replayed while new records wait


Tell: TypeAlias = Callable[[str], None]
"""Called with the outcome of a call that has ended, unless it had before."""


class _Noted(NamedTuple):
    record: Record
    spool_only: bool = False
    tell: Tell | None = None  # of an EndCall


class _Flush(NamedTuple):
    goal: int  # how many records are settled when it is done
    durable: asyncio.Future[bool]
    origin: traces.Origin | None


class Recorder:
    """The batch writer. `connect` opens its connections. The recorder tells `guard` when the database is back."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], guard: Guard, spool: Spool) -> None:
        self._connect = connect
        self._guard = guard
        self._spool = spool
        self._connection: Connection | None = None
        self._waiting: deque[_Noted] = deque()
        self._batch: list[_Noted] = []  # taken from `_waiting`, and tried until it is durable
        self._noted = 0  # how many records were ever noted, and how many of these are durable, refused or dropped
        self._settled = 0
        self._dropped = 0  # since that was last logged
        self._stuck = False
        self._wake = asyncio.Event()
        self._soon: asyncio.TimerHandle | None = None  # wakes the writer if no flush does
        self._behind = asyncio.Event()  # the database lacks something
        self._turn = asyncio.Lock()  # held to append to the spool, or to decide that it is empty
        self._flushes: deque[_Flush] = deque()  # that wait, in order
        self._closing = asyncio.Event()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        guard.when_lost(self._behind.set)

    @property
    def spooling(self) -> bool:
        """Whether records are missing in the database because it was away."""
        return self._behind.is_set()

    def start(self) -> None:
        if self._spool.take() is not None:
            self._behind.set()
        metrics.database_up("records", not self._guard.away)
        self._tasks = (
            asyncio.create_task(self._write(), name="recorder"),
            asyncio.create_task(self._catch_up(), name="spool"),
        )

    async def aclose(self) -> None:
        """Write what is waiting, within a few seconds, and stop."""
        self._closing.set()
        self._wake.set()
        if self._tasks:
            writing, catching_up = self._tasks
            await asyncio.wait({writing}, timeout=_CLOSING_SECONDS)
            writing.cancel()
            catching_up.cancel()
            self._disconnect()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._soon is not None:
            self._soon.cancel()
        if left := len(self._batch) + len(self._waiting):
            emit("recorder.failed", count=left, reason="closing")
        self._spool.close()

    def note(self, *records: Record, spool_only: bool = False) -> None:
        """Keep records for the next commit.

        `spool_only`: the database has them already, but may lose its last commits in a crash. So they wait for the records
        that follow, and go into the spool with these.
        """
        for record in records:
            self._add(_Noted(record, spool_only))

    def note_end(self, end: EndCall, tell: Tell) -> None:
        """Keep the end of a call for the next commit. `tell` is called once it is durable, before any flush returns.

        It then runs as part of the request that noted the end, for its log lines.
        """
        self._add(_Noted(end, tell=_within(copy_context(), tell)))

    def _add(self, noted: _Noted) -> None:
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(noted)
        self._noted += 1
        if self._soon is None and not noted.spool_only:
            self._soon = asyncio.get_running_loop().call_later(_SOON_SECONDS, self._write_soon)

    def _write_soon(self) -> None:
        self._soon = None
        self._wake.set()

    async def flush(self, limit: float) -> bool:
        """Wait at most `limit` seconds until everything noted so far is durable. False if it is not."""
        if self._settled >= self._noted:
            return True
        if self._stuck:
            return False
        self._show_depth()
        with traces.span("records") as span:
            durable = await self._wait_for_flush(limit)
            span.set(durable=durable)
        return durable

    async def _wait_for_flush(self, limit: float) -> bool:
        loop = asyncio.get_running_loop()
        flush = _Flush(self._noted, loop.create_future(), traces.origin())
        self._flushes.append(flush)
        self._wake.set()
        giving_up = loop.call_later(max(limit, 0), _give_up, flush)
        try:
            return await flush.durable
        finally:
            giving_up.cancel()

    async def _write(self) -> None:
        while True:
            self._wake.clear()
            if self._batch or self._waiting:
                durable = await self._settle_next()
                self._report_dropped()
                if not durable and self._closing.is_set():
                    return
                if not durable:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._closing.wait(), _RETRY_SECONDS)
            elif self._closing.is_set():
                return
            else:
                await self._wake.wait()

    async def _settle_next(self) -> bool:
        """Make one batch durable. False if neither the database nor the spool takes it."""
        if not self._batch:
            self._batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_IN_A_BATCH))]
        started = time.monotonic()
        waiting = [flush.origin for flush in self._flushes]
        with traces.together("records written", waiting, count=len(self._batch)) as span:
            async with self._turn:
                ended = await self._write_batch()
                durable = ended is not None or await self._spool_batch()
            span.set(durable=durable)
        if not durable:
            self._stuck = True
            self._answer(len(self._flushes))
            return False
        metrics.recorder_flushed(time.monotonic() - started, len(self._batch))
        self._tell(ended)
        self._batch = []
        self._show_depth()
        self._settled = self._noted - len(self._waiting)
        self._stuck = False
        self._answer(sum(1 for flush in self._flushes if flush.goal <= self._settled))
        return True

    def _tell(self, ended: Mapping[str, str] | None) -> None:
        """`ended`: the outcomes of the calls that the batch has ended. None: it is in the spool, and the calls may be over
        already.
        """
        for record, _, tell in self._batch:
            if tell is None or not isinstance(record, EndCall):
                continue
            if outcome := record.outcome if ended is None else ended.get(record.call_id):
                tell(outcome)

    async def _write_batch(self) -> dict[str, str] | None:
        """What `write_records` returns. None if the database is away, or the spool has to be replayed first."""
        if self.spooling:
            return None
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._open_connection()
            return await _write_all(
                self._connection, [each.record for each in self._batch if not each.spool_only], _COMMIT_SECONDS
            )
        except Exception as error:  # noqa: BLE001  the records are kept, whatever fails
            self._disconnect()
            self._lose(error)
            return None

    async def _spool_batch(self) -> bool:
        try:
            metrics.spool_bytes(await asyncio.to_thread(_append, self._spool, [each.record for each in self._batch]))
        except Exception as error:  # noqa: BLE001  a full disk, or a value that cannot be written there: the records wait here
            emit("recorder.failed", count=0, reason=type(error).__name__)
            return False
        return True

    async def _catch_up(self) -> None:
        """Whenever the database lacks records: replay the spool until it has them all."""
        while True:
            await self._behind.wait()
            try:
                await self._replay()
            except Exception as error:  # noqa: BLE001  nothing is lost: the files are still there
                self._lose(error)
                await asyncio.sleep(_RETRY_SECONDS)

    def _lose(self, error: Exception) -> None:
        metrics.database_up("records", False)
        self._guard.lost(type(error).__name__)

    async def _replay(self) -> None:
        started, count = time.monotonic(), 0
        connection = await self._open_connection()
        try:
            self._guard.back()
            while await asyncio.to_thread(self._spool.size) > _LAST_BYTES:
                async with self._turn:
                    file = await asyncio.to_thread(self._spool.take)
                if file is None:
                    break  # the rest belongs to other processes
                count += await self._replay_file(connection, file, _REPLAY_SECONDS)
            async with self._turn:
                while file := await asyncio.to_thread(self._spool.take):
                    count += await self._replay_file(connection, file, _COMMIT_SECONDS)
                metrics.spool_bytes(await asyncio.to_thread(self._spool.size))
                if not self._guard.away:  # it may be lost again, and records spooled since
                    self._behind.clear()
                self._disconnect()
                self._connection = connection
            metrics.database_up("records", True)
        finally:
            if self._connection is not connection:
                connection.terminate()
        if count:
            emit("spool.replayed", count=count, duration_ms=round((time.monotonic() - started) * 1000))

    async def _replay_file(self, connection: Connection, file: SpoolFile, limit: float) -> int:
        """Returns how many records were written. After a loss it starts over: writing a record twice does no harm."""
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

    def _answer(self, count: int) -> None:
        """Answer the first of the flushes, unless they have given up."""
        for flush in [self._flushes.popleft() for _ in range(count)]:
            if not flush.durable.done():
                flush.durable.set_result(flush.goal <= self._settled)

    def _report_dropped(self) -> None:
        """One line for all of them, so that a full recorder does not flood the log."""
        if self._dropped:
            emit("recorder.failed", count=self._dropped, reason="full")
            self._dropped = 0

    def _show_depth(self) -> None:
        metrics.recorder_queue(len(self._batch) + len(self._waiting))


def _within(context: Context, tell: Tell) -> Tell:
    return lambda outcome: context.run(tell, outcome)


def _give_up(flush: _Flush) -> None:
    if not flush.durable.done():
        flush.durable.set_result(False)


def _append(spool: Spool, records: Sequence[Record]) -> int:
    """Returns the spool's size in bytes."""
    spool.append(records)
    return spool.size()


async def _write_all(connection: Connection, batch: Sequence[Record], limit: float) -> dict[str, str]:
    """Write what the database does not refuse. Raises only if it is away. Returns what `write_records` returns."""
    ended: dict[str, str] = {}
    for records in in_few_statements(batch):
        ended |= await _write_some(connection, records, limit)
    return ended


async def _write_some(connection: Connection, records: Sequence[Record], limit: float) -> dict[str, str]:
    """By one statement; if that is refused, by one for each half, so that a record that is to blame takes none along."""
    try:
        return await _commit_again(connection, records, limit)
    except Exception as error:
        if _is_away(connection, error):
            raise
        if len(records) == 1:
            emit("recorder.failed", count=1, reason=type(error).__name__)
            return {}
        middle = len(records) // 2
        first = await _write_some(connection, records[:middle], limit)
        return first | await _write_some(connection, records[middle:], limit)


async def _commit_again(connection: Connection, records: Sequence[Record], limit: float) -> dict[str, str]:
    """Another process may write records of the same calls in another order. The server stops one of the two (a deadlock),
    and no record is to blame: it is tried again.
    """
    for _ in range(_DEADLOCKS):
        with suppress(asyncpg.TransactionRollbackError):
            return await _commit(connection, records, limit)
    return await _commit(connection, records, limit)


async def _commit(connection: Connection, records: Sequence[Record], limit: float) -> dict[str, str]:
    # Without its connection, the driver stops waiting for a silent server.
    giving_up = asyncio.get_running_loop().call_later(limit, connection.terminate)
    try:
        return await write_together(connection, records)
    finally:
        giving_up.cancel()


def _is_away(connection: Connection, error: Exception) -> bool:
    """Otherwise the error is about a record that PostgreSQL refuses or the driver cannot encode."""
    if connection.is_closed() or isinstance(error, asyncpg.TransactionRollbackError):
        return True
    return isinstance(error, AWAY_ERRORS) and not isinstance(error, asyncpg.InterfaceError)
