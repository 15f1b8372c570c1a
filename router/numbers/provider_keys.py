"""An agency's key at a voice provider, opened for what is done about its numbers there."""

from __future__ import annotations

from dataclasses import dataclass

from crypto import OpenError, Secret
from router.services import ApiServices
from router.store.keys.versions import StoredKey, find_key_in_use
from router.store.sealed import open_key
from router.telemetry import emit


@dataclass(frozen=True, slots=True)
class OpenedKey:
    """The key in use; held for one piece of work and no longer."""

    stored: StoredKey
    secret: Secret


async def open_provider_key(services: ApiServices, agency_id: str, provider: str) -> OpenedKey | None:
    """None: there is none, or it does not open, which is said loudly."""
    stored = await find_key_in_use(services.database.settings, agency_id, provider)
    if stored is None:
        return None
    try:
        return OpenedKey(stored, open_key(services.keyring, stored.sealed, agency_id, provider, stored.version))
    except OpenError:
        emit("key.unreadable", agency_id=agency_id, kind=provider, key_version=stored.version)
        return None
