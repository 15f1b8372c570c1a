from __future__ import annotations

import asyncpg
import pytest

from router.store.pool import Database
from router.store.schema import SchemaError, check_schema, migrate

pytestmark = pytest.mark.anyio


async def test_a_migrated_database_is_accepted_and_migrating_again_changes_nothing(database_dsn):
    await migrate(database_dsn)
    await check_schema(database_dsn)


async def test_an_empty_database_is_refused_with_the_command_to_run(postgres_dsn):
    with pytest.raises(SchemaError, match="callrouter migrate"):
        await check_schema(postgres_dsn)


async def test_a_newer_schema_is_accepted_by_older_code(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    await check_schema(database_dsn)


async def test_every_pool_reaches_the_database_and_only_calls_do_not_wait_for_the_disk(database: Database):
    assert await database.calls.fetchval("SHOW synchronous_commit") == "off"
    for pool in (database.webhooks, database.settings, database.figures):
        assert await pool.fetchval("SHOW synchronous_commit") == "on"
