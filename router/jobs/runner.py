"""Runs jobs with PgQueuer: takes them, sends heartbeats, retries, and reports those that it gives up.

The jobs of a process that dies are taken by another one once their heartbeat is old. Exceptions of handlers end here:
they may hold what must not enter a log or the database.

PgQueuer is imported when jobs begin, in a thread: that takes a tenth of the time in which a process starts, and a process
without jobs does not need it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from router.jobs.retry import Again, GiveUp, RetryPolicy
from router.store.pool import AWAY_ERRORS, DATABASE_ERRORS, Pool, open_plain_pool
from router.telemetry import emit, metrics, traces

if TYPE_CHECKING:
    from pgqueuer.models import Job as QueuedJob
    from pgqueuer.models import Schedule

_RECONNECT_SECONDS: Final = 1.0
_TOLD_AFTER: Final = 30  # failures, one after the other
_HAS_RUN_SECONDS: Final = 60.0  # longer than a connection that fails takes
_POLL_SECONDS: Final = 1.0  # new jobs wake it; retries, and jobs that a dead process left, do not
_STOP_SECONDS: Final = 10.0  # for running jobs when the process is told to stop
_LOOK_SECONDS: Final = 15.0  # how often the metrics learn what waits
_WAIT_SECONDS: Final = 5.0  # until a job that had to wait is looked at again
_CONNECTIONS: Final = 4  # one listens
_BATCH: Final = 10
_CLEAN_UP: Final = "jobs.clean_up"
_CLEAN_UP_AT: Final = "*/10 * * * *"
_UNTOLD: Final = timedelta(minutes=1)  # until a `given_up` handler that failed is called again


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work as its handler sees it. `tried`: attempts since the last success, including this one."""

    name: str
    payload: Mapping[str, Any]
    tried: int


Handler: TypeAlias = Callable[[Job], Awaitable[None]]
Tick: TypeAlias = Callable[[], Awaitable[None]]
MustWait: TypeAlias = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class _Kind:
    handle: Handler
    policy: RetryPolicy
    at_once: int
    given_up: Handler | None


class _Stopped(Exception):  # noqa: N818  not an error: the job goes back into the queue
    """The process ends before the work does."""


