"""The jobs: which there are is listed here; who does them stands in the area that each belongs to.

Calls need none of them. What a job is for, and what happens when it fails, is told in docs/jobs.md.
"""

from __future__ import annotations

from typing import Final

from router.app.areas import Areas
from router.app.calls import CallPath
from router.app.outside import Outside, direct_dsn, reveal
from router.events.deliveries import Deliveries
from router.jobs import JobRunner
from router.keys.retired import erase_retired
from router.mail import Letters, Mailer, read_smtp_url
from router.settings import Settings
from router.store.events.feed import CHANNEL as CALL_EVENTS
from router.store.notices import Notices

ERASE_RETIRED_KEYS: Final = "keys.erase_retired"
RETENTION: Final = "agencies.retention"


def make_runner(settings: Settings, outside: Outside, areas: Areas, calls: CallPath) -> JobRunner:
    """A runner that knows all jobs."""
    dsn = direct_dsn(settings)
    runner = JobRunner(dsn)
    letters = Letters(_mailer(settings))
    letters.register(runner)
    runner.repeat(ERASE_RETIRED_KEYS, "*/5 * * * *", lambda: erase_retired(outside.database, outside.clock))
    areas.key_rounds.register(runner)
    areas.key_letters.register(letters)
    areas.number_jobs.register(runner)
    areas.sync_work.register(runner)
    areas.message_mail.register(runner, letters)
    runner.repeat(RETENTION, "23 3 * * *", areas.retention.apply)
    deliveries = Deliveries(outside.database, outside.keyring, outside.receivers, outside.clock)
    deliveries.register(runner)
    calls.overdue.register(runner)
    calls.unseen.register(runner)
    runner.beside(Notices(dsn, deliveries.hear, CALL_EVENTS).run)
    return runner


def _mailer(settings: Settings) -> Mailer | None:
    if settings.smtp_url is None or settings.mail_from is None:
        return None
    return Mailer(read_smtp_url(reveal(settings.smtp_url)), settings.mail_from)
