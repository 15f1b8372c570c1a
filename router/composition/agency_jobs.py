"""The jobs of agencies' settings: what each is called, and which area does it."""

from __future__ import annotations

from typing import Final

from router.composition.areas import Areas
from router.jobs import JobRunner
from router.keys.retired import erase_retired
from router.mail import Letters

ERASE_RETIRED_KEYS: Final = "keys.erase_retired"
RETENTION: Final = "agencies.retention"


def register_agency_jobs(runner: JobRunner, letters: Letters, areas: Areas) -> None:
    """Tell the runner of all of them, and who writes the letters about agencies' settings."""
    changes = areas.changes
    runner.repeat(ERASE_RETIRED_KEYS, "*/5 * * * *", lambda: erase_retired(changes.database, changes.clock))
    areas.key_rounds.register(runner)
    areas.key_letters.register(letters)
    areas.number_jobs.register(runner)
    areas.sync_work.register(runner)
    areas.message_mail.register(runner, letters)
    runner.repeat(RETENTION, "23 3 * * *", areas.retention.apply)
