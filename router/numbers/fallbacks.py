"""The fallback of a client's numbers: marked as stale by the change that makes it so, then delivered.

The carrier gets an address; a provider that sold the number itself gets the owner's phone. What fails stays marked, and
a job tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from adapters.base import ProviderError
from adapters.carrier import Carrier
from router.accounts import Accounts
from router.clock import Clock
from router.errors import DomainError
from router.numbers.configuration import FallbackUrls, configure
from router.numbers.native import NativeNumbers
from router.own_address import OwnAddress
from router.store.numbers.checks import lease_stale_native
from router.store.numbers.numbers import Number, confirm_fallback, find_number, list_numbers, want_fallback
from router.store.pool import DATABASE_ERRORS, Connection, Database
from router.store.tenants.clients import Client, find_client
from router.telemetry import emit

_AT_ONCE: Final = 10  # requests for one request to us
_ATTEMPTS: Final = 3
_REWRITE_SECONDS: Final = 12.0
_TRIED_EVERY: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Fallbacks:
    carrier: Carrier
    fallback_urls: FallbackUrls
    database: Database
    clock: Clock
    natives: NativeNumbers
    accounts: Accounts
    address: OwnAddress

    async def note_stale(self, connection: Connection, client: Client) -> None:
        """Mark them in the transaction that makes them stale, so that a crash loses nothing."""
        numbers = await list_numbers(connection, client.agency_id, client_id=client.id)
        for number in numbers:
            if number.is_elsewhere:
                continue
            address = "" if number.is_native else self.fallback_urls.make(client, number.e164)
            await want_fallback(connection, number.agency_id, number.e164, address)

    async def rewrite(self, numbers: Sequence[Number]) -> None:
        """Deliver the fallbacks that are wanted. Raises nothing: one that fails, or must wait, stays marked as stale."""
        if self.address.differing is not None:
            return
        gate = asyncio.Semaphore(_AT_ONCE)

        async def rewrite(number: Number) -> None:
            try:
                async with gate:
                    await self._rewrite_one(number.agency_id, number.e164)
            except ProviderError as error:
                reason = error.kind.value
            except DomainError:
                reason = "refused"
            except DATABASE_ERRORS:
                reason = "database"
            else:
                return
            emit("number.drifted", agency_id=number.agency_id, number=number.e164, reason=f"fallback: {reason}")

        with suppress(TimeoutError):  # the rest stay marked as stale
            async with asyncio.timeout(_REWRITE_SECONDS):
                await asyncio.gather(*(rewrite(number) for number in numbers))

    async def _rewrite_one(self, agency_id: str, e164: str) -> None:
        """Repeat when it was changed meanwhile: the last one delivered must be the one that is wanted."""
        pool = self.database.settings
        for _ in range(_ATTEMPTS):
            number = await find_number(pool, agency_id, e164)
            if number is None or number.is_elsewhere or not await self._deliver(number):
                return
            if await confirm_fallback(pool, agency_id, e164, number.fallback_url):
                return

    async def rewrite_stale_native(self) -> None:
        """Those at voice providers; DriftWatch delivers the carrier's."""
        now = self.clock()
        stale = await lease_stale_native(self.database.settings, now, now + _TRIED_EVERY)
        await self.rewrite(stale)

    async def _deliver(self, number: Number) -> bool:
        """False: there is no client or account to deliver it to. Raises ProviderError, DomainError."""
        if number.is_native:
            client = await find_client(self.database.settings, number.agency_id, number.client_id)
            if client is None:
                return False
            await self.natives.assign(number, client)
            return True
        account = await self.accounts.open(number.agency_id, number.account_sid)
        if account is None:
            return False
        await configure(self.carrier, account, number)
        return True