@dataclass(slots=True)
class JobRunner:
    """Handlers by name, and the loop. Register first, then run. `dsn` must not go through a transaction pooler.

    `heartbeat` in seconds: a job without a heartbeat for that long is taken by another process. `must_wait` is asked before
    each piece of work: while it says so, jobs stay in the queue, except for scheduled work that stays `inside`.
    """

    dsn: str
    heartbeat: float = 30.0
    must_wait: MustWait | None = None
    _kinds: dict[str, _Kind] = field(default_factory=dict)
    _ticks: dict[str, tuple[str, Tick]] = field(default_factory=dict)
    _inside: set[str] = field(default_factory=set)
    _listeners: list[Tick] = field(default_factory=list)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _over: asyncio.Event = field(default_factory=asyncio.Event)  # work that began on this connection has to end

    def handle(
        self,
        name: str,
        handler: Handler,
        *,
        policy: RetryPolicy | None = None,
        at_once: int = 10,
        given_up: Handler | None = None,
    ) -> None:
        """Register the handler for jobs of this name; `at_once` over all processes. `given_up` gets those not tried again."""
        self._kinds[name] = _Kind(handler, policy or RetryPolicy(), at_once, given_up)

    def repeat(self, name: str, cron: str, tick: Tick, *, inside: bool = False) -> None:
        """Register scheduled work (UTC), done by one process each time. `inside`: it changes nothing but our database."""
        if inside:
            self._inside.add(name)
        self._ticks[name] = (cron, tick)

    def beside(self, listener: Tick) -> None:
        """Register a task that runs as long as jobs do: it listens for what makes jobs necessary."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Run until `stop` or a cancellation; reconnect when the database is lost."""
        metrics.register_jobs((*self._kinds, *self._ticks, _CLEAN_UP))
        listening = [asyncio.ensure_future(listener()) for listener in self._listeners]
        try:
            await asyncio.to_thread(import_module, "router.jobs.queue")
            await self._run_on()
        finally:
            for each in listening:
                each.cancel()
            await asyncio.gather(*listening, return_exceptions=True)

    async def _run_on(self) -> None:
        from pgqueuer.errors import FailingListenerError  # noqa: PLC0415

        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                await self._run_connected()
            except (*DATABASE_ERRORS, FailingListenerError) as error:
                # Calls report an outage. But they may use another address, and what is wrong with this one may stay wrong.
                failures = failures + 1 if time.monotonic() - began < _HAS_RUN_SECONDS else 1
                if failures == _TOLD_AFTER:
                    emit("jobs.failed", exception=error)
            except Exception as error:  # noqa: BLE001  one error must not stop the queue
                emit("jobs.failed", exception=error)
            await _wait_for(self._stopping, _RECONNECT_SECONDS)

    async def stop(self) -> None:
        """Take no more jobs; running ones go back into the queue unless they end soon."""
        self._stopping.set()
        self._over.set()

    async def _run_connected(self) -> None:
        from pgqueuer import AsyncpgPoolDriver, PgQueuer  # noqa: PLC0415

        from router.jobs.queue import open_queue  # noqa: PLC0415
        from router.store.queue_names import QUEUE  # noqa: PLC0415

        async with open_plain_pool(self.dsn, _CONNECTIONS, "callrouter-jobs") as pool:
            await pool.fetchval("SELECT 1")  # PgQueuer would log errors while the database is away
            driver = AsyncpgPoolDriver(pool)
            queries = open_queue(driver)
            queue = PgQueuer(driver, QUEUE.channel, queries=queries)
            self._over = queries.lost = queue.shutdown
            for name, kind in self._kinds.items():
                queue.entrypoint(name, concurrency_limit=kind.at_once)(_guard(name, kind, self._over, self.must_wait))
            ticks = {**self._ticks, _CLEAN_UP: (_CLEAN_UP_AT, lambda: queries.clear_queue_log(list(self._kinds)))}
            for name, (cron, tick) in ticks.items():
                must_wait = None if name in self._inside or name == _CLEAN_UP else self.must_wait
                queue.schedule(name, cron)(_guard_tick(name, tick, self._over, must_wait))
            if self._stopping.is_set():
                return
            running = asyncio.ensure_future(
                queue.run(
                    dequeue_timeout=timedelta(seconds=min(_POLL_SECONDS, self.heartbeat)),
                    batch_size=_BATCH,
                    heartbeat_timeout=timedelta(seconds=self.heartbeat),
                    shutdown_on_listener_failure=True,
                    log_aggregation_interval=timedelta(),
                )
            )
            looking = asyncio.create_task(_tell_what_waits(pool, list(self._kinds)), name="jobs-waiting")
            try:
                await asyncio.shield(running)
            finally:
                self._over.set()
                await asyncio.wait({running})
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)


async def _tell_what_waits(pool: Pool, names: Collection[str]) -> None:
    """Until it is cancelled. While the database is away, the metrics keep what they last learnt."""
    from router.jobs.queue import find_waiting  # noqa: PLC0415

    while True:
        with suppress(*DATABASE_ERRORS):
            waiting = await find_waiting(pool)
            for name in names:
                metrics.jobs_waiting(name, *waiting.get(name, (0, 0.0)))
        await asyncio.sleep(_LOOK_SECONDS)


