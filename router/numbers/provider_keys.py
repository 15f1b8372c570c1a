"""An agency's key at a voice provider, opened for what is done about its numbers there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adapters.provider import Provider
from adapters.registry import Providers
from crypto import OpenError
from router.accounts import REQUEST_SECONDS
from router.store.keys.versions import StoredKey, find_key_in_use
from router.store.pool import Database
from router.vault import Vault


@dataclass(frozen=True, slots=True)
class OpenedKey:
    """The provider, opened with the key in use; held for one piece of work and no longer."""

    stored: StoredKey
    provider: Provider[Any]
    client: Any


@dataclass(frozen=True, slots=True)
class ProviderKeys:
    """Opens agencies' keys at voice providers."""

    database: Database
    vault: Vault
    providers: Providers

    async def open(self, agency_id: str, provider: str) -> OpenedKey | None:
        """None: there is none, or it does not open."""
        stored = await find_key_in_use(self.database.settings, agency_id, provider)
        if stored is None or provider not in self.providers:
            return None
        at = self.providers[provider]
        try:
            return OpenedKey(stored, at, at.open(self.vault.open_key(stored), REQUEST_SECONDS))
        except OpenError:
            return None
