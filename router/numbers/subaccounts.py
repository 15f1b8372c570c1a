"""Subaccounts of the platform's carrier account, one for each agency whose numbers the platform buys.

One is looked for by its name before it is created, and concurrent requests create only one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account, Carrier
from router.accounts import REQUEST_SECONDS, SUBACCOUNT, Accounts
from router.clock import Clock
from router.store.keys.versions import StoredKey, find_key_in_use, replace_key, take_version
from router.store.pool import COMMAND_SECONDS, Connection, Database, try_lock
from router.store.sealed import key_context
from router.store.tenants.agencies import agency_exists, is_copied
from router.telemetry import emit

_PATIENCE: Final = 20.0  # seconds to wait for another process that does the same work
_LOOK_EVERY: Final = 0.1


class NoPlatformAccountError(LookupError):
    """The platform has no carrier account: agencies must use their own."""


@dataclass(frozen=True, slots=True)
class Subaccounts:
    database: Database
    carrier: Carrier
    accounts: Accounts
    clock: Clock

    async def ensure(self, agency_id: str) -> Account:
        """Found or created. Raises NoPlatformAccountError, ProviderError; LookupError for an unknown agency."""
        there = await self.accounts.find_subaccount(agency_id)
        if there is not None:
            return there
        main = self.accounts.platform
        if main is None:
            raise NoPlatformAccountError
        async with alone(self.database, f"subaccount/{agency_id}") as connection:
            there = await self.accounts.find(connection, agency_id, SUBACCOUNT)
            if there is not None:
                return there
            if not await agency_exists(connection, agency_id):
                raise LookupError
            name = subaccount_name(agency_id)
            account = await self.carrier.find_subaccount(main, name, REQUEST_SECONDS)
            if account is None:
                account = await self.carrier.create_subaccount(main, name, REQUEST_SECONDS)
            await self._keep_subaccount(connection, agency_id, account)
        emit("subaccount.made", agency_id=agency_id, account_sid=account.sid)
        return account

    async def renew(self, agency_id: str) -> Account | None:
        """The subaccount with its new token, if the token has changed. Raises ProviderError."""
        main, known = self.accounts.platform, await self.accounts.find_subaccount(agency_id)
        if main is None or known is None:
            return None
        async with alone(self.database, f"subaccount/{agency_id}") as connection:
            there = await self.carrier.find_subaccount(main, subaccount_name(agency_id), REQUEST_SECONDS)
            if there is None or there.sid != known.sid or there.auth_token == known.auth_token:
                return None
            await self._keep_subaccount(connection, agency_id, there)
            return there

    async def close(self, agency_id: str) -> None:
        """For good, with all numbers left on it, unless it belongs to the database that this is a copy of.

        Raises ProviderError.
        """
        key = await find_key_in_use(self.database.settings, agency_id, SUBACCOUNT)
        main = self.accounts.platform
        if key is None or key.account_sid is None or main is None or await is_copied(self.database.settings, agency_id):
            return
        try:
            await self.carrier.close_subaccount(main, key.account_sid, REQUEST_SECONDS)
        except ProviderError as error:
            # Closed by hand, or created by an account that the platform no longer has: there is nothing left to do.
            if error.kind not in (ErrorKind.KEY_REJECTED, ErrorKind.BAD_REQUEST):
                raise
            emit("key.failing", agency_id=agency_id, kind=SUBACCOUNT, reason=error.kind.value)

    async def _keep_subaccount(self, connection: Connection, agency_id: str, account: Account) -> None:
        now = self.clock()
        version = await take_version(connection, agency_id, SUBACCOUNT)
        await replace_key(
            connection,
            StoredKey(
                agency_id=agency_id,
                kind=SUBACCOUNT,
                version=version,
                sealed=self.accounts.vault.keyring.seal(
                    account.auth_token, *key_context(agency_id, SUBACCOUNT, version)
                ),
                webhook_sealed=None,
                webhook_token_sealed=None,
                account_sid=account.sid,
                last4=account.auth_token.last4(),
                status="valid",
                checked_at=now,
                saved_at=now,
            ),
        )


def subaccount_name(agency_id: str) -> str:
    """The name by which a subaccount is found at the carrier."""
    return f"callrouter {agency_id}"


@asynccontextmanager
async def alone(database: Database, name: str) -> AsyncIterator[Connection]:
    """A transaction that holds the lock `name` against all other processes.

    Raises ProviderError(TIMEOUT) when another holds it for too long.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        async with database.settings.acquire(timeout=COMMAND_SECONDS) as connection, connection.transaction():
            if await try_lock(connection, name):
                yield connection
                return
        if time.monotonic() > until:
            raise ProviderError(ErrorKind.TIMEOUT)
        await asyncio.sleep(_LOOK_EVERY)
