"""What live calls tell about keys: how many lines a provider reported, refusals, calls that found no free line; and that
a client's assistant was refused, which is looked at soon.

These are hints, not records: they are written a little later, outside the calls' transactions, and dropped while the
database is away.
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
from router.routing.circuit import Usage
from router.store.keys.health import hasten_check, note_lines, note_no_credit, note_overflow
from router.store.pool import Database
from router.wanted import nudge

CALLS_OVERFLOWED: Final = "calls_overflowed"
_FLUSH_SECONDS: Final = 5.0
_LINES_SECONDS: Final = 10.0  # one key's lines are written at most this often, unless their number changes
_SAME_SECONDS: Final = 60.0  # and anything else
_MOST_KEYS: Final = 10_000


@dataclass(slots=True)
class KeyNotes:
    """Collects what calls report, without making them wait."""

    database: Database
    recorder: Recorder
    clock: Clock
    monotonic: Callable[[], float] = time.monotonic
    _lines: dict[Usage, tuple[Lines, datetime]] = field(default_factory=dict, init=False)
    _refused: set[Usage] = field(default_factory=set, init=False)
    _without_credit: set[Usage] = field(default_factory=set, init=False)
    _overflowed: set[Usage] = field(default_factory=set, init=False)
    _to_look_at: set[Usage] = field(default_factory=set, init=False)
    _limits: TTLCache[Usage, int] = field(init=False)
    _lately: TTLCache[tuple[str, Usage], None] = field(init=False)

    def __post_init__(self) -> None:
        self._limits = TTLCache(_MOST_KEYS, _LINES_SECONDS, self.monotonic)
        self._lately = TTLCache(_MOST_KEYS, _SAME_SECONDS, self.monotonic)

    def note_lines(self, key: Usage, lines: Lines) -> None:
        """A provider reported, with a call, how many lines there are."""
        if self._limits.get(key) == lines.limit:
            return
        self._limits[key] = lines.limit
        self._lines[key] = (lines, self.clock())

    def note_refusal(self, key: Usage) -> None:
        """A provider refused a call for a reason that makes the key, its credit or its lines doubtful."""
        if self._is_new("refused", key):
            self._refused.add(key)

    def note_no_credit(self, key: Usage) -> None:
        """A provider refused or ended a call for lack of credit."""
        if self._is_new("no credit", key):
            self._without_credit.add(key)

    def note_overflow(self, key: Usage) -> None:
        """A call went elsewhere because all lines are in use."""
        if self._is_new("overflowed", key):
            self._overflowed.add(key)

    def note_marked(self, key: Usage) -> None:
        """A provider refused a call because of the client's assistant, which is marked (`MarkAssistant`)."""
        self._to_look_at.add(key)

    async def write(self) -> None:
        """Write what was collected. Raises DATABASE_ERRORS; what was not written by then is lost.

        Lines that other calls use are found by subtracting our own calls, so these have to be on record first.
        """
        if self._lines and not (await self.recorder.flush(_FLUSH_SECONDS) and not self.recorder.spooling):
            self._lines.clear()
        lines, self._lines = self._lines, {}
        refused, self._refused = self._refused, set()
        without_credit, self._without_credit = self._without_credit, set()
        overflowed, self._overflowed = self._overflowed, set()
        to_look_at, self._to_look_at = self._to_look_at, set()
        pool = self.database.settings
        for key, (reported, at) in lines.items():
            await note_lines(pool, key.agency_id, key.provider, key.key_version, reported, at)
        for key in without_credit:
            await note_no_credit(pool, key.agency_id, key.provider, key.key_version, self.clock())
        for key in refused:
            await hasten_check(pool, key.agency_id, key.provider, key.key_version, self.clock())
        for key in overflowed:
            await self._warn(key)
        for key in to_look_at:
            async with pool.acquire() as connection, connection.transaction():
                await nudge(connection, key.agency_id, key.provider)

    async def _warn(self, key: Usage) -> None:
        async with self.database.settings.acquire() as connection, connection.transaction():
            if await note_overflow(connection, key.agency_id, key.provider, key.key_version, self.clock()):
                ids: dict[str, str | int] = {
                    "agency_id": key.agency_id,
                    "kind": key.provider,
                    "version": key.key_version,
                }
                await post(connection, CALLS_OVERFLOWED, ids, once=f"{key.agency_id}/{key.provider}/{key.key_version}")

    def _is_new(self, what: str, key: Usage) -> bool:
        if (what, key) in self._lately:
            return False
        self._lately[what, key] = None
        return True
