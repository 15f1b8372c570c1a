"""Erasing what was kept of keys for calls that are over by now: a small task of every process, harmless if all run it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

from router.store.keys import erase_retired_keys
from router.store.pool import DATABASE_ERRORS, Database
from router.telemetry import emit

_EVERY_SECONDS: Final = 300.0


class RetiredKeys:
    """Versions of keys that were replaced."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def erase_now_and_then(self) -> None:
        """Until cancelled. What cannot be erased while the database is away is erased later."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await self.erase()
            except DATABASE_ERRORS:
                continue

    async def erase(self) -> None:
        """Raises DATABASE_ERRORS."""
        for agency_id, kind, version in await erase_retired_keys(self._database.settings, self._clock()):
            emit("key.erased", agency_id=agency_id, kind=kind, key_version=version)
