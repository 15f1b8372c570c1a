"""All open connections of one server: which are late, and which one makes room when there are too many.

The carrier must always get in. So a new connection is taken even when all are used up, and another one is closed for
it: the one that has gone longest without a complete request, then the one that has left its answer unread longest.
Only where every single connection is being answered is the new one refused, with 503, so that Twilio turns to the
fallback at once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final, Protocol

from router.edge.limits import Limits
from router.hygiene import give_memory_back
from router.telemetry import metrics

_WORTH_GIVING_BACK: Final = 4 * 1024 * 1024  # bytes
_ANSWERING_TAKES: Final = 24 * 1024  # bytes beside those of the request: of a call that waits for its provider
_CALM: Final = 0.25  # of that may still be taken when it is given back
_CALM_SECONDS: Final = 2.0  # until the applications have let go of those requests, too
_GIVING_BACK_SECONDS: Final = 30.0  # from one time to the next: it stops everything for some milliseconds
_TICK: Final = 0.2  # seconds from one look for late ones to the next


class Connection(Protocol):
    """What this module needs of a connection."""

    held: int
    """Bytes of requests that it keeps in memory."""

    def drop(self) -> None:
        """Close it at once."""
        ...

    def refuse(self, status: int) -> None:
        """Say no, then close it."""
        ...

    def is_late(self, now: float) -> bool:
        """Whether it has waited too long for its client."""
        ...

    def is_stuck(self, now: float) -> bool:
        """Whether its client has read nothing of its answer for too long."""
        ...

    def give_up(self) -> None:
        """Its client took too long."""
        ...


class Connections:
    """Of one server, in one event loop."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: set[Connection] = set()
        self._waiting: OrderedDict[Connection, None] = OrderedDict()  # for a complete request; the longest first
        self._unread: OrderedDict[Connection, None] = (
            OrderedDict()
        )  # with more to send than is taken; the longest first
        self._held = 0
        self._most_taken = 0  # since memory was given back
        self._next_giving_back = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, new: Connection) -> None:
        self._open.add(new)
        self._waiting[new] = None
        if self._timer is None:
            self._watch()
        while len(self._open) > self.limits.connections:
            oldest = self._choose(new)
            if oldest is new:
                new.refuse(503)
                return
            self._drop(oldest, "crowded")

    def forget(self, gone: Connection) -> None:
        """It is closed, or as good as closed."""
        if gone in self._open:
            self._open.remove(gone)
            self._waiting.pop(gone, None)
            self._unread.pop(gone, None)
            self.hold(gone, 0)

    def wait(self, connection: Connection) -> None:
        """From now on, it waits for a complete request."""
        if connection in self._open and connection not in self._waiting:
            self._waiting[connection] = None

    def answer(self, connection: Connection) -> None:
        """It has a complete request, which is being answered."""
        self._waiting.pop(connection, None)
        self._most_taken = max(self._most_taken, self._taken)

    def hold(self, connection: Connection, size: int) -> None:
        """It keeps so many bytes of requests now. If that is too much for all together, the oldest ones go."""
        self._held += size - connection.held
        self._most_taken = max(self._most_taken, self._taken)
        connection.held = size
        while self._held > self.limits.held_bytes:
            oldest = next((each for each in self._waiting if each.held), None)
            if oldest is None:
                return
            self._drop(oldest, "crowded")

    def mark_unread(self, connection: Connection) -> None:
        """Its client does not read what it is sent."""
        if connection in self._open:
            self._unread[connection] = None

    def mark_read(self, connection: Connection) -> None:
        self._unread.pop(connection, None)

    @property
    def _taken(self) -> int:
        """Bytes that requests take by and large, also those that are being answered."""
        return self._held + (len(self._open) - len(self._waiting)) * _ANSWERING_TAKES

    def _choose(self, new: Connection) -> Connection:
        """The one that makes room; the new one itself where all others are being answered."""
        oldest = next(iter(self._waiting))
        return next(iter(self._unread), new) if oldest is new else oldest

    def _drop(self, connection: Connection, reason: str) -> None:
        metrics.connection_ended(reason)
        self.forget(connection)
        connection.drop()

    def _watch(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._end_late_ones)

    def _end_late_ones(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for connection in [each for each in self._waiting if each.is_late(now)]:
            connection.give_up()
        for connection in [each for each in self._unread if each.is_stuck(now)]:
            self._drop(connection, "unread")
        is_calm = self._taken < _WORTH_GIVING_BACK * _CALM
        if is_calm and self._most_taken > _WORTH_GIVING_BACK and now > self._next_giving_back:
            self._most_taken, self._next_giving_back = self._taken, now + _GIVING_BACK_SECONDS
            asyncio.get_running_loop().call_later(_CALM_SECONDS, give_memory_back)
        if self._open or self._most_taken > _WORTH_GIVING_BACK:
            self._watch()
