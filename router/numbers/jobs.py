"""What is done about numbers by the clock. The tables say what is to do: a lost turn is found by the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from router.jobs import JobRunner
from router.numbers.buying import Purchases
from router.numbers.carrier_keys import CarrierKeys
from router.numbers.drift import DriftWatch
from router.numbers.fallbacks import Fallbacks
from router.numbers.registrations import Registrations

LOOK: Final = "numbers.look"
PURCHASES: Final = "numbers.purchases"
REGISTRATIONS: Final = "numbers.registrations"
_EVERY_MINUTE: Final = "* * * * *"


@dataclass(frozen=True, slots=True)
class NumberJobs:
    """Tells the runner of them."""

    drift: DriftWatch
    purchases: Purchases
    registrations: Registrations
    carrier_keys: CarrierKeys
    fallbacks: Fallbacks

    def register(self, runner: JobRunner) -> None:
        runner.repeat(LOOK, _EVERY_MINUTE, self.look_at_all_due)
        runner.repeat(PURCHASES, _EVERY_MINUTE, self.purchases.finish_open)
        runner.repeat(REGISTRATIONS, _EVERY_MINUTE, self.tidy_registrations)

    async def look_at_all_due(self) -> None:
        """Handful by handful, as long as there are any."""
        while await self.drift.look_at_numbers():
            pass

    async def tidy_registrations(self) -> None:
        """Delete what no number needs any more; register what linked assistants lack; deliver stale fallbacks."""
        await self.registrations.former.delete()
        await self.carrier_keys.revoke_unused()
        await self.registrations.register_linked()
        await self.fallbacks.rewrite_stale_native()
