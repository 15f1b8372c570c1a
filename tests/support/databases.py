"""Databases of a test's own on the suite's server: copied from one template, emptied afterwards and used again.

Copying takes hundreds of milliseconds, emptying takes five.
"""

from __future__ import annotations

import contextlib
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg

TEMPLATE = "callrouter_template"
_LARGEST = 16 * 1024 * 1024  # bytes: twice the size of an empty one


@dataclass(frozen=True, slots=True)
class _Database:
    name: str
    dsn: str
    schema: str  # as it was when the database was made


_free: defaultdict[str, list[_Database]] = defaultdict(list)  # empty databases of this process, by server


@contextlib.asynccontextmanager
async def fresh_database(server_dsn: str) -> AsyncIterator[str]:
    """Yields the DSN of an empty database at the newest schema."""
    free = _free[server_dsn]
    database = free.pop() if free else await _create(server_dsn)
    try:
        yield database.dsn
    finally:
        if await _empty(database):
            free.append(database)
        else:
            async with _connected(server_dsn) as connection:
                await connection.execute(f"DROP DATABASE {database.name} WITH (FORCE)")


def with_database(dsn: str, name: str) -> str:
    return dsn.replace("/postgres?", f"/{name}?", 1)


# Columns, triggers, functions, constraints and the version.
_SCHEMA = """
SELECT concat_ws(' ',
    (SELECT md5(string_agg(concat_ws(' ', attrelid, attname, atttypid, attnotnull), ' ' ORDER BY attrelid, attnum))
       FROM pg_attribute WHERE attrelid >= 16384),
    (SELECT count(*) FROM pg_trigger), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_constraint),
    (SELECT string_agg(version_num, ' ') FROM alembic_version))
"""

# As dropping the database would.
_END_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""

_DELETE_ALL = """
DO $$
DECLARE name text;
BEGIN
    SET LOCAL session_replication_role = replica;  -- neither triggers nor foreign keys
    FOR name IN SELECT relname FROM pg_class  -- opening a table takes longer than asking for the size of its file
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0
        AND relname <> 'alembic_version' LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
END $$
"""


async def _create(server_dsn: str) -> _Database:
    name = f"test_{secrets.token_hex(6)}"
    async with _connected(server_dsn) as connection:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    dsn = with_database(server_dsn, name)
    async with _connected(dsn) as connection:
        return _Database(name, dsn, await connection.fetchval(_SCHEMA))


async def _empty(database: _Database) -> bool:
    """False if a test has filled it, changed its schema, or lets nobody in."""
    with contextlib.suppress(asyncpg.ObjectNotInPrerequisiteStateError):
        return await _delete_all(database)
    return False


async def _delete_all(database: _Database) -> bool:
    async with _connected(database.dsn) as connection:
        await connection.execute(_END_OTHERS)
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
        if size > _LARGEST or await connection.fetchval(_SCHEMA) != database.schema:
            return False
        await connection.execute(_DELETE_ALL)
    return True


@contextlib.asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()
