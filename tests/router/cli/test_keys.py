"""`callrouter keys rotate`: a new platform key in front, everything sealed under it, and calls go on all the while."""

from __future__ import annotations

import asyncio
import signal

import asyncpg
import pytest
from click.testing import Result

from crypto import new_key_entry
from router.cli.demo import provision
from tests.router.cli.commands import Command, Commands, mistakes
from tests.router.cli.service import ADMIN_TOKEN, place_call, providers, url_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]  # some processes, on a machine that may be busy

_SEALED = (
    "SELECT sealed FROM keys UNION ALL SELECT webhook_token_sealed FROM keys WHERE webhook_token_sealed IS NOT NULL"
)


async def start(commands: Commands, keys: str) -> tuple[Command, str]:
    serving = commands.start("serve", CALLROUTER_PLATFORM_KEYS=keys)
    return serving, await url_of(serving)


async def stop(serving: Command) -> None:
    serving.tell(signal.SIGTERM)
    assert await asyncio.to_thread(serving.end) == 0


async def rotate(commands: Commands, keys: str) -> Result:
    return await asyncio.to_thread(commands.invoke, "keys", "rotate", CALLROUTER_PLATFORM_KEYS=keys)


async def sealed_under(dsn: str) -> set[str]:
    """The ids of the platform keys that the database still needs."""
    connection = await asyncpg.connect(dsn)
    envelopes = [row["sealed"] for row in await connection.fetch(_SEALED)]
    await connection.close()
    return {envelope.split(".")[1] for envelope in envelopes}


async def test_calls_go_on_while_the_platform_key_changes(migrated: Commands):
    old, new = new_key_entry(), new_key_entry()
    old_id, new_id = old.partition(":")[0], new.partition(":")[0]
    dsn = migrated.environ["DATABASE_URL"]
    async with providers(migrated) as (_, world):
        serving, url = await start(migrated, old)
        await provision(url, ADMIN_TOKEN, world)
        await stop(serving)
        assert await sealed_under(dsn) == {old_id}

        serving, url = await start(migrated, f"{new},{old}")
        assert (await place_call(url, world)).answered_by == "ai"
        rotated = await rotate(migrated, f"{new},{old}")
        assert (rotated.exit_code, rotated.stderr) == (0, "")
        done, _, total = rotated.stdout.split()[:3]
        assert done == total
        assert f"use the platform key {new_id}" in rotated.stdout
        assert await sealed_under(dsn) == {new_id}
        assert (await place_call(url, world)).answered_by == "ai"
        await stop(serving)

        serving, url = await start(migrated, new)
        assert (await place_call(url, world)).answered_by == "ai"
        await stop(serving)

    unrelated = await rotate(migrated, new_key_entry())
    assert unrelated.exit_code == 1
    (line,) = mistakes(unrelated)
    assert line.startswith(f"CALLROUTER_PLATFORM_KEYS: {total} sealed values cannot be opened")
    assert await sealed_under(dsn) == {new_id}


def test_an_empty_database_has_nothing_to_rotate_yet(external: Commands):
    refused = external.invoke("keys", "rotate")
    assert refused.exit_code == 1
    (line,) = mistakes(refused)
    assert "callrouter migrate" in line


@pytest.mark.parametrize("wait", [(), ("--wait", "60")], ids=["at once", "patiently"])
def test_a_database_that_refuses_an_option_for_good_is_not_waited_for(external: Commands, wait: tuple[str, ...]):
    external.environ["DATABASE_URL"] += "&options=-c%20callrouter_has_no_such_setting%3D1"
    refused = external.invoke("migrate", *wait)
    (line,) = mistakes(refused)
    assert refused.exit_code == 1
    assert line.startswith("DATABASE_URL: ")
