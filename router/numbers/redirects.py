"""The addresses that providers' imports write on carriers' numbers: kept, sealed, as the way to hand calls over.

A provider may write its address late. What stands on the number until then is ours, so only an address that the provider
itself recognises is kept. The check of the carrier's configuration looks for it, every minute for a while.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from adapters.registry import Providers
from crypto import Keyring, Secret
from router.clock import Clock
from router.store.numbers.numbers import Number
from router.store.numbers.registrations import save_address
from router.store.pool import Database
from router.store.sealed import registration_address_context
from router.store.tenants.agencies import lock_agency
from router.wanted import WantedAssistants

REDIRECT: Final = "redirect"
_WATCHED_FOR: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Redirects:
    database: Database
    providers: Providers
    keyring: Keyring = field(repr=False)
    wanted: WantedAssistants
    clock: Clock

    async def keep(self, number: Number, voice_url: str) -> bool:
        """Keep the number's address at the carrier if a provider wrote it, for calls to be redirected there. Whether a
        registration of the number uses it.
        """
        url = Secret(voice_url)
        for name, provider in self.providers.items():
            if provider.imports is None or not provider.imports.is_address(url):
                continue
            sealed = self.keyring.seal(url, *registration_address_context(number.agency_id, number.e164, name))
            async with self.database.settings.acquire() as connection, connection.transaction():
                whose = await save_address(connection, number.agency_id, number.e164, name, sealed)
                if whose == "by hand":  # until now, nothing could be changed on the number there
                    await lock_agency(connection, number.agency_id)
                    await self.wanted.want_after_recovery(connection, number.agency_id, name)
            return whose is not None
        return False

    def describe_wait(self, provider: str, e164: str) -> str:
        """For people, while the address is not there."""
        label = self.providers.label(provider)
        return (
            f"{label} has not written its address on {e164} at Twilio yet, and takes no calls to it until then. It is"
            f" looked for by itself; if it stays away, delete the number at {label} and import it again."
        )

    def wait_until(self) -> datetime:
        return self.clock() + _WATCHED_FOR
