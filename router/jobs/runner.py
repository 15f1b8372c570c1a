"""Runs jobs with PgQueuer: takes them, keeps them alive, tries again, and says so when one is given up.

A process that dies loses nothing: its jobs are taken by another one once their heartbeat is old. Whatever a handler
raises is turned into our own words before PgQueuer sees it, because PgQueuer writes tracebacks into the database.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeAlias

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Job as QueuedJob
from pgqueuer.domain.models import Schedule

from router.jobs.retry import Again, GiveUp, RetryPolicy
from router.store.pool import COMMAND_SECONDS, DATABASE_ERRORS
from router.telemetry import emit, metrics

_RECONNECT_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 30.0  # a notification wakes it sooner
_STOP_SECONDS: Final = 10.0  # for what is being done when the process is told to stop
_CONNECTIONS: Final = 4
_BATCH: Final = 10


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work as its handler sees it. `tried` counts this attempt, too."""

    name: str
    payload: Mapping[str, Any]
    tried: int


Handler: TypeAlias = Callable[[Job], Awaitable[None]]
Tick: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Kind:
    handle: Handler
    policy: RetryPolicy
    at_once: int
    given_up: Handler | None


@dataclass(slots=True)
class JobRunner:
    """Handlers by name, and the loop. Register first, then run. `dsn` must not go through a transaction pooler.

    `heartbeat` in seconds: a job that shows no sign of life for that long is somebody else's.
    """

    dsn: str
    heartbeat: float = 30.0
    _kinds: dict[str, _Kind] = field(default_factory=dict)
    _ticks: dict[str, tuple[str, Tick]] = field(default_factory=dict)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _queue: PgQueuer | None = None

    def handle(
        self,
        name: str,
        handler: Handler,
        *,
        policy: RetryPolicy | None = None,
        at_once: int = 10,
        given_up: Handler | None = None,
    ) -> None:
        """Who does jobs of this name; `at_once` over all processes. `given_up` hears of one that is not tried again."""
        self._kinds[name] = _Kind(handler, policy or RetryPolicy(), at_once, given_up)

    def repeat(self, name: str, cron: str, tick: Tick) -> None:
        """Something that is due by the clock (UTC), done by one process each time."""
        self._ticks[name] = (cron, tick)

    async def run(self) -> None:
        """Until `stop`, whatever happens to the database. Cancelling it is safe, too: what is begun is done again."""
        while not self._stopping.is_set():
            try:
                await self._run_connected()
            except DATABASE_ERRORS:
                pass  # whoever asks the database for a call says so
            except Exception as error:  # noqa: BLE001  the queue must not stay still because of one bad moment
                emit("jobs.failed", exception=error)
            if not self._stopping.is_set():
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def stop(self) -> None:
        """Take no more jobs; what is being done goes back into the queue unless it ends soon."""
        self._stopping.set()
        if self._queue is not None:
            self._queue.shutdown.set()

    async def _run_connected(self) -> None:
        async with asyncpg.create_pool(
            self.dsn,
            min_size=2,
            max_size=_CONNECTIONS,
            command_timeout=COMMAND_SECONDS,
            timeout=COMMAND_SECONDS,
            server_settings={"application_name": "callrouter-jobs"},
        ) as pool:
            queue = self._queue = PgQueuer.from_asyncpg_pool(pool)
            for name, kind in self._kinds.items():
                queue.entrypoint(name, concurrency_limit=kind.at_once)(self._guard(name, kind))
            for name, (cron, tick) in self._ticks.items():
                queue.schedule(name, cron)(_guard_tick(name, tick))
            if self._stopping.is_set():
                return
            await queue.run(
                dequeue_timeout=timedelta(seconds=_POLL_SECONDS),
                batch_size=_BATCH,
                heartbeat_timeout=timedelta(seconds=self.heartbeat),
                shutdown_on_listener_failure=True,
            )

    def _guard(self, name: str, kind: _Kind) -> Callable[[QueuedJob], Awaitable[None]]:
        async def work(queued: QueuedJob) -> None:
            job = Job(name, json.loads(queued.payload or b"{}"), queued.attempts + 1)
            wait = await self._attempt(kind, job)
            if wait is not None:
                raise RetryRequested(delay=wait, reason="again")

        return work

    async def _attempt(self, kind: _Kind, job: Job) -> timedelta | None:
        """How long until the next attempt; None: there is none to come."""
        working = asyncio.ensure_future(kind.handle(job))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await asyncio.wait({working}, timeout=_STOP_SECONDS)
        finally:
            stopping.cancel()
            unfinished = not working.done()
            working.cancel()
        if unfinished:
            await asyncio.gather(working, return_exceptions=True)
            return timedelta()
        return await self._judge(kind, job, working)

    async def _judge(self, kind: _Kind, job: Job, working: asyncio.Future[None]) -> timedelta | None:
        if working.cancelled():
            return timedelta()
        error = working.exception()
        match error:
            case None:
                metrics.job_finished(job.name, "done")
                return None
            case Again():
                metrics.job_finished(job.name, "again")
                return timedelta(seconds=error.seconds)
            case GiveUp():
                wait, reason = None, error.reason
            case _:
                wait, reason = kind.policy.wait(job.tried), type(error).__name__
        emit(
            "job.failed" if wait is not None else "job.given_up",
            job=job.name,
            tried=job.tried,
            reason=reason,
            agency_id=job.payload.get("agency_id"),
            exception=None if isinstance(error, GiveUp) else error,
        )
        metrics.job_finished(job.name, "failed" if wait is not None else "given_up")
        if wait is None and kind.given_up is not None:
            await kind.given_up(job)
        return wait


def _guard_tick(name: str, tick: Tick) -> Callable[[Schedule], Awaitable[None]]:
    async def work(_: Schedule) -> None:
        try:
            await tick()
        except DATABASE_ERRORS:
            return  # the next time may go well
        except Exception as error:  # noqa: BLE001  likewise
            emit("job.failed", job=name, tried=1, reason=type(error).__name__, exception=error)

    return work
