"""Migrations run while calls go on: what they may do, and what becomes of one that is in the way."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment

from router.store import migrating
from router.store.queue_names import QUEUE
from tests.support.migration_rules import find_faults

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
MIGRATIONS = ROOT / "router" / "store" / "migrations"
LATER = sorted(path for path in (MIGRATIONS / "versions").glob("[0-9]*.py") if not path.name.startswith("0001"))
FORWARDS = 'revision = "{0}"\ndown_revision = "0001"\n\n\ndef upgrade() -> None:\n    run(revision)\n'


def released() -> set[str]:
    """Versions with a heading of their own in the changelog, without the one that is being made."""
    return set(re.findall(r"^## (\d+\.\d+\.\d+) – ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE))


@pytest.mark.parametrize("version", LATER or [None], ids=lambda path: path and path.stem)
def test_every_migration_after_the_first_keeps_the_rules(version: Path | None):
    if version is not None:
        assert find_faults(version, MIGRATIONS / version.name.partition("_")[0], released()) == []


INDEX = "DROP INDEX CONCURRENTLY IF EXISTS x;\nCREATE INDEX CONCURRENTLY x ON calls (cost);"

RULES: dict[str, tuple[str, str, str | None]] = {  # the file's name, its text, a part of what is said; None: it is fine
    "column": ("1.sql", "ALTER TABLE calls ADD COLUMN mood text;", None),
    "table": ("1.sql", "CREATE TABLE moods (id text PRIMARY KEY); CREATE INDEX m ON moods (id);", None),
    "index": ("1_x_concurrently.sql", INDEX, None),
    "constraint": ("1.sql", "ALTER TABLE calls ADD CONSTRAINT c CHECK (cost > 0) NOT VALID;", None),
    "blocking index": ("1.sql", "CREATE INDEX x ON calls (cost);", "require-concurrent-index-creation"),
    "index, once": ("1_concurrently.sql", INDEX.partition("\n")[2], "drop x first"),
    "other than an index": ("1_concurrently.sql", "ALTER TABLE calls ADD COLUMN a text;", "only"),
    "required column": ("1.sql", "ALTER TABLE calls ADD COLUMN a text NOT NULL;", "adding-required-field"),
    "not null": ("1.sql", "ALTER TABLE calls ALTER COLUMN cost SET NOT NULL;", "adding-not-nullable-field"),
    "type": ("1.sql", "ALTER TABLE calls ALTER COLUMN seconds TYPE bigint;", "changing-column-type"),
    "name": ("1.sql", "ALTER TABLE calls RENAME COLUMN cost TO price;", "renaming-column"),
    "check of all rows": ("1.sql", "ALTER TABLE calls ADD CONSTRAINT c CHECK (cost > 0);", "constraint-missing-not-valid"),
    "foreign key": (
        "1.sql",
        "ALTER TABLE calls ADD CONSTRAINT f FOREIGN KEY (client_id) REFERENCES clients (id);",
        "adding-foreign-key-constraint",
    ),
    "drop": ("1.sql", "ALTER TABLE calls DROP COLUMN cost;", "ban-drop-column"),
    "drop, in two releases": (
        "1.sql",
        "-- unused since 0.2.0\n-- squawk-ignore ban-drop-column\nALTER TABLE calls DROP COLUMN cost;",
        None,
    ),
    "drop, too early": (
        "1.sql",
        "-- unused since 0.3.0\n-- squawk-ignore ban-drop-column\nALTER TABLE calls DROP COLUMN cost;",
        "0.3.0 is not released",
    ),
    "drop, unexplained": ("1.sql", "-- squawk-ignore ban-drop-table\nDROP TABLE calls;", "unused since"),
    "rows": ("1.sql", "UPDATE calls SET cost = 0;", "a few at a time"),
    "function": ("1.sql", "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$\nDELETE FROM calls\n$$;", None),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_a_migration_that_would_stop_calls_or_the_last_release_is_found(tmp_path: Path, name: str):
    file, text, said = RULES[name]
    (tmp_path / "0002").mkdir()
    (tmp_path / "0002" / file).write_text(text)
    (tmp_path / "0002_next.py").write_text(FORWARDS.format("0002"))
    faults = find_faults(tmp_path / "0002_next.py", tmp_path / "0002", {"0.2.0"})
    assert faults == [] if said is None else said in " ".join(faults)


@pytest.mark.parametrize("code", [FORWARDS + "\ndef downgrade():\n    pass\n", "def upgrade():\n    op.execute('x')\n"])
def test_a_version_runs_its_sql_and_leads_nowhere_back(tmp_path: Path, code: str):
    (tmp_path / "0002_next.py").write_text(code)
    assert find_faults(tmp_path / "0002_next.py", tmp_path / "0002", set()) != []


@pytest.fixture
def next_version(tmp_path: Path):
    """Makes migrations with one more version, of these files."""

    def make(**files: str) -> Path:
        (tmp_path / "versions").mkdir()
        for path in (MIGRATIONS / "versions").glob("0*.py"):
            (tmp_path / "versions" / path.name).write_text(path.read_text())
        (tmp_path / "env.py").write_text((MIGRATIONS / "env.py").read_text())
        (tmp_path / "9998").mkdir()
        for name, text in files.items():
            (tmp_path / "9998" / f"{name}.sql").write_text(text)
        newest = max(path.name for path in (MIGRATIONS / "versions").glob("0*.py")).partition("_")[0]
        (tmp_path / "versions" / "9998_next.py").write_text(
            "from pathlib import Path\nfrom router.store.migrations.running import run\n"
            f'revision = "9998"\ndown_revision = "{newest}"\n\n'
            "def upgrade():\n    run(revision, Path(__file__).parents[1])\n"
        )
        return tmp_path

    return make


@pytest.fixture
async def db(database_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


async def test_a_migration_that_does_not_get_its_lock_lets_calls_pass_and_is_tried_again(
    database_dsn, db, next_version, monkeypatch
):
    monkeypatch.setattr(migrating, "_PAUSE_SECONDS", 0.01)
    tries = 0
    try_upgrade = migrating._try_upgrade

    async def count(*arguments: Any) -> None:
        nonlocal tries
        tries += 1
        if tries == 2:  # it gave up once: the call is over, and the lock free
            await reading.rollback()
        await try_upgrade(*arguments)

    monkeypatch.setattr(migrating, "_try_upgrade", count)
    reading = db.transaction()
    await reading.start()
    await db.fetch("SELECT id FROM calls")
    migrations = next_version(
        a="ALTER TABLE calls ADD COLUMN mood text;\n", b="CREATE TABLE moods (id text PRIMARY KEY);"
    )
    await migrating.upgrade(database_dsn, migrations)
    assert tries == 2
    assert await db.fetchval("SELECT version_num FROM alembic_version") == "9998"
    assert await db.fetch("SELECT mood FROM calls") == []


async def test_an_index_that_was_left_half_built_is_built_again(database_dsn, db, next_version):
    await db.execute("CREATE INDEX x ON calls (seconds)")
    await db.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'x'::regclass")
    writing = db.transaction()
    await writing.start()  # calls are written meanwhile, which a blocking build would wait for
    await db.execute("UPDATE endpoints SET paused = true")
    await writing.rollback()
    await migrating.upgrade(database_dsn, next_version(a_concurrently=INDEX))
    assert await db.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'x'::regclass")
    assert "cost" in await db.fetchval("SELECT indexdef FROM pg_indexes WHERE indexname = 'x'")


# Everything that a schema holds, by name; what the database itself names or numbers is left out.
_HELD = """
SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull
       || ' ' || a.attidentity::text || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS what
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relnamespace = $1::text::regnamespace AND c.relname ~ 'pgqueuer' AND c.relkind = 'r'
UNION ALL
SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = $1 AND tablename ~ 'pgqueuer'
UNION ALL
SELECT 'constraint ' || conrelid::regclass || ' ' || pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = $1::text::regnamespace AND conrelid::regclass::text ~ 'pgqueuer'
UNION ALL
SELECT 'function ' || proname || ' ' || prosrc
  FROM pg_proc WHERE pronamespace = $1::text::regnamespace AND proname ~ 'pgqueuer'
