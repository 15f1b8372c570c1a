"""Deletes registrations of ours that no number needs any more, and the account that was connected at the provider for
them. A failed deletion is tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from adapters.base import ErrorKind, ProviderError
from adapters.facets import ImportsFacet
from adapters.portable import Registration
from router.clock import Clock
from router.numbers.provider_keys import ProviderKeys
from router.store.numbers.former_registrations import (
    FormerRegistration,
    await_key,
    forget_former_registration,
    lease_former_registrations,
    list_others,
    postpone_former_registration,
)
from router.store.numbers.registrations import list_connected
from router.store.pool import Database

_SOON: Final = timedelta(minutes=2)
_LATER: Final = timedelta(minutes=10)  # when it is refused until the key or the number changes


@dataclass(frozen=True, slots=True)
class FormerRegistrations:
    database: Database
    provider_keys: ProviderKeys
    clock: Clock

    async def delete(
        self,
        *,
        agency_id: str | None = None,
        e164: str | None = None,
        provider: str | None = None,
        limit: int = 20,
    ) -> None:
        """Delete those that are due and match. Raises no ProviderError: what fails is tried again later."""
        due = await lease_former_registrations(
            self.database.settings, self.clock(), agency_id=agency_id, e164=e164, provider=provider, limit=limit
        )
        for former in due:
            await self._delete(former)

    async def _delete(self, former: FormerRegistration) -> None:
        pool = self.database.settings
        key = await self.provider_keys.open(former.agency_id, former.provider)
        registrations = None if key is None else key.provider.registrations
        if key is None or registrations is None:
            await self._let_be(former)
            return
        try:
            there = self.provider_keys.read(former)
            await registrations.unregister(key.client, there)
            if key.provider.imports is not None and not await self._needs_account(former, there, key.provider.imports):
                await key.provider.imports.disconnect(key.client, there)
        except ProviderError as error:
            refused = error.kind in (ErrorKind.KEY_REJECTED, ErrorKind.BAD_REQUEST)
            wait = timedelta(seconds=error.retry_after) if error.retry_after else _LATER if refused else _SOON
            await postpone_former_registration(pool, former, self.clock() + wait)
            return
        await forget_former_registration(pool, former)

    async def _let_be(self, former: FormerRegistration) -> None:
        """Without a key. Where an account was connected with its token, it waits for the agency's next key; else it is
        useless, because its carrier key is revoked.
        """
        pool, now = self.database.settings, self.clock()
        provider = self.provider_keys.providers.get(former.provider)
        if provider is not None and provider.imports is not None:
            await await_key(pool, former, now, now + _LATER)
        else:
            await forget_former_registration(pool, former)

    async def _needs_account(self, former: FormerRegistration, there: Registration, imports: ImportsFacet[Any]) -> bool:
        """Whether another registration of the agency needs the account that this one was made with."""
        pool = self.database.settings
        live = await list_connected(pool, former.agency_id, former.provider)
        dropped = await list_others(pool, former)
        others = (self.provider_keys.read(one) for rows in (live, dropped) for one in rows)
        return any(imports.is_same_account(there, other) for other in others)
