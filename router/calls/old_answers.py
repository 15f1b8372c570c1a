"""Erases stored answers that no request can ask for any more. Sealed, they are the largest part of a call.

A repeated request gets the answer to its step for a minute. While the call lasts, the answers also say where it stands and
to which addresses it was redirected; after its end, a provider's report may ask that once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from router.clock import Clock
from router.jobs import JobRunner
from router.store.calls.old_answers import erase_answers
from router.store.pool import Database

ERASE_ANSWERS: Final = "calls.erase_answers"

# After the call's end: Twilio repeats within seconds, providers report within minutes.
_KEPT: Final = timedelta(minutes=15)
_LONGEST_CALL: Final = timedelta(days=1)  # by then a call is over, whether its end was seen or not
_AT_ONCE: Final = 500
_BATCHES: Final = 100  # a minute


@dataclass(frozen=True, slots=True)
class OldAnswers:
    database: Database
    clock: Clock

    def register(self, runner: JobRunner) -> None:
        runner.repeat(ERASE_ANSWERS, "* * * * *", self.erase, inside=True)

    async def erase(self) -> None:
        """Raises DATABASE_ERRORS."""
        now = self.clock()
        for _ in range(_BATCHES):
            erased = await erase_answers(
                self.database.settings, ended_before=now - _KEPT, begun_before=now - _LONGEST_CALL, limit=_AT_ONCE
            )
            if erased < _AT_ONCE:
                return
