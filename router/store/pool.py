"""Connections to PostgreSQL, in a small pool for each kind of work, so that none keeps another waiting.

They ask the server for no settings of a whole connection, which a pooler such as PgBouncer would refuse.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Self, TypeAlias
from weakref import WeakValueDictionary

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from pydantic_core import from_json

from router.store.connecting import open_connection
from router.store.metering import MeteredPool

Pool: TypeAlias = asyncpg.Pool
Connection: TypeAlias = Pool | asyncpg.Connection | PoolConnectionProxy
"""Runs a statement. A pool lends one of its connections for it; a transaction needs a connection."""

COMMAND_SECONDS: Final = 5.0
FIGURES_SECONDS: Final = 10.0
_OF_AN_AGENCY: Final = 2  # of the connections for figures
# A route has four columns of JSON: json.loads takes three times as long. Values are not cached: some are sealed keys.
_decode_json: Final = partial(from_json, cache_strings="keys")
_GRACE_SECONDS: Final = 2.0  # in which a server that is there ends a statement by itself
_CLOSE_SECONDS: Final = 2.0
_IDLE_SECONDS: Final = 300.0  # then a pool closes a connection
_MOST_STATEMENTS: Final = 50_000  # likewise

# For one transaction. The plan is made for the values: one for all values expects a span of a few calls, and takes
# minutes for a year. One process of the server is enough: the others answer calls.
_FIGURES_SETTINGS: Final = """
SELECT set_config('statement_timeout', $1, true),
       set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('max_parallel_workers_per_gather', '0', true),
       set_config('work_mem', '32MB', true)
"""

# Errors to expect when the database is away, slow or shutting down.
DATABASE_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.TargetServerAttributeNotMatched,
)

# Those of them that are not about the statement: it may succeed later, or on another server.
AWAY_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was ended, used before the driver has noticed
    asyncpg.TargetServerAttributeNotMatched,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
    # The server refuses every login: the password changed, or the database is being moved.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ObjectNotInPrerequisiteStateError,
)


class _PooledConnection(asyncpg.Connection):
    """A connection of our pools, which use nothing that outlives a transaction: no session locks, no SET, no LISTEN."""

    def get_reset_query(self) -> str:
        """None: a round trip for each statement."""
        return ""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  (the driver's own)
        # A pool closes old connections in the background, where an error of one that is dead already is of no use.
        try:
            await super().close(timeout=timeout)
        except (OSError, TimeoutError, asyncpg.InterfaceError):
            self.terminate()


class TooSlowError(Exception):
    """A statement was stopped at its time limit, or found no connection within it. The connections are well."""


@dataclass(frozen=True, slots=True)
class Database:
    """`calls`: what a caller waits for.

    `webhooks`: transfers, ends of calls, and what the providers report. `settings`: the API and the jobs.
    Figures have their own (`counting`).
    """

    calls: MeteredPool
    webhooks: MeteredPool
    settings: MeteredPool
    figures: MeteredPool
    figures_seconds: float = FIGURES_SECONDS
    _counting: WeakValueDictionary[str, asyncio.Semaphore] = field(default_factory=WeakValueDictionary)

    @property
    def pools(self) -> tuple[MeteredPool, ...]:
        return self.calls, self.webhooks, self.settings, self.figures

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Open the pools, even while the server is away; close them in the end."""
        for pool in self.pools:
            await pool
        try:
            yield self
        finally:
            await asyncio.gather(*map(_close, self.pools))

    async def renew(self) -> None:
        """Replace all connections: after a loss, old ones may be dead without a sign of it."""
        for pool in self.pools:
            await pool.expire_connections()

    @asynccontextmanager
    async def counting(self, agency_id: str) -> AsyncIterator[Connection]:
        """A connection for statements that read many of an agency's rows, each within `figures_seconds`, which is also how
        long one may be waited for. An agency gets two at once, so that others find one. Raises TooSlowError.
        """
        places = self._counting.setdefault(agency_id, asyncio.Semaphore(_OF_AN_AGENCY))
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self.figures_seconds):
                    await stack.enter_async_context(places)
                    connection = await self.figures.acquire()
            except TimeoutError:
                raise TooSlowError from None
            stack.push_async_callback(self.figures.release, connection)
            try:
                async with connection.transaction(readonly=True):
                    await connection.execute(_FIGURES_SETTINGS, f"{round(self.figures_seconds * 1000)}ms")
                    yield connection
            except asyncpg.QueryCanceledError:
                raise TooSlowError from None


def make_database(
    dsn: str,
    *,
    call_connections: int = 10,
    webhook_connections: int = 5,
    settings_connections: int = 5,
    figures_connections: int = 3,
    figures_seconds: float = FIGURES_SECONDS,
) -> Database:
    """The pools, not opened yet. Call it in the event loop that uses them."""
    return Database(
        calls=_create_pool("calls", dsn, call_connections),
        webhooks=_create_pool("webhooks", dsn, webhook_connections),
        settings=_create_pool("settings", dsn, settings_connections),
        figures=_create_pool("figures", dsn, figures_connections, command_seconds=figures_seconds + _GRACE_SECONDS),
        figures_seconds=figures_seconds,
    )


@asynccontextmanager
async def open_plain_pool(dsn: str, size: int, name: str) -> AsyncIterator[Pool]:
    """A pool for a library that reads and writes JSON itself; the server shows `name`."""
    pool = await _create_pool("jobs", dsn, size, application_name=name, read_json=False)
    try:
        yield pool
    finally:
        await _close(pool)


async def try_lock(connection: Connection, name: str) -> bool:
    """Lock something that has no row yet until the transaction ends. False at once if another one holds the lock."""
    return bool(await connection.fetchval("""SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))""", name))


async def connect(dsn: str) -> asyncpg.Connection:
    """A connection outside the pools, for the recorder and for LISTEN."""
    connection = await open_connection(dsn, command_timeout=COMMAND_SECONDS, timeout=COMMAND_SECONDS)
    await _read_json(connection)
    return connection


async def _read_json(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=_decode_json, schema="pg_catalog")


def _create_pool(
    name: str,
    dsn: str,
    size: int,
    *,
    application_name: str = "callrouter",
    read_json: bool = True,
    command_seconds: float = COMMAND_SECONDS,
) -> MeteredPool:
    return MeteredPool(
        name,
        dsn,
        min_size=0,
        max_size=size,
        max_queries=_MOST_STATEMENTS,
        max_inactive_connection_lifetime=_IDLE_SECONDS,
        connect=open_connection,
        init=_read_json if read_json else None,
        loop=None,
        connection_class=_PooledConnection,
        record_class=asyncpg.Record,
        command_timeout=command_seconds,
        timeout=COMMAND_SECONDS,
        server_settings={"application_name": application_name},
    )


async def _close(pool: Pool) -> None:
    """Wait for the connections, unless the server does not answer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await pool.close()  # given up, it closes all connections at once
