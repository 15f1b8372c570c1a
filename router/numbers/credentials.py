"""What of a carrier account may go to a provider, and what a provider gave us for it.

A subaccount's or the agency's own, never the platform's main account's; a revocable key where that is enough.
"""

from __future__ import annotations

from adapters.base import Account, ApiKey, ErrorKind, ProviderError
from adapters.portable import Credentials
from crypto import OpenError
from router.numbers.accounts import ensure_carrier_key
from router.numbers.carriers import open_account
from router.particulars import particulars_of
from router.services import ApiServices
from router.store.numbers.numbers import Number
from router.store.numbers.registrations import find_connection
from router.store.sealed import open_registration
from router.telemetry import emit


class CounterpartError(Exception):
    """A number has no counterpart at a provider. The text is for the agency and holds no secret."""

    def __init__(self, text: str, *, again: bool = False) -> None:
        super().__init__(text)
        self.again = again  # a later attempt may go well by itself


async def open_account_to_give(services: ApiServices, number: Number, label: str) -> Account:
    """The number's account. Raises CounterpartError for the platform's main one, and without a token."""
    platform = services.platform_account
    if platform is not None and number.account_sid.lower() == platform.sid.lower():
        raise CounterpartError(
            f"{number.e164} cannot be registered at {label} because the platform's main account never goes to a "
            "provider: move the number to the agency's account, or give its counterpart by hand."
        )
    account = await open_account(services, number.agency_id, number.account_sid)
    if account is None:
        raise CounterpartError(f"{number.e164} cannot be registered at {label} without a token for its Twilio account.")
    return account


async def find_credentials(services: ApiServices, number: Number, provider: str, account: Account) -> Credentials:
    """For an account that `open_account_to_give` has let through. Raises CounterpartError."""
    if particulars_of(provider).takes_carrier_key:
        key = await _ensure_carrier_key(services, number, provider, account)
        return Credentials(account.sid, account.auth_token, key.sid, key.secret)
    connected = await find_connection(services.database.settings, number.agency_id, account.sid, provider)
    if connected is None:
        return Credentials(account.sid, account.auth_token)
    e164, sealed = connected
    parts = open_parts(services, sealed, number.agency_id, e164, provider)
    return Credentials(account.sid, account.auth_token, connection=parts)


def open_parts(services: ApiServices, sealed: str, agency_id: str, e164: str, provider: str) -> dict[str, str]:
    """What belongs to a counterpart. Empty for what does not open: it is made anew then."""
    try:
        return open_registration(services.keyring, sealed, agency_id, e164, provider)
    except OpenError:
        emit("key.unreadable", agency_id=agency_id, kind=provider, reason="registration")
        return {}


async def _ensure_carrier_key(services: ApiServices, number: Number, provider: str, account: Account) -> ApiKey:
    """Raises CounterpartError: a refusal of the carrier's says nothing of the provider and its key."""
    try:
        return await ensure_carrier_key(services, number.agency_id, account, provider)
    except ProviderError as error:
        label = particulars_of(provider).label
        raise CounterpartError(
            f"{number.e164} cannot be registered at {label}: Twilio has not made an API key for it ({error}).",
            again=error.kind not in (ErrorKind.KEY_REJECTED, ErrorKind.BAD_REQUEST),
        ) from None
