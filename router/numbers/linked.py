"""Counterparts of numbers whose client has an assistant that somebody made at a provider and linked here.

Those of assistants that we keep there ourselves are made together with these.
"""

from __future__ import annotations

from adapters.base import ProviderError
from adapters.portable import Copy
from router.numbers.counterparts import CounterpartError, ensure_counterpart
from router.services import ApiServices
from router.store.assistants.copies import find_usable_copy
from router.store.numbers.numbers import find_number
from router.store.numbers.registrations import list_unregistered


async def register_linked(services: ApiServices) -> None:
    """Raises nothing about a single one: the number shows why, and what may go well later is tried again."""
    pool = services.database.settings
    providers = [name for name, host in services.number_hosts.items() if host.registers_numbers]
    refusing: set[tuple[str, str]] = set()
    for agency_id, e164, provider in await list_unregistered(pool, providers, services.clock()):
        number = await find_number(pool, agency_id, e164)
        if number is None or (agency_id, provider) in refusing:
            continue
        copy: Copy | None = await find_usable_copy(pool, agency_id, number.client_id, provider)
        if copy is None:
            continue
        try:
            await ensure_counterpart(services, number, provider, copy)
        except CounterpartError:
            continue
        except ProviderError:  # what it refuses now it may refuse for the agency's other numbers, too
            refusing.add((agency_id, provider))
