"""Carrier accounts that stand for an agency: its own, or the subaccount that the platform makes for it.

A subaccount is looked for by its name before it is made, and two requests at once make one. So are revocable keys,
of which a provider gets one of its own: the platform's main account never leaves us.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from adapters.base import Account, ApiKey, ErrorKind, ProviderError
from crypto import OpenError, Secret
from router.numbers.carriers import REQUEST_SECONDS, open_account_key
from router.services import CARRIER, SUBACCOUNT, ApiServices
from router.store.keys.versions import StoredKey, find_key_in_use, replace_key, take_version
from router.store.locks import try_lock
from router.store.numbers.carrier_keys import StoredCarrierKey, find_carrier_key, save_carrier_key
from router.store.pool import COMMAND_SECONDS, Connection
from router.store.sealed import open_carrier_key, seal_carrier_key, seal_key
from router.store.tenants.agencies import agency_exists
from router.telemetry import emit

_PATIENCE: Final = 20.0  # seconds that one waits for another who makes the same
_LOOK_EVERY: Final = 0.1


class NoPlatformAccountError(LookupError):
    """The platform has no carrier account: only agencies' own work."""


async def find_own_account(services: ApiServices, agency_id: str) -> Account | None:
    """The agency's own account, if it saved a key for one."""
    return await _find_account(services, services.database.settings, agency_id, CARRIER)


async def find_subaccount(services: ApiServices, agency_id: str) -> Account | None:
    """The platform's subaccount for this agency, if it was needed before."""
    return await _find_account(services, services.database.settings, agency_id, SUBACCOUNT)


async def ensure_subaccount(services: ApiServices, agency_id: str) -> Account:
    """Found or made. Raises NoPlatformAccountError, ProviderError, and LookupError for an agency that is gone."""
    there = await find_subaccount(services, agency_id)
    if there is not None:
        return there
    main = services.platform_account
    if main is None:
        raise NoPlatformAccountError
    async with alone(services, f"subaccount/{agency_id}") as connection:
        there = await _find_account(services, connection, agency_id, SUBACCOUNT)
        if there is not None:
            return there
        if not await agency_exists(connection, agency_id):
            raise LookupError
        name = subaccount_name(agency_id)
        account = await services.carrier.find_subaccount(main, name, REQUEST_SECONDS)
        if account is None:
            account = await services.carrier.create_subaccount(main, name, REQUEST_SECONDS)
        await _keep_subaccount(services, connection, agency_id, account)
    emit("subaccount.made", agency_id=agency_id, account_sid=account.sid)
    return account


async def renew_subaccount(services: ApiServices, agency_id: str) -> Account | None:
    """Its token as the platform's account knows it now, if that is another one. Raises ProviderError."""
    main, known = services.platform_account, await find_subaccount(services, agency_id)
    if main is None or known is None:
        return None
    async with alone(services, f"subaccount/{agency_id}") as connection:
        there = await services.carrier.find_subaccount(main, subaccount_name(agency_id), REQUEST_SECONDS)
        if there is None or there.sid != known.sid or there.auth_token == known.auth_token:
            return None
        await _keep_subaccount(services, connection, agency_id, there)
        return there


async def close_subaccount(services: ApiServices, agency_id: str) -> None:
    """For ever, with all numbers that are left on it. Nothing if there is none. Raises ProviderError."""
    key = await find_key_in_use(services.database.settings, agency_id, SUBACCOUNT)
    main = services.platform_account
    if key is None or key.account_sid is None or main is None:
        return
    try:
        await services.carrier.close_subaccount(main, key.account_sid, REQUEST_SECONDS)
    except ProviderError as error:
        # Closed by hand, or made by an account that the platform has no longer: nothing is left for us to do.
        if error.kind not in (ErrorKind.KEY_REJECTED, ErrorKind.BAD_REQUEST):
            raise
        emit("key.failing", agency_id=agency_id, kind=SUBACCOUNT, reason=error.kind.value)


async def ensure_carrier_key(services: ApiServices, agency_id: str, account: Account, provider: str) -> ApiKey:
    """The account's revocable key for this provider, found or made. Raises ProviderError."""
    pool = services.database.settings
    there = await _open_carrier_key(services, pool, agency_id, account.sid, provider)
    if there is not None:
        return there
    async with alone(services, f"carrier-key/{agency_id}/{account.sid}/{provider}") as connection:
        there = await _open_carrier_key(services, connection, agency_id, account.sid, provider)
        if there is not None:
            return there
        name = f"callrouter {agency_id} {provider}"
        # A secret is shown once: whatever has our name and is not in our table opens nothing for anybody.
        for lost in await services.carrier.find_api_keys(account, name, REQUEST_SECONDS):
            await services.carrier.delete_api_key(account, lost, REQUEST_SECONDS)
        key = await services.carrier.create_api_key(account, name, REQUEST_SECONDS)
        sealed = seal_carrier_key(services.keyring, key.secret, agency_id, account.sid, provider)
        await save_carrier_key(connection, StoredCarrierKey(agency_id, account.sid, provider, key.sid, sealed))
    return key


def subaccount_name(agency_id: str) -> str:
    """What a subaccount is found by at the carrier."""
    return f"callrouter {agency_id}"


@asynccontextmanager
async def alone(services: ApiServices, name: str) -> AsyncIterator[Connection]:
    """A transaction in which nobody else, in no process, does what has this name.

    Raises ProviderError(TIMEOUT) when somebody else takes too long.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE
    pool = services.database.settings
    while True:
        async with pool.acquire(timeout=COMMAND_SECONDS) as connection, connection.transaction():
            if await try_lock(connection, name):
                yield connection
                return
        if loop.time() > until:
            raise ProviderError(ErrorKind.TIMEOUT)
        await asyncio.sleep(_LOOK_EVERY)


async def _find_account(services: ApiServices, connection: Connection, agency_id: str, kind: str) -> Account | None:
    key = await find_key_in_use(connection, agency_id, kind)
    if key is None or key.account_sid is None:
        return None
    return open_account_key(services, key)


async def _keep_subaccount(services: ApiServices, connection: Connection, agency_id: str, account: Account) -> None:
    now = services.clock()
    version = await take_version(connection, agency_id, SUBACCOUNT)
    await replace_key(
        connection,
        StoredKey(
            agency_id=agency_id,
            kind=SUBACCOUNT,
            version=version,
            sealed=seal_key(services.keyring, account.auth_token, agency_id, SUBACCOUNT, version),
            webhook_sealed=None,
            webhook_token_sealed=None,
            account_sid=account.sid,
            last4=account.auth_token.last4(),
            status="valid",
            checked_at=now,
            saved_at=now,
        ),
    )


async def _open_carrier_key(
    services: ApiServices, connection: Connection, agency_id: str, account_sid: str, provider: str
) -> ApiKey | None:
    stored = await find_carrier_key(connection, agency_id, account_sid, provider)
    if stored is None:
        return None
    try:
        secret: Secret = open_carrier_key(services.keyring, stored.sealed, agency_id, account_sid, provider)
    except OpenError:  # another one is made in its place
        emit("key.unreadable", agency_id=agency_id, kind=CARRIER, reason="carrier_key")
        return None
    return ApiKey(stored.key_sid, secret)
