"""Follows an agency's call events as they happen, from any place.

Each process listens once (router.store.notices) and wakes the streams of that agency. They read the events from the
database, so that every replica sends the same, and a resumed stream has no gap.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

from router.events.order import Order
from router.store.events.feed import FeedEvent, read_events
from router.store.pool import Database

_AT_A_TIME: Final = 100
_HELD_BACK_SECONDS: Final = 0.05
_LOOK_SECONDS: Final = 1.0  # how soon a stream ends when the service is told to stop
_KEEPALIVE_SECONDS: Final = 15.0  # proxies close a connection that is silent for longer


class EventFeed:
    """`is_stopping` is checked every second, so that streams do not delay a shutdown."""

    def __init__(self, database: Database, is_stopping: Callable[[], bool]) -> None:
        self._database = database
        self._is_stopping = is_stopping
        self._order = Order()
        self._followers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def hear(self, agency_id: str | None) -> None:
        """That agency has new events; None: any agency may have some."""
        heard = list(self._followers) if agency_id is None else [agency_id]
        for one in heard:
            for wake in self._followers.get(one, ()):
                wake.set()

    async def find_end(self) -> int:
        """A place before all that is committed from now on."""
        return await self._order.find_end(self._database.settings)

    async def follow(self, agency_id: str, after: int) -> AsyncIterator[FeedEvent | None]:
        """Events after that place, until the service stops; None from time to time while there are none."""
        wake = asyncio.Event()
        self._followers[agency_id].add(wake)
        try:
            while not self._is_stopping():
                wake.clear()
                settled = await self._order.look(self._database.settings)
                stretch = await read_events(self._database.settings, agency_id, after, settled, _AT_A_TIME)
                for event in stretch.events:
                    yield event
                    after = event.place
                if stretch.held_back:
                    await asyncio.sleep(_HELD_BACK_SECONDS)
                elif len(stretch.events) < _AT_A_TIME and not await self._wait(wake):
                    yield None
        finally:
            self._followers[agency_id].discard(wake)
            if not self._followers[agency_id]:
                del self._followers[agency_id]

    async def _wait(self, wake: asyncio.Event) -> bool:
        """Wait for new events. False when there were none for _KEEPALIVE_SECONDS."""
        for _ in range(round(_KEEPALIVE_SECONDS / _LOOK_SECONDS)):
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await wake.wait()
                    return True
            if self._is_stopping():
                return True
        return False
