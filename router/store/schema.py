"""Bringing a database to the newest schema, and telling whether it is there. The versions are in migrations/."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection as AlchemyConnection
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from router.store.pool import connect

_LOCK: Final = 7_331_046_155  # any number, the same in every process: one migrates, the others wait


class SchemaError(Exception):
    """The database has another schema than this code needs."""


async def migrate(dsn: str) -> None:
    """Bring the database to the newest schema. Safe to run at once from several processes."""
    engine = _engine(dsn)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("""SELECT pg_advisory_lock(:lock)"""), {"lock": _LOCK})
            await connection.commit()
            await connection.run_sync(_upgrade)
            await connection.execute(text("""SELECT pg_advisory_unlock(:lock)"""), {"lock": _LOCK})
            await connection.commit()
    finally:
        await engine.dispose()


async def check_schema(dsn: str) -> None:
    """Raises SchemaError if the database lacks a version that this code needs. A newer one is fine."""
    connection = await connect_to_schema(dsn)
    connection.terminate()


async def connect_to_schema(dsn: str) -> asyncpg.Connection:
    """A connection to a database that has what this code needs. Raises SchemaError."""
    connection = await connect(dsn)
    try:
        _compare(await _find_version(connection))
    except BaseException:
        connection.terminate()
        raise
    return connection


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
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _upgrade(connection: AlchemyConnection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _engine(dsn: str) -> AsyncEngine:
    """The driver reads the DSN itself, so that several hosts and target_session_attrs work here as in the pool."""
    return create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn), poolclass=NullPool)
