from __future__ import annotations

import asyncpg
import pytest

from router.store.continuing import is_continued
from router.store.pool import Database
from router.store.schema import SchemaError, check_schema, migrate
from tests.router.store.rows import insert, insert_client

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


async def test_every_pool_reaches_the_database_and_asks_for_nothing_that_a_pooler_refuses(database: Database):
    """Such as PgBouncer: settings of a whole connection that is shared with others."""
    changed = (
        "SELECT name FROM pg_settings WHERE source = 'client' AND name NOT IN ('application_name', 'client_encoding')"
    )
    for pool in (database.calls, database.webhooks, database.settings, database.figures):
        assert await pool.fetch(changed) == []


async def test_a_server_that_is_too_old_is_named_with_what_is_needed(database_dsn, monkeypatch):
    monkeypatch.setattr("router.store.schema.OLDEST_POSTGRES", 99)
    for attempt in (check_schema, migrate):
        with pytest.raises(SchemaError, match=r"the server is PostgreSQL \d+\.\d+, this version needs 99 or newer"):
            await attempt(database_dsn)


async def test_a_database_that_lives_elsewhere_counts_on_far_above_what_was_ever_given_out(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    await migrate(database_dsn)
    assert await is_continued(connection)
    await insert_client(connection, "agency_1", "client_1")
    await insert(connection, "calls", id="call_1", call_sid="CA1", agency_id="agency_1", client_id="client_1")
    await insert(connection, "call_events", id="e1", call_id="call_1", seq=500)  # as logical replication brings it
    await connection.execute("UPDATE numbered_at SET place = 'there'")
    assert not await is_continued(connection)
    await migrate(database_dsn)
    await migrate(database_dsn)
    assert await is_continued(connection)
    await insert(connection, "call_events", id="e2", call_id="call_1", step="s")
    place = await connection.fetchval("SELECT seq FROM call_events WHERE id = 'e2'")
    assert 1_000_000_500 < place < 2_000_000_000
    await connection.close()
