"""What live calls teach about keys: lines that a provider told of, refusals, calls that found no free line.

Knowledge, not records: it is written behind the calls, a little later, in no call's transaction, and what cannot be
written while the database is away is let go.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cachetools import TTLCache

from adapters.portable import Lines
from router.calls.recorder import Recorder
from router.clock import Clock
from router.mail import post
from router.store.keys.health import hasten_check, note_lines, note_overflow
from router.store.pool import Database

CALLS_OVERFLOWED: Final = "calls_overflowed"
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
class KeyNotes:
    """Collects what calls report, without making them wait."""

    database: Database
    recorder: Recorder
    clock: Clock
    monotonic: Callable[[], float] = time.monotonic
    _lines: dict[KeyName, tuple[Lines, datetime]] = field(default_factory=dict, init=False)
    _refused: set[KeyName] = field(default_factory=set, init=False)
    _overflowed: set[KeyName] = field(default_factory=set, init=False)
    _limits: TTLCache[KeyName, int] = field(init=False)
    _lately: TTLCache[tuple[str, KeyName], None] = field(init=False)

    def __post_init__(self) -> None:
        self._limits = TTLCache(_MOST_KEYS, _LINES_SECONDS, self.monotonic)
        self._lately = TTLCache(_MOST_KEYS, _SAME_SECONDS, self.monotonic)

    def note_lines(self, key: KeyName, lines: Lines) -> None:
        """A provider said with a call how many lines there are."""
        if self._limits.get(key) == lines.limit:
            return
        self._limits[key] = lines.limit
        self._lines[key] = (lines, self.clock())

    def note_refusal(self, key: KeyName) -> None:
        """A provider refused a call in a way that makes one doubt the key, its credit or its lines."""
        if self._is_new("refused", key):
            self._refused.add(key)

    def note_overflow(self, key: KeyName) -> None:
        """A call went elsewhere because all lines are in use."""
        if self._is_new("overflowed", key):
            self._overflowed.add(key)

    async def write(self) -> None:
        """Write down what was told. Raises DATABASE_ERRORS; then what is left is lost.

        Lines in use that are not our calls' are found by counting ours: those have to be on record first.
        """
        if self._lines and not (await self.recorder.flush(_FLUSH_SECONDS) and not self.recorder.spooling):
            self._lines.clear()
        lines, self._lines = self._lines, {}
        refused, self._refused = self._refused, set()
        overflowed, self._overflowed = self._overflowed, set()
        pool = self.database.settings
        for key, (told, at) in lines.items():
            await note_lines(pool, key.agency_id, key.provider, key.version, told, at)
        for key in refused:
            await hasten_check(pool, key.agency_id, key.provider, key.version, self.clock())
        for key in overflowed:
            await self._warn(key)

    async def _warn(self, key: KeyName) -> None:
        async with self.database.settings.acquire() as connection, connection.transaction():
            if await note_overflow(connection, key.agency_id, key.provider, key.version, self.clock()):
                ids: dict[str, str | int] = {"agency_id": key.agency_id, "kind": key.provider, "version": key.version}
                await post(connection, CALLS_OVERFLOWED, ids, once=f"{key.agency_id}/{key.provider}/{key.version}")

    def _is_new(self, what: str, key: KeyName) -> bool:
        if (what, key) in self._lately:
            return False
        self._lately[what, key] = None
        return True
