"""Sealing every stored value again under a new platform key, while calls go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from crypto import Keyring, OpenError, Secret, new_key_entry
from router.store import rotation as module
from router.store.rotation import Rotation, rotate_all
from router.store.sealed import key_context, reply_context, webhook_secret_context, webhook_token_context
from tests.router.cli.commands import Commands, running_commands
from tests.router.store.rows import AT, insert
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio

OLD_ENTRY, NEW_ENTRY = new_key_entry(), new_key_entry()
OLD, NEW = Keyring.parse(OLD_ENTRY), Keyring.parse(NEW_ENTRY)
BOTH = Keyring.parse(f"{NEW_ENTRY},{OLD_ENTRY}")
AGENCIES = 3
VALUES = (
    AGENCIES * 8 + 2
)  # two versions of a key, one with a webhook secret, a token each, a former one; a carrier's; two replies


@pytest.fixture
async def db(database_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_dsn)
    await fill(connection)
    yield connection
    await connection.close()


async def fill(db: Any) -> None:
    """What an old platform key sealed: keys in use and retired, webhook secrets and tokens, replies."""
    for number in range(AGENCIES):
        agency = f"agency_{number}"
        await insert(db, "agencies", id=agency)
        for version, retired in ((1, AT), (2, None)):
            await insert(
                db,
                "keys",
                agency_id=agency,
                kind="bland",
                version=version,
                retired_at=retired,
                sealed=OLD.seal(key_of(agency, version), *key_context(agency, "bland", version)),
                webhook_sealed=OLD.seal(Secret("signing"), *webhook_secret_context(agency, "bland", version))
                if version == 2
                else None,
                webhook_token_sealed=OLD.seal(Secret("token"), *webhook_token_context(agency, "bland")),
            )
        await insert(
            db,
            "keys",
            agency_id=agency,
            kind="twilio",
            account_sid="AC1",
            sealed=OLD.seal(key_of(agency, 1), *key_context(agency, "twilio", 1)),
            webhook_token_sealed=OLD.seal(Secret("token"), *webhook_token_context(agency, "twilio")),
        )
        await insert(
            db,
            "former_webhook_tokens",
            agency_id=agency,
            kind="bland",
            until=AT,
            sealed=OLD.seal(Secret("former token"), *webhook_token_context(agency, "bland")),
        )
    for name in ("one", "two"):
        await insert(
            db, "idempotency_keys", scope="s", key=name, reply=OLD.seal(name.encode(), *reply_context("s", name))
        )
    await insert(db, "idempotency_keys", scope="s", key="in work", reply=None)


def key_of(agency: str, version: int) -> Secret:
    return Secret(f"key-of-{agency}-{version}")


async def check_all(db: Any, ring: Keyring) -> None:
    """Everything opens with that ring, and is what it was."""
    for row in await db.fetch("SELECT * FROM keys"):
        place = (row["agency_id"], row["kind"], row["version"])
        assert ring.open(row["sealed"], *key_context(*place)) == key_of(row["agency_id"], row["version"])
        assert ring.open(row["webhook_token_sealed"], *webhook_token_context(*place[:2])) == Secret("token")
        if row["webhook_sealed"] is not None:
            assert ring.open(row["webhook_sealed"], *webhook_secret_context(*place)) == Secret("signing")
    for row in await db.fetch("SELECT * FROM former_webhook_tokens"):
        context = webhook_token_context(row["agency_id"], row["kind"])
        assert ring.open(row["sealed"], *context) == Secret("former token")
    for row in await db.fetch("SELECT scope, key, reply FROM idempotency_keys WHERE reply IS NOT NULL"):
        assert ring.open_bytes(row["reply"], *reply_context(row["scope"], row["key"])) == row["key"].encode()


async def rotate(db: Any, ring: Keyring = BOTH) -> Rotation:
    return await rotate_all(db, ring, lambda _: None)


async def test_everything_is_sealed_under_the_new_key_and_is_what_it_was(db):
    shown: list[Rotation] = []
    assert await rotate_all(db, BOTH, shown.append) == Rotation(VALUES, VALUES, 0)
    await check_all(db, NEW)
    assert [each.done for each in shown] == sorted(each.done for each in shown)
    assert shown[-1] == Rotation(VALUES, VALUES, 0)
    assert {each.total for each in shown} == {VALUES}


async def test_a_second_rotation_changes_nothing(db):
    async def rows() -> list[Any]:
        return await db.fetch(
            "SELECT xmin::text, sealed FROM keys UNION ALL SELECT xmin::text, reply FROM idempotency_keys"
        )

    await rotate(db)
    before = await rows()
    assert await rotate(db) == Rotation(VALUES, VALUES, 0)
    assert await rows() == before


@pytest.mark.parametrize("after", range(1, 12))
async def test_interrupted_anywhere_everything_opens_and_it_can_be_run_again(db, after: int):
    steps = iter(range(100))

    def interrupt(_: Rotation) -> None:
        if next(steps) + 1 == after:
            raise KeyboardInterrupt

    try:
        await rotate_all(db, BOTH, interrupt)
    except KeyboardInterrupt:
        await check_all(db, BOTH)
    assert await rotate(db) == Rotation(VALUES, VALUES, 0)
    await check_all(db, NEW)


async def test_rotations_at_the_same_time_do_not_conflict(db, database_dsn):
    connections = [await asyncpg.connect(database_dsn) for _ in range(3)]
    results = await asyncio.gather(*(rotate(connection) for connection in connections))
    assert results == [Rotation(VALUES, VALUES, 0)] * 3
    await check_all(db, NEW)
    for connection in connections:
        await connection.close()


# While the first agency's key is sealed again, another agency's key changes.
MEANWHILE = """
CREATE FUNCTION meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.agency_id = 'agency_0' THEN
        {change};
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER meanwhile BEFORE UPDATE ON keys FOR EACH ROW EXECUTE FUNCTION meanwhile();
"""


async def test_a_key_saved_meanwhile_is_kept(db):
    saved = BOTH.seal(Secret("saved meanwhile"), *key_context("agency_1", "bland", 2))
    change = f"UPDATE keys SET sealed = '{saved}' WHERE agency_id = 'agency_1' AND kind = 'bland' AND version = 2"  # noqa: S608
    await db.execute(MEANWHILE.replace("{change}", change))
    await rotate(db)
    assert await db.fetchval("SELECT sealed FROM keys WHERE agency_id = 'agency_1' AND version = 2") == saved


async def test_a_key_deleted_meanwhile_stays_deleted(db):
    await db.execute(MEANWHILE.replace("{change}", "DELETE FROM keys WHERE agency_id = 'agency_1'"))
    await rotate(db)
    assert await db.fetchval("SELECT count(*) FROM keys WHERE agency_id = 'agency_1'") == 0
    await check_all(db, NEW)


UNREADABLE = {
    "sealed under a key that is lost": Keyring.parse(new_key_entry()).seal(
        Secret("k"), *key_context("agency_1", "bland", 2)
    ),
    "another agency's": OLD.seal(Secret("k"), *key_context("agency_2", "bland", 2)),
    "no envelope": "garbage",
    "empty": "",
    "under the new key, but another agency's": NEW.seal(Secret("k"), *key_context("agency_2", "bland", 2)),
}


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_value_that_does_not_open_is_counted_and_left_as_it_is(db, value: str):
    await db.execute(
        "UPDATE keys SET sealed = $1 WHERE agency_id = 'agency_1' AND kind = 'bland' AND version = 2", value
    )
    assert await rotate(db) == Rotation(VALUES, VALUES - 1, 1)
    row = await db.fetchrow("SELECT * FROM keys WHERE agency_id = 'agency_1' AND kind = 'bland' AND version = 2")
    assert row["sealed"] == value
    assert NEW.open(row["webhook_sealed"], *webhook_secret_context("agency_1", "bland", 2)) == Secret("signing")
    await db.execute("DELETE FROM keys WHERE agency_id = 'agency_1' AND kind = 'bland' AND version = 2")
    await check_all(db, NEW)


async def test_without_the_old_key_nothing_changes(db):
    assert await rotate(db, NEW) == Rotation(VALUES, 0, VALUES)
    await check_all(db, OLD)


async def test_every_column_of_sealed_values_is_rotated(db):
    """A new one has to be added to the rotation, because the old platform key is deleted after it."""
    columns = await db.fetch(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND (column_name LIKE '%sealed%' OR column_name IN ('reply', 'answer', 'secret'))"
    )
    assert {tuple(column) for column in columns} == {
        *(place.column for place in module.PLACES),
        ("call_steps", "answer"),  # good for a minute
    }


async def where_old_key_is_needed(db: Any) -> set[tuple[str, str]]:
    """Every column of the database that holds an envelope under the old key."""
    found = set()
    columns = await db.fetch(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type IN ('text', 'jsonb')"
    )
    for table, column in columns:
        like = f"%1.{OLD.active_id}.%"
        if await db.fetchval(f'SELECT count(*) FROM "{table}" WHERE "{column}"::text LIKE $1', like):  # noqa: S608
            found.add((table, column))
    return found


@pytest.fixture
async def world(database_dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    """The service as an operator runs it during a rotation: with the new key before the old one."""
    keys = SecretStr(f"{NEW_ENTRY},{OLD_ENTRY}")
    async with open_world(database_dsn, tmp_path, platform_keys=keys) as world:
        world.keyring = OLD
        yield world


async def test_calls_are_answered_before_during_and_after(world: World):
    """An agency's own account among them, whose sealed token is remembered from the call before."""
    ours = await world.add_client(providers=["vapi", "retell"])
    own = await world.add_client(providers=["retell"], own_account=True)
    others = [await world.add_client(providers=["bland"]) for _ in range(20)]

    async def call_both() -> list[tuple[str | None, str | None]]:
        timelines = [await world.call(client) for client in (ours, own)]
        return [(timeline.answered_by, timeline.provider) for timeline in timelines]

    async def call_others() -> set[str | None]:
        timelines = await asyncio.gather(*(world.call(client) for client in others[:3]))
        return {timeline.answered_by for timeline in timelines}

    answered = [("ai", "vapi"), ("ai", "retell")]
    assert await call_both() == answered
    rotation, during = await asyncio.gather(rotate(world.db), call_others())
    assert (rotation.done, rotation.unreadable) == (rotation.total, 0)
    assert during == {"ai"}
    assert await call_both() == answered
    assert await where_old_key_is_needed(world.db) <= {("call_steps", "answer")}


