"""Looking at the carrier's configuration of every number, and mending what is no longer as we made it.

A number is due ten minutes after its last look, whoever is free takes it, and no account gets more than a few
requests at a time: one that asks for a pause gets it. Stale fallback addresses are delivered here, too.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from adapters.base import Account, CarrierNumber, ErrorKind, ProviderError
from router.numbers.accounts import renew_subaccount
from router.numbers.carriers import REQUEST_SECONDS, open_account
from router.services import ApiServices
from router.store.numbers.checks import (
    lease_due_numbers,
    note_look,
    note_new_sid,
    postpone_account,
    postpone_look,
)
from router.store.numbers.numbers import Number, confirm_fallback
from router.telemetry import emit

EVERY: Final = timedelta(minutes=10)
_SOON: Final = timedelta(minutes=2)  # after a look that saw nothing
_PAUSE: Final = 60.0  # seconds, for a carrier that asks for a pause and does not say how long
_OF_AN_ACCOUNT: Final = 20
_AT_A_TIME: Final = 100
_ACCOUNTS_AT_ONCE: Final = 5
GONE: Final = "gone"
NO_TOKEN: Final = "no token for its account"  # noqa: S105  said of one that is not there
TOKEN_REFUSED: Final = "the token of its account is refused"  # noqa: S105


async def look_at_numbers(services: ApiServices) -> int:
    """Look at those that are due. How many there were: fewer than before means that the rest can wait."""
    due = await lease_due_numbers(
        services.database.settings, services.clock(), of_an_account=_OF_AN_ACCOUNT, limit=_AT_A_TIME
    )
    by_account: dict[tuple[str, str], list[Number]] = defaultdict(list)
    for number in due:
        by_account[number.agency_id, number.account_sid].append(number)
    gate = asyncio.Semaphore(_ACCOUNTS_AT_ONCE)

    async def look(numbers: Sequence[Number]) -> None:
        async with gate:
            await _look_at_account(services, numbers)

    await asyncio.gather(*(look(numbers) for numbers in by_account.values()))
    return len(due)


async def _look_at_account(services: ApiServices, numbers: Sequence[Number]) -> None:
    """One after the other, until the carrier asks for a pause."""
    for place, number in enumerate(numbers):
        try:
            await _look(services, number)
        except ProviderError as error:
            now = services.clock()
            if error.kind is ErrorKind.RATE_LIMITED:
                pause = timedelta(seconds=error.retry_after or _PAUSE)
                held = [each.e164 for each in numbers[place:]]
                await postpone_account(services.database.settings, number.account_sid, held, now + pause)
                return
            await postpone_look(services.database.settings, number.agency_id, number.e164, now + _SOON)


async def _look(services: ApiServices, number: Number) -> None:
    """Raises ProviderError where nothing was seen."""
    account = await open_account(services, number.agency_id, number.account_sid)
    if account is None:
        await _note(services, number, NO_TOKEN)
        return
    try:
        drift = await _compare_and_mend(services, account, number)
    except ProviderError as error:
        if error.kind is not ErrorKind.KEY_REJECTED:
            raise
        renewed = await _renew(services, number)
        drift = TOKEN_REFUSED if renewed is None else await _compare_and_mend(services, renewed, number)
    await _note(services, number, drift)


async def _renew(services: ApiServices, number: Number) -> Account | None:
    """A subaccount may have been given another token; None for any other account. Raises ProviderError."""
    if number.account != "platform":
        return None
    try:
        renewed = await renew_subaccount(services, number.agency_id)
    except ProviderError as error:
        if error.kind is not ErrorKind.KEY_REJECTED:
            raise
        return None
    return renewed if renewed is not None and renewed.sid == number.account_sid else None


async def _compare_and_mend(services: ApiServices, account: Account, number: Number) -> str | None:
    """What is left of the drift. Raises ProviderError."""
    there = await services.carrier.find_number_by_sid(account, number.number_sid, REQUEST_SECONDS)
    if there is None:
        there = await services.carrier.find_number(account, number.e164, REQUEST_SECONDS)
    if there is None:
        return GONE
    if there.sid != number.number_sid:
        await note_new_sid(services.database.settings, number, there.sid)
    differences = find_differences(there, number)
    if not differences:
        await _confirm(services, number)
        return None
    stale_only = differences == ["fallback_url"] and number.fallback_state == "stale"
    if not stale_only and number.drift is None:
        _tell(number, ", ".join(differences))
    mended = await services.carrier.configure_number(
        account,
        there.sid,
        voice_url=number.voice_url,
        fallback_url=number.fallback_url,
        status_url=number.status_url,
        limit=REQUEST_SECONDS,
    )
    left = find_differences(mended, number)
    if left:
        return ", ".join(left)
    await _confirm(services, number)
    return None


def find_differences(there: CarrierNumber, number: Number) -> list[str]:
    """What the carrier has otherwise than we want it; a trunk or an application makes it ignore our address."""
    found = {
        "voice_url": there.voice_url != number.voice_url,
        "voice_method": there.voice_method != "POST",
        "fallback_url": there.fallback_url != number.fallback_url,
        "fallback_method": there.fallback_method != "POST",
        "status_url": there.status_url != number.status_url,
        "status_method": there.status_method != "POST",
        "trunk": there.trunk_sid is not None,
        "application": there.application_sid is not None,
    }
    return [name for name, differs in found.items() if differs]


async def _confirm(services: ApiServices, number: Number) -> None:
    if number.fallback_state == "stale":
        await confirm_fallback(services.database.settings, number.agency_id, number.e164, number.fallback_url)


async def _note(services: ApiServices, number: Number, drift: str | None) -> None:
    if drift is not None and drift != number.drift:
        _tell(number, drift)
    now = services.clock()
    await note_look(services.database.settings, number, drift, now, now + EVERY)


def _tell(number: Number, reason: str) -> None:
    emit(
        "number.drifted",
        agency_id=number.agency_id,
        client_id=number.client_id,
        number=number.e164,
        reason=reason,
    )
