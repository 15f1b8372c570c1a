"""Revocable keys of carrier accounts, each made for one provider, so that the account's token need not leave us."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, ApiKey, Carrier
from crypto import OpenError
from router.accounts import REQUEST_SECONDS, Accounts
from router.numbers.subaccounts import alone
from router.store.numbers.carrier_keys import (
    StoredCarrierKey,
    delete_carrier_key,
    find_carrier_key,
    list_unused_carrier_keys,
    save_carrier_key,
)
from router.store.pool import Connection, Database
from router.store.sealed import carrier_key_context


@dataclass(frozen=True, slots=True)
class CarrierKeys:
    """Makes them, and revokes those that no provider needs any more."""

    database: Database
    accounts: Accounts
    carrier: Carrier

    async def ensure(self, agency_id: str, account: Account, provider: str) -> ApiKey:
        """The account's revocable key for this provider, found or made. Raises ProviderError."""
        pool = self.database.settings
        there = await self._open(pool, agency_id, account.sid, provider)
        if there is not None:
            return there
        async with alone(self.database, f"carrier-key/{agency_id}/{account.sid}/{provider}") as connection:
            there = await self._open(connection, agency_id, account.sid, provider)
            if there is not None:
                return there
            name = f"callrouter {agency_id} {provider}"
            # A secret is shown once: whatever has our name and is not in our table opens nothing for anybody.
            for lost in await self.carrier.find_api_keys(account, name, REQUEST_SECONDS):
                await self.carrier.delete_api_key(account, lost, REQUEST_SECONDS)
            key = await self.carrier.create_api_key(account, name, REQUEST_SECONDS)
            sealed = self.accounts.vault.keyring.seal(
                key.secret, *carrier_key_context(agency_id, account.sid, provider)
            )
            await save_carrier_key(connection, StoredCarrierKey(agency_id, account.sid, provider, key.sid, sealed))
        return key

    async def revoke_unused(self) -> None:
        """At the carrier, then here. Raises no ProviderError: the next time may go well."""
        for key in await list_unused_carrier_keys(self.database.settings):
            await self._revoke(key)

    async def _open(self, connection: Connection, agency_id: str, account_sid: str, provider: str) -> ApiKey | None:
        stored = await find_carrier_key(connection, agency_id, account_sid, provider)
        if stored is None:
            return None
        try:
            secret = self.accounts.vault.open_carrier_key(stored.sealed, agency_id, account_sid, provider)
        except OpenError:  # another one is made in its place
            return None
        return ApiKey(stored.key_sid, secret)

    async def _revoke(self, key: StoredCarrierKey) -> None:
        account = await self.accounts.open(key.agency_id, key.account_sid)
        if account is not None:
            try:
                await self.carrier.delete_api_key(account, key.key_sid, REQUEST_SECONDS)
            except ProviderError as error:
                if error.kind is not ErrorKind.KEY_REJECTED:
                    return
        await delete_carrier_key(self.database.settings, key)
