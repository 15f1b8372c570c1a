"""Commands as processes of their own, and databases that they are pointed at."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from crypto import new_key_entry
from tests.router.cli.commands import Commands, running_commands
from tests.router.cli.service import ADMIN_TOKEN
from tests.support.databases import with_database


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with running_commands(tmp_path) as commands:
        yield commands


@pytest.fixture
def empty_dsn(postgres_dsn: str) -> Iterator[str]:
    """An external database that nobody has migrated yet."""
    name = f"test_{secrets.token_hex(6)}"
    asyncio.run(execute(postgres_dsn, f"CREATE DATABASE {name}"))
    yield with_database(postgres_dsn, name)
    asyncio.run(execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def external(commands: Commands, empty_dsn: str) -> Commands:
    """Commands that use that database."""
    commands.environ |= {
        "DATABASE_URL": empty_dsn,
        "CALLROUTER_PLATFORM_KEYS": new_key_entry(),
        "CALLROUTER_FALLBACK_KEYS": new_key_entry(),
        "CALLROUTER_ADMIN_TOKEN": ADMIN_TOKEN,
    }
    return commands


@pytest.fixture
def migrated(external: Commands) -> Commands:
    """The same, once it is at the newest schema."""
    assert external.invoke("migrate").exit_code == 0
    return external


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()
