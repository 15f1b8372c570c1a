"""Opens what an agency's numbers need at a voice provider: its key, and sealed parts of registrations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.portable import Registration
from adapters.provider import Provider
from adapters.registry import Providers
from crypto import OpenError
from router.accounts import REQUEST_SECONDS
from router.store.keys.versions import StoredKey, find_key_in_use
from router.store.numbers.former_registrations import FormerRegistration
from router.store.numbers.registrations import StoredRegistration
from router.store.pool import Database
from router.vault import Vault


@dataclass(frozen=True, slots=True)
class OpenedKey:
    """The provider, opened with the key in use. Held for one piece of work only."""

    stored: StoredKey
    provider: Provider[Any]
    client: Any


@dataclass(frozen=True, slots=True)
class ProviderKeys:
    database: Database
    vault: Vault
    providers: Providers

    async def open(self, agency_id: str, provider: str) -> OpenedKey | None:
        """None: the agency has no key there, or it does not open."""
        stored = await find_key_in_use(self.database.settings, agency_id, provider)
        if stored is None or provider not in self.providers:
            return None
        at = self.providers[provider]
        try:
            return OpenedKey(stored, at, at.open(self.vault.open_key(stored), REQUEST_SECONDS))
        except OpenError:
            return None

    def read(self, row: StoredRegistration | FormerRegistration) -> Registration:
        """With its parts. For one that was entered by hand, they are what the address of its import says."""
        parts: Mapping[str, str] = {}
        if row.sealed_parts is not None:
            parts = self.vault.open_registration(row.sealed_parts, row.agency_id, row.e164, row.provider)
        elif isinstance(row, StoredRegistration) and not row.ours and row.sealed_address is not None:
            imports = self.providers[row.provider].imports if row.provider in self.providers else None
            address = self.vault.open_registration_address(row.sealed_address, row.agency_id, row.e164, row.provider)
            if imports is not None and address is not None:
                parts = imports.read_parts(address)
        return Registration(row.remote_id or "", row.mode, parts)
