"""Connections to PostgreSQL: one small pool for live calls, one for everything else.

Two, because a burst of settings work must not keep a call waiting, and because they commit differently: what a
call claims need not be flushed to disk before a provider is asked. It is durable with the next commit of the
recorder, which is flushed, stands behind it in the same write-ahead log, and is awaited before the reply.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Pool: TypeAlias = asyncpg.Pool
Connection: TypeAlias = Pool | asyncpg.Connection | PoolConnectionProxy
"""What runs a statement. A pool lends one of its connections for it; a transaction needs a connection."""

COMMAND_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 2.0

# What a caller of the database has to expect when it is away, slow or shutting down.
DATABASE_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.TargetServerAttributeNotMatched,
)

# Those of them that say nothing against what was asked: the server will answer another time, or another one will.
AWAY_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.TargetServerAttributeNotMatched,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
    # A server that lets nobody in: the password changed, or the database is being moved.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ObjectNotInPrerequisiteStateError,
)


class _PooledConnection(asyncpg.Connection):
    """A pool lets go of old connections in the background, where nobody hears that one was dead already."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  (the driver's own)
        try:
            await super().close(timeout=timeout)
        except (OSError, TimeoutError, asyncpg.InterfaceError):
            self.terminate()


@dataclass(frozen=True, slots=True)
class Database:
    """Both pools. `calls` commits without waiting for the disk, `settings` waits."""

    calls: Pool
    settings: Pool

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open both pools without insisting that the server is there yet; close them in the end."""
        await self.calls
        await self.settings
        try:
            yield
        finally:
            await asyncio.gather(_close(self.calls), _close(self.settings))

    async def renew(self) -> None:
        """From now on use new connections: after a loss the old ones may be dead without knowing."""
        await self.calls.expire_connections()
        await self.settings.expire_connections()


def make_database(dsn: str, *, call_connections: int = 10, settings_connections: int = 5) -> Database:
    """Both pools, yet to be opened. Needs the event loop in which they are used."""
    return Database(
        calls=_create_pool(dsn, call_connections, {"synchronous_commit": "off"}),
        settings=_create_pool(dsn, settings_connections, {}),
    )


@asynccontextmanager
async def open_database(
    dsn: str, *, call_connections: int = 10, settings_connections: int = 5
) -> AsyncIterator[Database]:
    """Both pools, open while the block runs."""
    database = make_database(dsn, call_connections=call_connections, settings_connections=settings_connections)
    async with database.opened():
        yield database


@asynccontextmanager
async def open_plain_pool(dsn: str, size: int, name: str) -> AsyncIterator[Pool]:
    """A pool for a library that reads and writes JSON by itself; `name` is what the server shows of it."""
    pool = await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        command_timeout=COMMAND_SECONDS,
        timeout=COMMAND_SECONDS,
        connection_class=_PooledConnection,
        server_settings={"application_name": name},
    )
    try:
        yield pool
    finally:
        await _close(pool)


async def connect(dsn: str) -> asyncpg.Connection:
    """A connection of its own, for the recorder and for LISTEN."""
    connection = await asyncpg.connect(dsn, command_timeout=COMMAND_SECONDS, timeout=COMMAND_SECONDS)
    await _read_json(connection)
    return connection


def _create_pool(dsn: str, size: int, server_settings: dict[str, str]) -> Pool:
    return asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        command_timeout=COMMAND_SECONDS,
        timeout=COMMAND_SECONDS,
        init=_read_json,
        connection_class=_PooledConnection,
        server_settings={"application_name": "callrouter", **server_settings},
    )


async def _close(pool: Pool) -> None:
    """Politely, unless the server says nothing."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await pool.close()  # given up, it closes all connections at once


async def _read_json(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
