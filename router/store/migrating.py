"""Runs the migrations with Alembic. The versions are in migrations/."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection as AlchemyConnection
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

_LOCK: Final = 7_331_046_155  # any number, the same in every process: one migrates, the others wait
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_TRIES: Final = 60
_PAUSE_SECONDS: Final = 2.0


class UnknownVersionError(Exception):
    """The database has a version that this program does not know."""


async def upgrade(dsn: str, migrations: Path = _MIGRATIONS) -> None:
    """To the newest version. A version that does not get its locks lets the calls pass and is tried again, for a few
    minutes. Raises UnknownVersionError, and the driver's own errors.
    """
    tries = 1
    while True:
        try:
            await _try_upgrade(dsn, migrations)
        except asyncpg.LockNotAvailableError:
            if tries == _TRIES:
                raise
        else:
            return
        tries += 1
        await asyncio.sleep(_PAUSE_SECONDS)


async def _try_upgrade(dsn: str, migrations: Path) -> None:
    engine = _engine(dsn)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("""SELECT pg_advisory_lock(:lock)"""), {"lock": _LOCK})
            await connection.commit()
            await connection.run_sync(_upgrade, migrations)
    except CommandError:
        raise UnknownVersionError from None
    except DBAPIError as error:
        raise _driver_error(error) from None
    finally:
        await engine.dispose()  # with the connection, the lock goes


def _driver_error(error: BaseException) -> BaseException:
    """The error of asyncpg inside those that SQLAlchemy wraps around it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, asyncpg.PostgresError):
            return cause
        cause = cause.__cause__
    return error


def _upgrade(connection: AlchemyConnection, migrations: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()


def _engine(dsn: str) -> AsyncEngine:
    """The driver reads the DSN itself, so that several hosts and target_session_attrs work here as in the pool."""
    return create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn), poolclass=NullPool)
