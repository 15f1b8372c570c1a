"""A worker that takes a job, says so, and never finishes it: to be killed. `python -m … DSN`."""

from __future__ import annotations

import asyncio
import sys

from router.jobs import Job, JobRunner


async def _hold(job: Job) -> None:
    sys.stdout.write(f"{job.payload['id']}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def _work(dsn: str) -> None:
    runner = JobRunner(dsn, heartbeat=1.0)
    runner.handle("test.work", _hold)
    await runner.run()


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1]))
