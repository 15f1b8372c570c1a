"""An agency's key at a voice provider, opened for what is done about its numbers there."""

from __future__ import annotations

from dataclasses import dataclass

from crypto import OpenError, Secret
from router.store.keys.versions import StoredKey, find_key_in_use
from router.store.pool import Database
from router.vault import Vault


@dataclass(frozen=True, slots=True)
class OpenedKey:
    """The key in use; held for one piece of work and no longer."""

    stored: StoredKey
    secret: Secret


@dataclass(frozen=True, slots=True)
class ProviderKeys:
    """Opens agencies' keys at voice providers."""

    database: Database
    vault: Vault

    async def open(self, agency_id: str, provider: str) -> OpenedKey | None:
        """None: there is none, or it does not open."""
        stored = await find_key_in_use(self.database.settings, agency_id, provider)
        if stored is None:
            return None
        try:
            return OpenedKey(stored, self.vault.open_key(stored))
        except OpenError:
            return None
