"""The whole service against the sandbox, for tests of calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from router.calls import judging
from tests.support.circuits import let_circuits_forget
from tests.support.databases import fresh_database
from tests.support.world import World, open_world


@pytest.fixture
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """For calls whose provider never says why the conversation ended: each would be waited for two seconds."""
    monkeypatch.setattr(judging, "_BLAME_SECONDS", 0.2)


@pytest.fixture
def much_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """For calls whose provider says so while it is waited for, on a machine that may be busy."""
    monkeypatch.setattr(judging, "_BLAME_SECONDS", 8.0)


@pytest.fixture
async def world(database_dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database_dsn, tmp_path) as world:
        yield world


@pytest.fixture(scope="module")
async def shared_world(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One service for a whole file, for tests that have agencies of their own and count nothing but those.

    Circuits belong to the service too: a provider that fails in several tests is not asked any more.
    """
    folder = tmp_path_factory.mktemp("shared")
    async with fresh_database(postgres_dsn) as dsn, open_world(dsn, folder) as world:
        yield world


@pytest.fixture(scope="module")
async def forgetful_world(
    postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[World, Callable[[], None]]]:
    """One service for a whole file, and what makes its circuits forget all that they saw."""
    with pytest.MonkeyPatch.context() as patch:
        forget = let_circuits_forget(patch)
        folder = tmp_path_factory.mktemp("forgetful")
        async with fresh_database(postgres_dsn) as dsn, open_world(dsn, folder) as world:
            yield world, forget


@pytest.fixture
def clean_world(forgetful_world: tuple[World, Callable[[], None]]) -> World:
    """A service for a whole file that shows nothing of the tests before but what is in its database.

    Providers are well, were not asked yet, and have no open circuits.
    """
    world, forget = forgetful_world
    forget()
    world.sandbox.state.faults.clear()
    world.sandbox.state.requests.clear()
    return world
