"""Which credentials of a carrier account go to a provider, and what the provider gave us for them.

Those of a subaccount or of the agency's own account, never of the platform's main account. Where a revocable key is
enough, one is made for that provider alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, ApiKey, Carrier
from adapters.portable import Credentials
from adapters.registry import Providers
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
from router.store.numbers.numbers import Number
from router.store.numbers.registrations import find_connection
from router.store.pool import Connection, Database
from router.store.sealed import carrier_key_context


class RegistrationError(Exception):
    """A number has no registration at a provider. The text is for the agency and holds no secret."""

    def __init__(self, text: str, *, again: bool = False) -> None:
        super().__init__(text)
        self.again = again  # whether a later attempt may succeed


@dataclass(frozen=True, slots=True)
class CarrierCredentials:
    database: Database
    accounts: Accounts
    carrier: Carrier
    providers: Providers

    async def open_account(self, number: Number, label: str) -> Account:
        """The number's account. Raises RegistrationError for the platform's main one, and without a token."""
        if self.accounts.is_platform(number.account_sid):
            raise RegistrationError(
                f"{number.e164} cannot be registered at {label} because it is on the platform's main account, whose "
                "token never goes to a provider: move the number to the agency's account, or save a registration that "
                "you made there."
            )
        account = await self.accounts.open(number.agency_id, number.account_sid)
        if account is None:
            raise RegistrationError(
                f"{number.e164} cannot be registered at {label} without a token for its Twilio account."
            )
        return account

    async def find(self, number: Number, provider: str, account: Account) -> Credentials:
        """For an account that `open_account` returned. Raises RegistrationError."""
        if self.providers[provider].takes_carrier_key:
            key = await self._ensure_key(number, provider, account)
            return Credentials(account.sid, account.auth_token, key.sid, key.secret)
        connected = await find_connection(self.database.settings, number.agency_id, account.sid, provider)
        if connected is None:
            return Credentials(account.sid, account.auth_token)
        e164, sealed = connected
        parts = self.accounts.vault.open_registration(sealed, number.agency_id, e164, provider)
        return Credentials(account.sid, account.auth_token, connection=parts)

    async def revoke_unused(self) -> None:
        """At the carrier, then here. Raises no ProviderError: a key that could not be revoked is tried again."""
        for key in await list_unused_carrier_keys(self.database.settings):
            account = await self.accounts.open(key.agency_id, key.account_sid)
            try:
                if account is not None:
                    await self.carrier.delete_api_key(account, key.key_sid, REQUEST_SECONDS)
            except ProviderError as error:
                if error.kind is not ErrorKind.KEY_REJECTED:
                    continue
            await delete_carrier_key(self.database.settings, key)

    async def _ensure_key(self, number: Number, provider: str, account: Account) -> ApiKey:
        """The account's revocable key for this provider, found or made.

        Raises RegistrationError: the carrier's refusal says nothing about the provider and its key.
        """
        try:
            found = await self._open_key(self.database.settings, number.agency_id, account, provider)
            return found or await self._make_key(number.agency_id, account, provider)
        except ProviderError as error:
            label = self.providers.label(provider)
            raise RegistrationError(
                f"{number.e164} cannot be registered at {label}: Twilio has not made an API key for it ({error}).",
                again=error.kind not in (ErrorKind.KEY_REJECTED, ErrorKind.BAD_REQUEST),
            ) from None

    async def _make_key(self, agency_id: str, account: Account, provider: str) -> ApiKey:
        async with alone(self.database, f"carrier-key/{agency_id}/{account.sid}/{provider}") as connection:
            there = await self._open_key(connection, agency_id, account, provider)
            if there is not None:
                return there
            name = f"callrouter {agency_id} {provider}"
            # A secret is shown once: a key with our name that is not in our table can no longer be used.
            for lost in await self.carrier.find_api_keys(account, name, REQUEST_SECONDS):
                await self.carrier.delete_api_key(account, lost, REQUEST_SECONDS)
            key = await self.carrier.create_api_key(account, name, REQUEST_SECONDS)
            context = carrier_key_context(agency_id, account.sid, provider)
            sealed = self.accounts.vault.keyring.seal(key.secret, *context)
            await save_carrier_key(connection, StoredCarrierKey(agency_id, account.sid, provider, key.sid, sealed))
        return key

    async def _open_key(self, connection: Connection, agency_id: str, account: Account, provider: str) -> ApiKey | None:
        stored = await find_carrier_key(connection, agency_id, account.sid, provider)
        if stored is None:
            return None
        try:
            secret = self.accounts.vault.open_carrier_key(stored.sealed, agency_id, account.sid, provider)
        except OpenError:  # another one is made in its place
            return None
        return ApiKey(stored.key_sid, secret)
