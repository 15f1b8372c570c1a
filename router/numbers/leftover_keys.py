"""The API keys that we made in the Twilio accounts of an agency that is deleted: revoked before its tokens are gone.

What Twilio does not revoke then is left as a row with the account's token, sealed, until a job has revoked it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, Carrier
from crypto import OpenError, Secret
from router.accounts import REQUEST_SECONDS, Accounts
from router.clock import Clock
from router.store.numbers.carrier_keys import (
    Leftover,
    StoredCarrierKey,
    delete_carrier_key,
    delete_leftover,
    insert_leftover,
    list_carrier_keys,
    take_leftovers,
)
from router.store.pool import Connection, Database
from router.store.sealed import leftover_carrier_key_context

_TRIED_EVERY: Final = timedelta(minutes=5)
_TRIED_FOR: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class LeftoverKeys:
    database: Database
    accounts: Accounts
    carrier: Carrier
    clock: Clock

    async def revoke_all(self, agency_id: str, seconds: float) -> None:
        """As far as the time allows. Raises no ProviderError."""
        keys = await list_carrier_keys(self.database.settings, agency_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(self._revoke(key) for key in keys))

    async def leave(self, connection: Connection, agency_id: str) -> None:
        """In the transaction that deletes the agency: what could not be revoked is kept, with what revokes it."""
        now = self.clock()
        for key in await list_carrier_keys(connection, agency_id):
            account = await self.accounts.open(agency_id, key.account_sid)
            if account is None or self.accounts.is_platform(account.sid):
                continue
            context = leftover_carrier_key_context(account.sid, key.key_sid)
            sealed = self.accounts.vault.keyring.seal(account.auth_token, *context)
            await insert_leftover(connection, Leftover(key.key_sid, account.sid, sealed, now, now))

    async def revoke_leftovers(self) -> None:
        """Those of deleted agencies. What Twilio does not revoke now is tried again later, for a month."""
        now = self.clock()
        for leftover in await take_leftovers(self.database.settings, now, now + _TRIED_EVERY):
            if await self._revoke_leftover(leftover) or leftover.created_at <= now - _TRIED_FOR:
                await delete_leftover(self.database.settings, leftover.key_sid)

    async def _revoke(self, key: StoredCarrierKey) -> None:
        account = await self.accounts.open(key.agency_id, key.account_sid)
        if account is not None and await self._is_revoked(account, key.key_sid):
            await delete_carrier_key(self.database.settings, key)

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
