"""Checks whether a database is one that this code can use, and migrates it (router.store.migrating)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import asyncpg

from router.store.connecting import is_pooled
from router.store.continuing import continue_numbering
from router.store.pool import connect

OLDEST_POSTGRES: Final = 15
_VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"


class SchemaError(Exception):
    """The database has another schema than this code needs, or its server is too old."""


async def migrate(dsn: str) -> None:
    """Bring the database to the newest schema. Safe to run at once from several processes.

    Raises SchemaError for one that a newer version made, that an old server has or that is behind a pooler, and the
    database's errors.
    """
    if await _needs_upgrade(dsn):
        await _upgrade(dsn)
    connection = await connect(dsn)
    try:
        async with connection.transaction():
            await continue_numbering(connection)
    finally:
        connection.terminate()


async def _needs_upgrade(dsn: str) -> bool:
    connection = await connect(dsn)
    try:
        _check_server(connection)
        if await is_pooled(connection):  # the lock under which one process migrates belongs to a session
            raise SchemaError("this address leads to a pooler: set CALLROUTER_DATABASE_DIRECT_URL to one that does not")
        return await _find_version(connection) != _newest()
    finally:
        connection.terminate()


async def _upgrade(dsn: str) -> None:
    # Alembic takes a third of a second to load, and most starts have nothing for it to do.
    from router.store.migrating import UnknownVersionError, upgrade  # noqa: PLC0415

    try:
        await upgrade(dsn)
    except UnknownVersionError:
        raise SchemaError(
            "the database has a schema that this version does not know: a newer version made it"
        ) from None


async def check_schema(dsn: str) -> None:
    """Raises SchemaError if the database lacks a version that this code needs. A newer one is fine."""
    connection = await connect_to_schema(dsn)
    connection.terminate()


async def connect_to_schema(dsn: str) -> asyncpg.Connection:
    """A connection to a database with a schema that this code can use. Raises SchemaError."""
    connection = await connect(dsn)
    try:
        _check_server(connection)
        _compare(await _find_version(connection))
    except BaseException:
        connection.terminate()
        raise
    return connection


def _check_server(connection: asyncpg.Connection) -> None:
    version = connection.get_server_version()
    if version.major < OLDEST_POSTGRES:
        raise SchemaError(
            f"the server is PostgreSQL {version.major}.{version.minor}, this version needs {OLDEST_POSTGRES} or newer"
        )


async def _find_version(connection: asyncpg.Connection) -> str | None:
    try:
        version: str | None = await connection.fetchval("""SELECT version_num FROM alembic_version""")
    except asyncpg.UndefinedTableError:
        return None
    return version


def _compare(current: str | None) -> None:
    newest = _newest()
    if current is None:
        raise SchemaError("the database is empty: run `callrouter migrate`")
    if current < newest:
        raise SchemaError(f"the database has schema {current}, this version needs {newest}: run `callrouter migrate`")


@cache
def _newest() -> str:
    """Each version's file begins with its revision."""
    return max(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*.py"))
