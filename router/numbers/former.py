"""Deletes registrations of ours that no number needs any more; a failed deletion is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from adapters.base import ErrorKind, ProviderError
from router.clock import Clock
from router.numbers.provider_keys import ProviderKeys, read_registration
from router.store.numbers.former_registrations import (
    FormerRegistration,
    forget_former_registration,
    lease_former_registrations,
    postpone_former_registration,
)
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
        if key is None or registrations is None:  # we cannot reach it, and its carrier key is revoked
            await forget_former_registration(pool, former)
            return
        try:
            await registrations.unregister(key.client, read_registration(self.provider_keys.vault, former))
        except ProviderError as error:
            refused = error.kind in (ErrorKind.KEY_REJECTED, ErrorKind.BAD_REQUEST)
            wait = timedelta(seconds=error.retry_after) if error.retry_after else _LATER if refused else _SOON
            await postpone_former_registration(pool, former, self.clock() + wait)
            return
        await forget_former_registration(pool, former)