def _guard(
    name: str, kind: _Kind, over: asyncio.Event, must_wait: MustWait | None
) -> Callable[[QueuedJob], Awaitable[None]]:
    from pgqueuer import RetryRequested  # noqa: PLC0415

    async def work(queued: QueuedJob) -> None:
        payload = json.loads(queued.payload or b"{}")
        origin = traces.take_carried(payload)
        job = Job(name, payload, queued.attempts + 1)
        with traces.working(name, job.tried, origin) as span:
            span.set(agency_id=payload.get("agency_id"))
            wait = await try_job(queued, job, span)
        if wait is not None:
            raise RetryRequested(delay=wait)

    async def try_job(queued: QueuedJob, job: Job, span: traces.Span) -> timedelta | None:
        """How long until it is tried again; None: it is over."""
        wait: timedelta | None = timedelta()
        try:
            await _stay_in_queue(must_wait)
            await _do_until(over, kind.handle, job)
        except _Stopped:
            span.set(result="stopped")
        except Again as again:
            span.set(result="again")
            metrics.job_finished(name, "again")
            wait, queued.attempts = timedelta(seconds=again.seconds), 0
        except Exception as error:  # noqa: BLE001  all exceptions of handlers end here
            span.fail(type(error).__name__)
            wait, queued.attempts = await _judge(kind, job, error), job.tried
            span.set(result="failed" if wait is not None else "given_up")
        else:
            span.set(result="done")
            metrics.job_finished(name, "done")
            return None
        return wait

    return work


async def _stay_in_queue(must_wait: MustWait | None) -> None:
    """Raises Again if the job has to wait."""
    if must_wait is not None and await must_wait():
        raise Again(_WAIT_SECONDS)


def _guard_tick(
    name: str, tick: Tick, over: asyncio.Event, must_wait: MustWait | None
) -> Callable[[Schedule], Awaitable[None]]:
    async def work(_: Schedule) -> None:
        try:
            if must_wait is not None and await must_wait():
                return
            with traces.working(name, 1):
                await _do_until(over, tick)
        except _Stopped:
            return
        except AWAY_ERRORS:  # calls report it; the next run may succeed
            metrics.job_finished(name, "failed")
        except Exception as error:  # noqa: BLE001  a bug, or a statement that the server refuses
            metrics.job_finished(name, "failed")
            emit("job.failed", job=name, tried=1, reason=type(error).__name__, exception=error)
        else:
            metrics.job_finished(name, "done")

    return work


async def _do_until(over: asyncio.Event, work: Callable[..., Awaitable[None]], *given: Job) -> None:
    """Run the work; after `over` it has a few seconds to end. Raises _Stopped if it did not begin or end."""
    if over.is_set():
        raise _Stopped
    working = asyncio.ensure_future(work(*given))
    ending = asyncio.create_task(over.wait())
    try:
        await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await asyncio.wait({working}, timeout=_STOP_SECONDS)
    finally:
        ending.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
    if working.cancelled():
        raise _Stopped
    await working


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _judge(kind: _Kind, job: Job, error: Exception) -> timedelta | None:
    """How long until the next attempt after this failure; None: the job is given up."""
    wait = judge_failure(kind.policy, job, error)
    if wait is None and kind.given_up is not None:
        try:
            await kind.given_up(job)
        except Exception as untold:  # noqa: BLE001  it is called again later
            emit("job.failed", job=job.name, tried=job.tried, reason=type(untold).__name__, exception=untold)
            return _UNTOLD
    return wait


def judge_failure(policy: RetryPolicy, job: Job, error: Exception) -> timedelta | None:
    """How long until the next attempt by that policy, None if there is none. Logs the failure."""
    wait, reason = policy.wait(job.tried), type(error).__name__
    if isinstance(error, GiveUp):
        wait, reason = None, error.reason
    emit(
        "job.failed" if wait is not None else "job.given_up",
        job=job.name,
        tried=job.tried,
        reason=reason,
        agency_id=job.payload.get("agency_id"),
        exception=None if isinstance(error, GiveUp) else error,
    )
    metrics.job_finished(job.name, "failed" if wait is not None else "given_up")
    return wait
