"""Counterparts of ours that no number needs any more: deleted at their providers, however often that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from adapters.base import ErrorKind, ProviderError
from adapters.portable import Counterpart, NumberHost
from router.accounts import REQUEST_SECONDS
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
    """Deletes what no number needs any more."""

    database: Database
    provider_keys: ProviderKeys
    number_hosts: Mapping[str, NumberHost]
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
        host = self.number_hosts.get(former.provider)
        key = await self.provider_keys.open(former.agency_id, former.provider)
        if host is None or key is None:  # nobody can reach it any more; what it opened is revoked at the carrier
            await forget_former_registration(pool, former)
            return
        try:
            await host.unregister_number(self._read(former), key.secret, REQUEST_SECONDS)
        except ProviderError as error:
            wait = timedelta(seconds=error.retry_after) if error.retry_after else _wait_after(error)
            await postpone_former_registration(pool, former, self.clock() + wait)
            return
        await forget_former_registration(pool, former)

    def _read(self, former: FormerRegistration) -> Counterpart:
        sealed, vault = former.sealed_parts, self.provider_keys.vault
        parts = vault.open_registration(sealed, former.agency_id, former.e164, former.provider) if sealed else {}
        return Counterpart(former.remote_id, former.mode, parts)


def _wait_after(error: ProviderError) -> timedelta:
    return _LATER if error.kind in (ErrorKind.KEY_REJECTED, ErrorKind.BAD_REQUEST) else _SOON
