"""Registrations of ours that no number needs any more: deleted at their providers, however often that takes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.portable import Registration
from router.clock import Clock
from router.numbers.provider_keys import ProviderKeys
from router.store.numbers.former_registrations import (
    FormerRegistration,
    forget_former_registration,
    lease_former_registrations,
    postpone_former_registration,
)
from router.store.pool import Database

_SOON: Final = timedelta(minutes=2)
_LATER: Final = timedelta(minutes=10)  # for what is refused until somebody changes something


@dataclass(frozen=True, slots=True)
class FormerRegistrations:
    """Deletes registrations of ours that no number needs any more."""

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
        """Those that are due, of those that match what is given. Raises no ProviderError: what fails stays for later."""
        due = await lease_former_registrations(
            self.database.settings, self.clock(), agency_id=agency_id, e164=e164, provider=provider, limit=limit
        )
        for former in due:
            await self._delete(former)

    async def _delete(self, former: FormerRegistration) -> None:
        pool = self.database.settings
        key = await self.provider_keys.open(former.agency_id, former.provider)
        registrations = None if key is None else key.provider.registrations
        if key is None or registrations is None:  # out of reach; what it opened is revoked at the carrier
            await forget_former_registration(pool, former)
            return
        try:
            await registrations.unregister(key.client, self._read(former))
        except ProviderError as error:
            wait = timedelta(seconds=error.retry_after) if error.retry_after else _wait_after(error)
            await postpone_former_registration(pool, former, self.clock() + wait)
            return
        await forget_former_registration(pool, former)

    def _read(self, former: FormerRegistration) -> Registration:
        sealed, vault = former.sealed_parts, self.provider_keys.vault
        parts = vault.open_registration(sealed, former.agency_id, former.e164, former.provider) if sealed else {}
        return Registration(former.remote_id, former.mode, parts)


def _wait_after(error: ProviderError) -> timedelta:
    return _LATER if error.kind in (ErrorKind.KEY_REJECTED, ErrorKind.BAD_REQUEST) else _SOON
