"""The whole service against the sandbox, for tests of calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.world import World, open_world


@pytest.fixture
async def world(database_dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database_dsn, tmp_path) as world:
        yield world
