"""What is done about numbers by the clock. The tables say what is to do: a lost turn is found by the next one."""

from __future__ import annotations

from router.jobs import JobRunner
from router.numbers.buying import finish_open_purchases
from router.numbers.drift import look_at_numbers
from router.numbers.fallbacks import rewrite_stale_native
from router.numbers.former import delete_former_registrations, revoke_unused_carrier_keys
from router.numbers.linked import register_linked
from router.services import ApiServices

LOOK = "numbers.look"
PURCHASES = "numbers.purchases"
COUNTERPARTS = "numbers.counterparts"
_EVERY_MINUTE = "* * * * *"


def register_number_jobs(runner: JobRunner, services: ApiServices) -> None:
    runner.repeat(LOOK, _EVERY_MINUTE, lambda: look_at_all_due(services))
    runner.repeat(PURCHASES, _EVERY_MINUTE, lambda: finish_open_purchases(services))
    runner.repeat(COUNTERPARTS, _EVERY_MINUTE, lambda: tidy_counterparts(services))


async def look_at_all_due(services: ApiServices) -> None:
    """Handful by handful, as long as there are any."""
    while await look_at_numbers(services):
        pass


async def tidy_counterparts(services: ApiServices) -> None:
    """What is there for nothing goes; what is missing for linked assistants, or out of date, comes."""
    await delete_former_registrations(services)
    await revoke_unused_carrier_keys(services)
    await register_linked(services)
    await rewrite_stale_native(services)
