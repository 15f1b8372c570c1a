"""Checking the carrier's configuration of every number, and correcting what differs from ours.

A number is due ten minutes after its last check, and any process may take it. An account gets one request at a time,
and a pause when the carrier asks for one. Stale fallback addresses are delivered here, too, and an address that a
provider's import wrote is kept before ours is written back.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, Carrier, CarrierNumber
from router.accounts import REQUEST_SECONDS, Accounts
from router.clock import Clock
from router.numbers.configuration import configure, tell_drift
from router.numbers.redirects import Redirects
from router.numbers.subaccounts import Subaccounts
from router.store.numbers.checks import (
    lease_due_numbers,
    note_look,
    note_new_sid,
    postpone_account,
    postpone_look,
)
from router.store.numbers.numbers import Number, confirm_fallback
from router.store.pool import Database

EVERY: Final = timedelta(minutes=10)
_SOON: Final = timedelta(minutes=2)  # after a check that failed
_PAUSE: Final = 60.0  # seconds, when the carrier does not say how long
_OF_AN_ACCOUNT: Final = 20
_AT_A_TIME: Final = 100
_ACCOUNTS_AT_ONCE: Final = 5
GONE: Final = "gone"
NO_TOKEN: Final = "no token for its account"  # noqa: S105  a reason, not a token
TOKEN_REFUSED: Final = "the token of its account is refused"  # noqa: S105


@dataclass(frozen=True, slots=True)
class DriftWatch:
    database: Database
    clock: Clock
    accounts: Accounts
    subaccounts: Subaccounts
    redirects: Redirects
    carrier: Carrier

    async def look_at_numbers(self) -> int:
        """Check a batch of those that are due, and return how many there were."""
        due = await lease_due_numbers(
            self.database.settings, self.clock(), of_an_account=_OF_AN_ACCOUNT, limit=_AT_A_TIME
        )
        by_account: dict[tuple[str, str], list[Number]] = defaultdict(list)
        for number in due:
            by_account[number.agency_id, number.account_sid].append(number)
        gate = asyncio.Semaphore(_ACCOUNTS_AT_ONCE)

        async def look(numbers: Sequence[Number]) -> None:
            async with gate:
                await self._look_at_account(numbers)

        await asyncio.gather(*(look(numbers) for numbers in by_account.values()))
        return len(due)

    async def _look_at_account(self, numbers: Sequence[Number]) -> None:
        """One after the other, until the carrier asks for a pause."""
        for place, number in enumerate(numbers):
            try:
                await self._look(number)
            except ProviderError as error:
                now = self.clock()
                if error.kind is ErrorKind.RATE_LIMITED:
                    pause = timedelta(seconds=error.retry_after or _PAUSE)
                    held = [each.e164 for each in numbers[place:]]
                    await postpone_account(self.database.settings, number.account_sid, held, now + pause)
                    return
                await postpone_look(self.database.settings, number.agency_id, number.e164, now + _SOON)

    async def _look(self, number: Number) -> None:
        """Raises ProviderError when the number could not be checked."""
        account = await self.accounts.open(number.agency_id, number.account_sid)
        if account is None:
            await self._note(number, NO_TOKEN)
            return
        try:
            drift = await self._compare_and_mend(account, number)
        except ProviderError as error:
            if error.kind is not ErrorKind.KEY_REJECTED:
                raise
            renewed = await self._renew(number)
            drift = TOKEN_REFUSED if renewed is None else await self._compare_and_mend(renewed, number)
        await self._note(number, drift)

    async def _renew(self, number: Number) -> Account | None:
        """The account, if it is a subaccount whose token was changed. Raises ProviderError."""
        if number.account != "platform":
            return None
        try:
            renewed = await self.subaccounts.renew(number.agency_id)
        except ProviderError as error:
            if error.kind is not ErrorKind.KEY_REJECTED:
                raise
            return None
        return renewed if renewed is not None and renewed.sid == number.account_sid else None

    async def _compare_and_mend(self, account: Account, number: Number) -> str | None:
        """The drift that remains. Raises ProviderError."""
        there = await self.carrier.find_number_by_sid(account, number.number_sid, REQUEST_SECONDS)
        if there is None:
            there = await self.carrier.find_number(account, number.e164, REQUEST_SECONDS)
        if there is None:
            return GONE
        if there.sid != number.number_sid:
            await note_new_sid(self.database.settings, number, there.sid)
            number = replace(number, number_sid=there.sid)
        differences = find_differences(there, number)
        if differences:
            awaited = await self.redirects.keep(number, there.voice_url)
            stale_only = differences == ["fallback_url"] and number.fallback_state == "stale"
            if not stale_only and not awaited and number.drift is None:
                tell_drift(number, ", ".join(differences))
            differences = find_differences(await configure(self.carrier, account, number), number)
        if differences:
            return ", ".join(differences)
        if number.fallback_state == "stale":
            await confirm_fallback(self.database.settings, number.agency_id, number.e164, number.fallback_url)
        return None

    async def _note(self, number: Number, drift: str | None) -> None:
        if drift is not None and drift != number.drift:
            tell_drift(number, drift)
        now = self.clock()
        await note_look(self.database.settings, number, drift, now, now + EVERY)


def find_differences(there: CarrierNumber, number: Number) -> list[str]:
    """Settings that differ from ours at the carrier; with a trunk or an application it ignores our address."""
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
