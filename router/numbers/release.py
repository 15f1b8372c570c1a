"""Releasing numbers at their carrier or provider before they are deleted here.

A number on the agency's own account, or taken over from the platform's, stays there without our addresses. One that was
bought here at the platform's expense, or from a voice provider, is given back for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Carrier
from adapters.portable import NativeNumber
from adapters.registry import Providers
from adapters.twilio import ABOUT
from router.accounts import REQUEST_SECONDS, SUBACCOUNT, Accounts
from router.errors import ConflictError
from router.numbers.former import FormerRegistrations
from router.numbers.provider_keys import ProviderKeys
from router.numbers.subaccounts import Subaccounts
from router.own_address import OwnAddress
from router.refusals import explain_refusal, quote
from router.store.numbers.numbers import Number, delete_numbers
from router.store.numbers.registrations import drop_registrations
from router.store.pool import Connection, Database
from router.telemetry import emit

_AT_ONCE: Final = 10  # requests for one request to us
_MOST_AT_ONCE: Final = 200
_LEAVE_SECONDS: Final = 6.0


@dataclass(frozen=True, slots=True)
class Release:
    former: FormerRegistrations
    database: Database
    subaccounts: Subaccounts
    providers: Providers
    provider_keys: ProviderKeys
    accounts: Accounts
    carrier: Carrier
    address: OwnAddress

    async def release_numbers(self, numbers: Sequence[Number]) -> None:
        """May be repeated. Raises DomainError; then some may be released."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def release(number: Number) -> None:
            async with gate:
                await self._release(number)

        for outcome in await asyncio.gather(*(release(number) for number in numbers), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def leave_provider(self, agency_id: str, provider: str) -> None:
        """Delete our registrations of the agency's numbers while its key is there, for at most a few seconds.

        Raises no ProviderError. A registration that remains is useless once its carrier key is revoked. None is deleted
        while it is open whether it is ours.
        """
        async with self.database.settings.acquire() as connection, connection.transaction():
            await drop_registrations(connection, agency_id, provider=provider)
        if self.address.differing is not None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self.former.delete(agency_id=agency_id, provider=provider, limit=_MOST_AT_ONCE)

    async def leave_for_good(self, agency_id: str, numbers: Sequence[Number]) -> None:
        """Release all that is outside, before the agency is deleted. Raises DomainError; then some may be gone.

        Registrations that cannot be deleted now stay on the agency's own account there, and are useless.
        """
        await self.release_numbers(numbers)
        async with self.database.settings.acquire() as connection, connection.transaction():
            await forget_numbers(connection, numbers)
        await self.former.delete(agency_id=agency_id, limit=len(numbers) * len(self.providers))
        try:
            await self.subaccounts.close(agency_id)
        except ProviderError as error:
            raise explain_refusal(ABOUT, error) from None

    async def _release(self, number: Number) -> None:
        """Raises DomainError."""
        try:
            if number.is_elsewhere:
                return
            if number.is_native:
                await self._release_native(number)
            elif number.account == "platform" and number.bought:
                await self._release_at_carrier(number)
            else:
                await self._clear_addresses(number)
        except ProviderError as error:
            if error.kind is ErrorKind.BAD_REQUEST:  # trying again would not help
                label = self.providers.label(number.carrier)
                raise ConflictError(f"{label} refuses to release {number.e164}.{quote(error)}") from None
            if error.kind is not ErrorKind.KEY_REJECTED:
                raise explain_refusal(self.providers.about(number.carrier), error) from None
            # Without a working key we cannot release it: the agency has to do that at the seller.
            kind = SUBACCOUNT if number.account == "platform" else number.carrier
            emit("key.failing", agency_id=number.agency_id, kind=kind, reason=error.kind.value)

    async def _release_native(self, number: Number) -> None:
        key = await self.provider_keys.open(number.agency_id, number.carrier)
        if key is None or key.provider.shop is None:
            return
        await key.provider.shop.release(key.client, NativeNumber(number.e164, number.number_sid))
        _tell(number)

    async def _release_at_carrier(self, number: Number) -> None:
        account = await self.accounts.open(number.agency_id, number.account_sid)
        if account is None:
            return
        await self.carrier.release_number(account, number.number_sid, REQUEST_SECONDS)
        _tell(number)

    async def _clear_addresses(self, number: Number) -> None:
        """Unless they were changed since."""
        account = await self.accounts.open(number.agency_id, number.account_sid)
        if account is None:
            return
        there = await self.carrier.find_number(account, number.e164, REQUEST_SECONDS)
        if there is None or there.voice_url != number.voice_url or there.trunk_sid or there.application_sid:
            return
        await self.carrier.configure_number(
            account,
            there.sid,
            voice_url="",
            fallback_url="",
            status_url="" if there.status_url == number.status_url else there.status_url,
            limit=REQUEST_SECONDS,
        )


async def forget_numbers(connection: Connection, numbers: Sequence[Number]) -> None:
    """Delete them here; a job deletes our registrations of them at providers."""
    for number in numbers:
        await drop_registrations(connection, number.agency_id, e164=number.e164)
        await delete_numbers(connection, number.agency_id, [number.e164])


def _tell(number: Number) -> None:
    emit("number.released", agency_id=number.agency_id, number=number.e164, carrier=number.carrier)
