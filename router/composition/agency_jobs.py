"""The jobs of agencies' settings: what each is called, and who does it."""

from __future__ import annotations

from router.assistants.work import register_sync_jobs
from router.jobs import JobRunner
from router.keys.letters import register_letters
from router.keys.retired import erase_retired
from router.keys.rounds import register_health_jobs
from router.mail import Letters
from router.messages.mail import register_voicemail_mail
from router.messages.retention import apply_retention
from router.numbers.jobs import register_number_jobs
from router.services import ApiServices

ERASE_RETIRED_KEYS = "keys.erase_retired"
RETENTION = "agencies.retention"


def register_agency_jobs(runner: JobRunner, letters: Letters, services: ApiServices) -> None:
    """Tell the runner of all of them, and who writes the letters about agencies' settings."""
    runner.repeat(ERASE_RETIRED_KEYS, "*/5 * * * *", lambda: erase_retired(services))
    register_health_jobs(runner, services)
    register_letters(letters, services)
    register_number_jobs(runner, services)
    register_sync_jobs(runner, services)
    register_voicemail_mail(runner, letters, services)
    runner.repeat(RETENTION, "23 3 * * *", lambda: apply_retention(services))
