"""The API keys that we made in Twilio accounts whose tokens are deleted: with their agency, or by it.

Each is left as a row with the account's token, sealed, until it is revoked: at once, or by a job if Twilio is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, Carrier
from crypto import OpenError, Secret
from router.accounts import REQUEST_SECONDS, Accounts
from router.clock import Clock
from router.own_address import OwnAddress
from router.store.numbers.carrier_keys import (
    Leftover,
    delete_carrier_key,
    delete_leftover,
    insert_leftover,
    list_carrier_keys,
    take_leftovers,
)
from router.store.numbers.registrations import outdate_registrations
from router.store.pool import Connection, Database
from router.store.sealed import leftover_carrier_key_context

_TRIED_EVERY: Final = timedelta(minutes=5)
_TRIED_FOR: Final = timedelta(days=30)
_REVOKE_SECONDS: Final = 4.0
_REVOKED: Final = "The API key that the provider had for this number's Twilio account was revoked with its token."


@dataclass(frozen=True, slots=True)
class LeftoverKeys:
    database: Database
    accounts: Accounts
    carrier: Carrier
    address: OwnAddress
    clock: Clock

    async def leave(
        self, connection: Connection, agency_id: str, accounts: Collection[str] | None = None
    ) -> list[Leftover]:
        """Keep what revokes the keys in these accounts, None: in all, in the transaction that deletes the tokens.

        After it, pass the result to `revoke`.
        """
        later, left = self.clock() + _TRIED_EVERY, []
        for key in await list_carrier_keys(connection, agency_id):
            account = await self.accounts.open(agency_id, key.account_sid)
            if account is None or self.accounts.is_platform(account.sid):
                continue
            if accounts is not None and key.account_sid not in accounts:
                continue
            context = leftover_carrier_key_context(account.sid, key.key_sid)
            sealed = self.accounts.vault.keyring.seal(account.auth_token, *context)
            leftover = Leftover(key.key_sid, account.sid, sealed, self.clock(), later)
            await insert_leftover(connection, leftover)
            await delete_carrier_key(connection, key)
            await outdate_registrations(connection, agency_id, key.account_sid, key.provider, _REVOKED)
            left.append(leftover)
        return left

    async def revoke(self, leftovers: Collection[Leftover]) -> None:
        """As far as a few seconds allow; a job does the rest, also what must wait. Raises no ProviderError."""
        if self.address.differing is not None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_REVOKE_SECONDS):
                await asyncio.gather(*(self._finish(leftover) for leftover in leftovers))

    async def revoke_leftovers(self) -> None:
        """What Twilio does not revoke now is tried again later, for a month."""
        now = self.clock()
        for leftover in await take_leftovers(self.database.settings, now, now + _TRIED_EVERY):
            await self._finish(leftover)

    async def _finish(self, leftover: Leftover) -> None:
        if await self._revoke_leftover(leftover) or leftover.created_at <= self.clock() - _TRIED_FOR:
            await delete_leftover(self.database.settings, leftover.key_sid)

    async def _revoke_leftover(self, leftover: Leftover) -> bool:
        """Whether nothing is left to do."""
        context = leftover_carrier_key_context(leftover.account_sid, leftover.key_sid)
        try:
            token: Secret = self.accounts.vault.keyring.open(leftover.sealed, *context)
        except OpenError:  # its platform key may come back
            return False
        return await self._is_revoked(Account(leftover.account_sid, token), leftover.key_sid)

    async def _is_revoked(self, account: Account, key_sid: str) -> bool:
        """Whether it is, or cannot be with this token."""
        try:
            await self.carrier.delete_api_key(account, key_sid, REQUEST_SECONDS)
        except ProviderError as error:
            return error.kind is ErrorKind.KEY_REJECTED
        return True
