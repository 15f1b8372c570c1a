"""PgQueuer's statements, with our rules for jobs that did not end well (docs/decisions/pgqueuer.md).

A job leaves the queue only when it is done, and of one that failed nothing but a count is kept.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final

from pgqueuer import Queries
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.domain.models import Job, TracebackRecord
from pgqueuer.domain.types import JOB_STATUS
from pgqueuer.ports import Driver

from router.store.queue_names import QUEUE

# With a new id it stands at the end of the line: an agency that has much to do does not keep the others waiting.
_GIVE_BACK: Final = """
UPDATE pgqueuer
   SET id = nextval(pg_get_serial_sequence('pgqueuer', 'id')), status = 'queued', execute_after = now() + $2::interval,
       attempts = $3, updated = now(), queue_manager_id = NULL, slot = NULL
 WHERE id = $1 AND status = 'picked'
"""


class JobQueries(Queries):
    """What a worker says to the database. `lost` is set once it does not answer: PgQueuer itself would first wait for
    all jobs that are being done.
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
        """Take out of the queue what is done. The rest is taken again once its heartbeat is old."""
        if done := [ended for ended in job_status if ended[1] == "successful"]:
            await super().log_jobs(done)

    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:  # noqa: ARG002
        """Back into the queue. `attempts` is how often in a row it failed, not how often it was taken."""
        await self.driver.execute(_GIVE_BACK, job.id, delay, job.attempts)


def open_queue(driver: Driver) -> JobQueries:
    return JobQueries(driver, QueryBuilderEnvironment(QUEUE), QueryQueueBuilder(QUEUE), QuerySchedulerBuilder(QUEUE))
