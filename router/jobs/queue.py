"""PgQueuer's statements, with our rules for jobs that failed (docs/decisions/pgqueuer.md).

A job leaves the queue only when it is done. Of a failure, only the number of attempts is kept.
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

from router.store.pool import Connection
from router.store.queue_names import QUEUE

# A new id puts the job at the end of the queue: an agency with much work does not delay the others.
_GIVE_BACK: Final = """
UPDATE pgqueuer
   SET id = nextval(pg_get_serial_sequence('pgqueuer', 'id')), status = 'queued', execute_after = now() + $2::interval,
       attempts = $3, updated = now(), queue_manager_id = NULL, slot = NULL
 WHERE id = $1 AND status = 'picked'
"""


_WAITING: Final = """
SELECT entrypoint, count(*) AS waiting, extract(epoch FROM now() - min(execute_after))::float8 AS seconds
  FROM pgqueuer
 WHERE status = 'queued' AND execute_after <= now()
 GROUP BY entrypoint
"""


class JobQueries(Queries):
    """A worker's statements. `lost` is set as soon as the database does not answer: PgQueuer itself would first wait for
    all running jobs.
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
        """Remove the jobs that are done. The rest is taken again once its heartbeat is old."""
        if done := [ended for ended in job_status if ended[1] == "successful"]:
            await super().log_jobs(done)

    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:  # noqa: ARG002
        """Put it back into the queue. `attempts` counts failures in a row, not how often the job was taken."""
        await self.driver.execute(_GIVE_BACK, job.id, delay, job.attempts)


async def find_waiting(connection: Connection) -> dict[str, tuple[int, float]]:
    """How many jobs of each kind are due and wait, and for how many seconds the first of them has been due."""
    rows = await connection.fetch(_WAITING)
    return {row["entrypoint"]: (row["waiting"], row["seconds"]) for row in rows}


def open_queue(driver: Driver) -> JobQueries:
    return JobQueries(driver, QueryBuilderEnvironment(QUEUE), QueryQueueBuilder(QUEUE), QuerySchedulerBuilder(QUEUE))
