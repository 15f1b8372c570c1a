"""Erasing what was kept of keys for calls that are over by now."""

from __future__ import annotations

from router.clock import Clock
from router.store.keys.versions import erase_retired_keys
from router.store.pool import Database
from router.telemetry import emit


async def erase_retired(database: Database, clock: Clock) -> None:
    """Versions of keys that were replaced, and that no call needs any more. Raises DATABASE_ERRORS."""
    for agency_id, kind, version in await erase_retired_keys(database.settings, clock()):
        emit("key.erased", agency_id=agency_id, kind=kind, key_version=version)
