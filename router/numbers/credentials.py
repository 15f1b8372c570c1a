"""What of a carrier account may go to a provider, and what a provider gave us for it.

A subaccount's or the agency's own, never the platform's main account's; a revocable key where that is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, ApiKey
from adapters.portable import Credentials
from adapters.registry import Providers
from router.accounts import Accounts
from router.numbers.carrier_keys import CarrierKeys
from router.store.numbers.numbers import Number
from router.store.numbers.registrations import find_connection


class RegistrationError(Exception):
    """A number has no registration at a provider. The text is for the agency and holds no secret."""

    def __init__(self, text: str, *, again: bool = False) -> None:
        super().__init__(text)
        self.again = again  # a later attempt may go well by itself


@dataclass(frozen=True, slots=True)
class CredentialsToGive:
    """Finds what of a carrier account may go to a provider."""

    accounts: Accounts
    carrier_keys: CarrierKeys
    providers: Providers

    async def open_account(self, number: Number, label: str) -> Account:
        """The number's account. Raises RegistrationError for the platform's main one, and without a token."""
        if self.accounts.is_platform(number.account_sid):
            raise RegistrationError(
                f"{number.e164} cannot be registered at {label} because the platform's main account never goes to a "
                "provider: move the number to the agency's account, or give its registration by hand."
            )
        account = await self.accounts.open(number.agency_id, number.account_sid)
        if account is None:
            raise RegistrationError(
                f"{number.e164} cannot be registered at {label} without a token for its Twilio account."
            )
        return account

    async def find(self, number: Number, provider: str, account: Account) -> Credentials:
        """For an account that `open_account` has let through. Raises RegistrationError."""
        if self.providers[provider].takes_carrier_key:
            key = await self._ensure_carrier_key(number, provider, account)
            return Credentials(account.sid, account.auth_token, key.sid, key.secret)
        connected = await find_connection(self.accounts.pool, number.agency_id, account.sid, provider)
        if connected is None:
            return Credentials(account.sid, account.auth_token)
        e164, sealed = connected
        parts = self.accounts.vault.open_registration(sealed, number.agency_id, e164, provider)
        return Credentials(account.sid, account.auth_token, connection=parts)

    async def _ensure_carrier_key(self, number: Number, provider: str, account: Account) -> ApiKey:
        """Raises RegistrationError: a refusal of the carrier's says nothing of the provider and its key."""
        try:
            return await self.carrier_keys.ensure(number.agency_id, account, provider)
        except ProviderError as error:
            label = self.providers.label(provider)
            raise RegistrationError(
                f"{number.e164} cannot be registered at {label}: Twilio has not made an API key for it ({error}).",
                again=error.kind not in (ErrorKind.KEY_REJECTED, ErrorKind.BAD_REQUEST),
            ) from None
