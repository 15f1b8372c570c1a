"""The jobs: which there are is listed here, who does them stands in the area that each belongs to.

Calls need none of them. What a job is for, and what happens when it fails, is told in docs/jobs.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from router.composition.agency_jobs import register_agency_jobs
from router.composition.areas import areas_of
from router.composition.outside import Outside, direct_dsn, reveal
from router.composition.sweeping import make_sweep
from router.events.deliveries import Deliveries
from router.jobs import JobRunner
from router.mail import Letters, Mailer, read_smtp_url
from router.settings import Settings
from router.store.events.feed import CHANNEL as CALL_EVENTS
from router.store.notices import Notices


def make_runner(settings: Settings, outside: Outside) -> JobRunner:
    """A runner that knows all jobs."""
    dsn = direct_dsn(settings)
    runner = JobRunner(dsn)
    letters = Letters(_mailer(settings))
    letters.register(runner)
    register_agency_jobs(runner, letters, areas_of(settings, outside))
    deliveries = Deliveries(outside.database, outside.keyring, outside.receivers, outside.clock)
    deliveries.register(runner)
    for sweep in make_sweep(settings, outside):
        sweep.register(runner)
    runner.beside(Notices(dsn, deliveries.hear, CALL_EVENTS).run)
    return runner


def _mailer(settings: Settings) -> Mailer | None:
    if settings.smtp_url is None or settings.mail_from is None:
        return None
    return Mailer(read_smtp_url(reveal(settings.smtp_url)), settings.mail_from)


@asynccontextmanager
async def running_jobs(settings: Settings, outside: Outside) -> AsyncIterator[None]:
    """Jobs are done while the block runs; what is not done by its end goes back into the queue."""
    runner = make_runner(settings, outside)
    running = asyncio.create_task(runner.run(), name="jobs")
    try:
        yield
    finally:
        await runner.stop()
        await running
