"""PgQueuer's own statements, but for what becomes of jobs that did not end well.

PgQueuer deletes a job whose worker is told to stop or loses its connection, and it writes tracebacks, which hold texts
of exceptions, into its log. Here a job leaves the queue only when it is done, and nothing but its state is written down.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any, Final

from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.models import Job, TracebackRecord
from pgqueuer.domain.types import JOB_STATUS
from pgqueuer.ports.driver import Driver

from router.store.queue_names import QUEUE

_FAILURES: Final = "failures"

# With a new id it stands at the end of the line: whoever has much to do does not keep the others waiting.
_GIVE_BACK: Final = """
UPDATE pgqueuer
   SET id = nextval(pg_get_serial_sequence('pgqueuer', 'id')), status = 'queued', execute_after = now() + $2::interval,
       attempts = attempts + 1, headers = $3::text::jsonb, updated = now(), queue_manager_id = NULL, slot = NULL
 WHERE id = $1 AND status = 'picked'
"""

_FORGET_LOG: Final = """
DELETE FROM pgqueuer_log
 WHERE id IN (SELECT id FROM pgqueuer_log WHERE created < now() - $1::interval ORDER BY created LIMIT $2)
"""
_FORGOTTEN_AT_ONCE: Final = 5000


class JobQueries(Queries):
    """What a worker says to the database. `lost` is set once it does not answer: PgQueuer would wait for all jobs
    that are being done before it says so.
    """

    lost: asyncio.Event

    async def dequeue(self, *args: Any, **kwargs: Any) -> list[Job]:
        """Jobs for this worker."""
        try:
            return await super().dequeue(*args, **kwargs)
        except Exception:
            self.lost.set()
            raise

    async def log_jobs(self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]) -> None:
        """Take what is done out of the queue. What was cut short goes back; what could not even be given back comes
        back by itself, once its heartbeat is old.
        """
        done = [ended for ended in job_status if ended[1] == "successful"]
        if done:
            await super().log_jobs(done)
        for job, status, _ in job_status:
            if status == "canceled":
                await self.retry_job(job, timedelta(), None)

    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:  # noqa: ARG002
        """Back into the queue, with what `note_failures` noted."""
        headers = None if job.headers is None else json.dumps(job.headers)
        await self.driver.execute(_GIVE_BACK, job.id, delay, headers)

    async def forget_log(self, age: timedelta) -> None:
        """PgQueuer notes each picking and each end of a job, and keeps these notes for ever."""
        while await self.driver.execute(_FORGET_LOG, age, _FORGOTTEN_AT_ONCE) != "DELETE 0":
            continue


def open_queue(driver: Driver) -> JobQueries:
    return JobQueries(driver, QueryBuilderEnvironment(QUEUE), QueryQueueBuilder(QUEUE), QuerySchedulerBuilder(QUEUE))


def failures_of(job: Job) -> int:
    """How often in a row the job has failed."""
    count = (job.headers or {}).get(_FAILURES)
    return count if isinstance(count, int) else 0


def note_failures(job: Job, count: int) -> None:
    """Kept with the job when it is given back."""
    job.headers = {**(job.headers or {}), _FAILURES: count}
