"""What is done for numbers every minute. The tables hold the work to do: what one run misses, the next one finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from router.jobs import JobRunner
from router.numbers.buying import Purchases
from router.numbers.drift import DriftWatch
from router.numbers.fallbacks import Fallbacks
from router.numbers.leftover_keys import LeftoverKeys
from router.numbers.registrations import Registrations

LOOK: Final = "numbers.look"
PURCHASES: Final = "numbers.purchases"
REGISTRATIONS: Final = "numbers.registrations"
_EVERY_MINUTE: Final = "* * * * *"


@dataclass(frozen=True, slots=True)
class NumberJobs:
    drift: DriftWatch
    purchases: Purchases
    registrations: Registrations
    fallbacks: Fallbacks
    leftover_keys: LeftoverKeys

    def register(self, runner: JobRunner) -> None:
        runner.repeat(LOOK, _EVERY_MINUTE, self.look_at_all_due)
        runner.repeat(PURCHASES, _EVERY_MINUTE, self.purchases.finish_open)
        runner.repeat(REGISTRATIONS, _EVERY_MINUTE, self.tidy_registrations)

    async def look_at_all_due(self) -> None:
        while await self.drift.look_at_numbers():
            pass

    async def tidy_registrations(self) -> None:
        """Delete unused registrations and carrier keys, register numbers, deliver stale fallbacks."""
        await self.registrations.former.delete()
        await self.registrations.credentials.revoke_unused()
        await self.leftover_keys.revoke_leftovers()
        await self.registrations.register_linked()
        await self.fallbacks.rewrite_stale_native()
