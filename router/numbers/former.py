"""Counterparts of ours that no number needs any more: deleted at their providers, however often that takes.

So are the revocable carrier keys that were made for providers which have nothing of the account any more.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.portable import Counterpart
from router.numbers.carriers import REQUEST_SECONDS, open_account
from router.numbers.credentials import open_parts
from router.numbers.provider_keys import open_provider_key
from router.services import ApiServices
from router.store.numbers.carrier_keys import StoredCarrierKey, delete_carrier_key, list_unused_carrier_keys
from router.store.numbers.former_registrations import (
    FormerRegistration,
    forget_former_registration,
    lease_former_registrations,
    postpone_former_registration,
)

_SOON: Final = timedelta(minutes=2)
_LATER: Final = timedelta(minutes=10)  # for what is refused until somebody changes something


async def delete_former_registrations(
    services: ApiServices,
    *,
    agency_id: str | None = None,
    e164: str | None = None,
    provider: str | None = None,
    limit: int = 20,
) -> None:
    """Those that are due, of those that match what is given. Raises no ProviderError: what fails stays for later."""
    due = await lease_former_registrations(
        services.database.settings, services.clock(), agency_id=agency_id, e164=e164, provider=provider, limit=limit
    )
    for former in due:
        await _delete(services, former)


async def revoke_unused_carrier_keys(services: ApiServices) -> None:
    """At the carrier, then here. Raises no ProviderError: the next time may go well."""
    for key in await list_unused_carrier_keys(services.database.settings):
        await _revoke(services, key)


async def _delete(services: ApiServices, former: FormerRegistration) -> None:
    pool = services.database.settings
    host = services.number_hosts.get(former.provider)
    key = await open_provider_key(services, former.agency_id, former.provider)
    if host is None or key is None:  # nobody can reach it any more; what it opened is revoked at the carrier
        await forget_former_registration(pool, former)
        return
    try:
        await host.unregister_number(_read(services, former), key.secret, REQUEST_SECONDS)
    except ProviderError as error:
        wait = timedelta(seconds=error.retry_after) if error.retry_after else _wait_after(error)
        await postpone_former_registration(pool, former, services.clock() + wait)
        return
    await forget_former_registration(pool, former)


def _wait_after(error: ProviderError) -> timedelta:
    return _LATER if error.kind in (ErrorKind.KEY_REJECTED, ErrorKind.BAD_REQUEST) else _SOON


def _read(services: ApiServices, former: FormerRegistration) -> Counterpart:
    sealed = former.sealed_parts
    parts = open_parts(services, sealed, former.agency_id, former.e164, former.provider) if sealed else {}
    return Counterpart(former.remote_id, former.mode, parts)


async def _revoke(services: ApiServices, key: StoredCarrierKey) -> None:
    account = await open_account(services, key.agency_id, key.account_sid)
    if account is not None:
        try:
            await services.carrier.delete_api_key(account, key.key_sid, REQUEST_SECONDS)
        except ProviderError as error:
            if error.kind is not ErrorKind.KEY_REJECTED:
                return
    await delete_carrier_key(services.database.settings, key)
