"""A served sandbox with the demo's world in it, a client at its door, and a clock that a test can move."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.world import DemoWorld, demo_world
from tests.support.local_http import local_client


@pytest.fixture
def world(box: RunningSandbox) -> DemoWorld:
    return demo_world(box.state)


@pytest.fixture
async def client(box: RunningSandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with local_client(base_url=box.url, timeout=10) as client:
        yield client