UNION ALL
SELECT 'trigger ' || pg_get_triggerdef(t.oid)
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE c.relnamespace = $1::text::regnamespace AND c.relname ~ 'pgqueuer' AND NOT t.tgisinternal
UNION ALL
SELECT 'type ' || t.typname || ' ' || e.enumlabel
  FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid WHERE t.typnamespace = $1::text::regnamespace
"""


async def test_the_queue_has_the_tables_that_the_installed_library_wants(db):
    """If this fails after an upgrade of PgQueuer, a new migration has to bring what it adds."""
    transaction = db.transaction()
    await transaction.start()
    ours = [row["what"].replace("public.", "") for row in await db.fetch(_HELD, "public")]
    await db.execute("CREATE SCHEMA wanted; SET LOCAL search_path = wanted")
    await db.execute(QueryBuilderEnvironment(QUEUE).build_install_query())
    wanted = [row["what"].replace("wanted.", "") for row in await db.fetch(_HELD, "wanted")]
    await transaction.rollback()
    assert sorted(ours) == sorted(wanted)
    assert len(ours) > 40


async def test_two_that_migrate_at_once_do_it_once(database_dsn, db, next_version):
    migrations = next_version(a="CREATE TABLE moods (id text PRIMARY KEY);")
    await asyncio.gather(*(migrating.upgrade(database_dsn, migrations) for _ in range(2)))
    assert await db.fetch("SELECT id FROM moods") == []
