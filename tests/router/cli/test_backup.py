"""`callrouter backup check`: whether a database and the keys at hand belong together."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from crypto import Keyring, Secret, new_key_entry
from router.calls.fallback import Fallback, fallback_address
from router.store.sealed import endpoint_secret_context, key_context
from tests.router.cli.commands import Commands, mistakes
from tests.router.store.rows import AT, insert, insert_client

NUMBER = "+15005550001"


@pytest.fixture
def backup(migrated: Commands) -> Commands:
    """A database with values under both keyrings, as it may come from a dump."""
    asyncio.run(fill(migrated.environ))
    return migrated


async def fill(environ: dict[str, str]) -> None:
    db: Any = await asyncpg.connect(environ["DATABASE_URL"])
    keys = Keyring.parse(environ["CALLROUTER_PLATFORM_KEYS"])
    fallback = Fallback(
        agency_id="agency_1",
        client_id="client_1",
        client_name="Acme",
        number=NUMBER,
        phone=None,
        ring_seconds=15,
        screen=True,
        caller_id="caller",
        language="en-US",
        greeting=None,
        voicemail_seconds=120,
    )
    ring = Keyring.parse(environ["CALLROUTER_FALLBACK_KEYS"], derives=False)
    await insert_client(db, "agency_1", "client_1", NUMBER)
    await db.execute("UPDATE numbers SET fallback_url = $1", fallback_address(ring, "https://f.example", fallback))
    sealed = keys.seal(Secret("canary-key"), *key_context("agency_1", "vapi", 1))
    await insert(db, "keys", agency_id="agency_1", kind="vapi", sealed=sealed)
    await db.execute(
        "INSERT INTO endpoints (id, agency_id, url, events, content_type, sealed, place, created_at) "
        "VALUES ('endpoint_1', 'agency_1', 'https://e.example', '{*}', 'application/json', $1, 0, $2)",
        keys.seal(Secret("canary-secret"), *endpoint_secret_context("agency_1", "endpoint_1")),
        AT,
    )
    await db.close()


def run(commands: Commands, statement: str) -> None:
    async def execute() -> None:
        db = await asyncpg.connect(commands.environ["DATABASE_URL"])
        await db.execute(statement)
        await db.close()

    asyncio.run(execute())


def test_a_database_that_opens_is_told_by_what_was_opened(backup: Commands):
    checked = backup.invoke("backup", "check")
    assert (checked.exit_code, checked.stderr) == (0, "")
    assert "keys.sealed: 1 open\n" in checked.stdout
    assert "endpoints.sealed: 1 open\n" in checked.stdout
    assert "fallback addresses: 1 open\n" in checked.stdout
    assert "The database opens with these keys." in checked.stdout
    assert "canary" not in checked.stdout


def test_what_does_not_open_is_named_with_the_key_that_it_needs(backup: Commands):
    environ = backup.environ
    platform, fallback = (environ[f"CALLROUTER_{name}_KEYS"].partition(":")[0] for name in ("PLATFORM", "FALLBACK"))
    others = {f"CALLROUTER_{name}_KEYS": new_key_entry() for name in ("PLATFORM", "FALLBACK")}
    checked = backup.invoke("backup", "check", **others)
    assert checked.exit_code == 1
    assert mistakes(checked) == [
        f"CALLROUTER_PLATFORM_KEYS: keys.sealed of agency_1, vapi, 1 does not open: it needs the key {platform}",
        f"CALLROUTER_PLATFORM_KEYS: endpoints.sealed of agency_1, endpoint_1 does not open: it needs the key {platform}",
        f"CALLROUTER_FALLBACK_KEYS: the fallback address of {NUMBER} does not open: it needs the key {fallback}",
    ]
    added = {name: f"{key},{environ[name]}" for name, key in others.items()}
    assert backup.invoke("backup", "check", **added).exit_code == 0


def test_a_value_that_was_changed_does_not_open(backup: Commands):
    run(backup, "UPDATE keys SET version = 2")
    checked = backup.invoke("backup", "check")
    assert checked.exit_code == 1
    (line,) = mistakes(checked)
    assert "keys.sealed of agency_1, vapi, 2 does not open" in line


def test_a_database_that_lives_elsewhere_has_to_be_migrated_first(backup: Commands):
    run(backup, "UPDATE numbered_at SET place = 'there'")
    checked = backup.invoke("backup", "check")
    assert checked.exit_code == 1
    assert "run `callrouter migrate`" in "".join(mistakes(checked))
    assert backup.invoke("migrate", "--wait", "5").exit_code == 0
    assert backup.invoke("backup", "check").exit_code == 0


def test_a_database_without_a_schema_or_settings_that_are_wrong_end_the_command(external: Commands):
    empty = external.invoke("backup", "check")
    assert (empty.exit_code, "callrouter migrate" in "".join(mistakes(empty))) == (1, True)
    assert external.invoke("backup", "check", CALLROUTER_PLATFORM_KEYS="x").exit_code == 2
