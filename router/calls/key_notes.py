"""What live calls teach about keys: lines that a provider told of, refusals, calls that found no free line.

Knowledge, not records: it is written behind the calls, a little later, in no call's transaction, and what cannot be
written while the database is away is let go.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cachetools import FIFOCache

from adapters.portable import Lines
from router.calls.recorder import Recorder
from router.mail import post
from router.store.keys.health import hasten_check, note_lines, note_overflow
from router.store.pool import DATABASE_ERRORS, Database
from router.telemetry import emit

CALLS_OVERFLOWED: Final = "calls_overflowed"
_WRITE_SECONDS: Final = 1.0
_FLUSH_SECONDS: Final = 5.0
_LINES_SECONDS: Final = 10.0  # lines of one key are written down this often at most, unless there are more or fewer
_SAME_SECONDS: Final = 60.0  # and anything else
_MOST_KEYS: Final = 10_000


@dataclass(frozen=True, slots=True)
class KeyName:
    """One version of an agency's key."""

    agency_id: str
    provider: str
    version: int


@dataclass(slots=True)
class _Known:
    limit: int
    at: float


class KeyNotes:
    """Is told by calls, without making them wait."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._monotonic = monotonic
        self._lines: dict[KeyName, tuple[Lines, datetime]] = {}
        self._refused: set[KeyName] = set()
        self._overflowed: set[KeyName] = set()
        self._known: FIFOCache[KeyName, _Known] = FIFOCache(_MOST_KEYS)
        self._lately: FIFOCache[tuple[str, KeyName], float] = FIFOCache(_MOST_KEYS)

    def note_lines(self, key: KeyName, lines: Lines) -> None:
        """A provider said with a call how many lines there are."""
        known, now = self._known.get(key), self._monotonic()
        if known is not None and known.limit == lines.limit and now - known.at < _LINES_SECONDS:
            return
        self._known[key] = _Known(lines.limit, now)
        self._lines[key] = (lines, self._clock())

    def note_refusal(self, key: KeyName) -> None:
        """A provider refused a call in a way that makes one doubt the key, its credit or its lines."""
        if self._is_new("refused", key):
            self._refused.add(key)

    def note_overflow(self, key: KeyName) -> None:
        """A call went elsewhere because all lines are in use."""
        if self._is_new("overflowed", key):
            self._overflowed.add(key)

    async def write_now_and_then(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            try:
                await self.write()
            except DATABASE_ERRORS:
                continue
            except Exception as error:  # noqa: BLE001  the next time may go well
                emit("request.failed", exception=error)

    async def write(self) -> None:
        """Write down what was told. Raises DATABASE_ERRORS; then what is left is lost.

        Lines in use that are not our calls' are found by counting ours: those have to be on record first.
        """
        if self._lines and not (await self._recorder.flush(_FLUSH_SECONDS) and not self._recorder.spooling):
            self._lines.clear()
        lines, self._lines = self._lines, {}
        refused, self._refused = self._refused, set()
        overflowed, self._overflowed = self._overflowed, set()
        pool = self._database.settings
        for key, (told, at) in lines.items():
            await note_lines(pool, key.agency_id, key.provider, key.version, told, at)
        for key in refused:
            await hasten_check(pool, key.agency_id, key.provider, key.version, self._clock())
        for key in overflowed:
            await self._warn(key)

    async def _warn(self, key: KeyName) -> None:
        async with self._database.settings.acquire() as connection, connection.transaction():
            if await note_overflow(connection, key.agency_id, key.provider, key.version, self._clock()):
                ids: dict[str, str | int] = {"agency_id": key.agency_id, "kind": key.provider, "version": key.version}
                await post(connection, CALLS_OVERFLOWED, ids, once=f"{key.agency_id}/{key.provider}/{key.version}")

    def _is_new(self, what: str, key: KeyName) -> bool:
        now, last = self._monotonic(), self._lately.get((what, key))
        if last is not None and now - last < _SAME_SECONDS:
            return False
        self._lately[what, key] = now
        return True
