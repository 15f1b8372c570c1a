"""Notices from the database that something of an agency changed, over a separate connection (LISTEN).

Notices that are sent while there is no connection are lost: the listener is told about each new connection, and has to
look for changes itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

from router.store.connecting import is_pooled
from router.store.pool import DATABASE_ERRORS, connect
from router.telemetry import emit

CHANNEL: Final = "callrouter_settings"
_RETRY_SECONDS: Final = 1.0
_TOLD_AFTER: Final = 30  # failures, one after the other
_ALIVE_SECONDS: Final = 10.0
_SETTING: Final = "CALLROUTER_DATABASE_DIRECT_URL"
_POOLED: Final = "leads to a pooler, which does not pass on notices: changes and jobs are noticed late or never"
_UNHEARD: Final = (
    "the database there (or that of CALLROUTER_DATABASE_URL) cannot be listened to: changes are noticed late"
)


class Notices:
    """Calls `hear` with an agency's id for each change, and with None after every (re)connection."""

    def __init__(self, dsn: str, hear: Callable[[str | None], Awaitable[None]], channel: str = CHANNEL) -> None:
        self._dsn = dsn
        self._channel = channel
        self._hear = hear
        self._changed: set[str] = set()  # agencies, so that many changes of one are heard as one
        self._wake = asyncio.Event()
        self._warned = False
        self._failures = 0  # since it last listened

    async def run(self) -> None:
        """Listen until cancelled, and reconnect when the connection is lost."""
        while True:
            try:
                await self._listen()
            except DATABASE_ERRORS:
                # Questions to the database report an outage. But they may use another address.
                self._failures += 1
                if self._failures == _TOLD_AFTER:
                    emit("settings.warning", setting=_SETTING, message=_UNHEARD)
            except Exception as error:  # noqa: BLE001  settings that cannot be read must not end the listening
                emit("request.failed", exception=error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        connection = await connect(self._dsn)
        try:
            await self._warn_about_pooler(connection)
            connection.add_termination_listener(self._note_end)
            await connection.add_listener(self._channel, self._note)
            self._failures = 0
            self._changed.clear()
            await self._hear(None)
            while not connection.is_closed():
                await self._hear_next(connection)
        finally:
            connection.terminate()

    async def _warn_about_pooler(self, connection: asyncpg.Connection) -> None:
        if not self._warned and await is_pooled(connection):
            self._warned = True
            emit("settings.warning", setting=_SETTING, message=_POOLED)

    async def _hear_next(self, connection: asyncpg.Connection) -> None:
        """Pass on the changes; check from time to time that the connection is alive."""
        try:
            async with asyncio.timeout(_ALIVE_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            await connection.fetchval("""SELECT 1""")
        self._wake.clear()
        while self._changed:
            await self._hear(self._changed.pop())

    def _note(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        self._changed.add(str(payload))
        self._wake.set()

    def _note_end(self, _connection: Any) -> None:
        self._wake.set()
