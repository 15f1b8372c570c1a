"""Hearing from the database which agency's settings changed, over a connection of its own (LISTEN).

What a change means to the listener is its business. Notices of a time without a connection are lost: the listener is
told so, and has to look for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from router.store.pool import DATABASE_ERRORS, Connection, connect

CHANNEL: Final = "callrouter_settings"
_RETRY_SECONDS: Final = 1.0
_ALIVE_SECONDS: Final = 10.0


class Notices:
    """Calls `hear` with an agency's id for each change, and with None after every (re)connection."""

    def __init__(self, dsn: str, hear: Callable[[str | None], Awaitable[None]]) -> None:
        self._dsn = dsn
        self._hear = hear
        self._heard: asyncio.Queue[str] = asyncio.Queue()

    async def run(self) -> None:
        """Listen until cancelled, whatever happens to the connection."""
        while True:
            try:
                await self._listen()
            except DATABASE_ERRORS:
                await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        connection = await connect(self._dsn)
        try:
            await connection.add_listener(CHANNEL, self._note)
            await self._hear(None)
            while True:
                await self._hear_next(connection)
        finally:
            connection.terminate()

    async def _hear_next(self, connection: Connection) -> None:
        """The next agency; now and then a look whether the connection is still there."""
        try:
            async with asyncio.timeout(_ALIVE_SECONDS):
                agency_id = await self._heard.get()
        except TimeoutError:
            await connection.fetchval("SELECT 1")
            return
        changed = {agency_id}
        while not self._heard.empty():
            changed.add(self._heard.get_nowait())
        for each in changed:
            await self._hear(each)

    def _note(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        self._heard.put_nowait(payload)