@pytest.fixture
def commands(tmp_path: Path, database_dsn: str) -> Iterator[Commands]:
    with running_commands(tmp_path) as commands:
        commands.environ |= {
            "DATABASE_URL": database_dsn,
            "CALLROUTER_PLATFORM_KEYS": f"{NEW_ENTRY},{OLD_ENTRY}",
            "CALLROUTER_FALLBACK_KEYS": new_key_entry(),
            "CALLROUTER_ADMIN_TOKEN": "admin-of-the-tests-0123",
        }
        yield commands


async def test_the_command_says_how_many_it_sealed_again(db, commands: Commands):
    command = await asyncio.to_thread(commands.invoke, "keys", "rotate")
    assert command.exit_code == 0, command.stderr
    assert command.stdout == f"{VALUES} of {VALUES} sealed values use the platform key {NEW.active_id}.\n"
    await check_all(db, NEW)


async def test_the_command_fails_if_something_does_not_open(db, commands: Commands):
    await db.execute("UPDATE keys SET sealed = 'garbage' WHERE agency_id = 'agency_1' AND kind = 'twilio'")
    command = await asyncio.to_thread(commands.invoke, "keys", "rotate")
    assert command.exit_code == 1
    assert command.stdout.startswith(f"{VALUES - 1} of {VALUES} sealed values")
    (line,) = command.stderr.splitlines()
    assert line.startswith("callrouter: CALLROUTER_PLATFORM_KEYS: 1 sealed values cannot be opened")
    with pytest.raises(OpenError):
        await check_all(db, NEW)
