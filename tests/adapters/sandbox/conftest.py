"""A served sandbox with the demo's world in it, a client at its door, and a clock that a test can move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from adapters.sandbox.server import RunningSandbox, running_sandbox
from adapters.sandbox.state import Sandbox
from adapters.sandbox.world import DemoWorld, demo_world


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **amount: float) -> None:
        self.now += timedelta(**amount)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def box(clock: Clock) -> AsyncIterator[RunningSandbox]:
    async with running_sandbox(state=Sandbox(clock)) as running:
        yield running


@pytest.fixture
def world(box: RunningSandbox) -> DemoWorld:
    return demo_world(box.state)


@pytest.fixture
async def client(box: RunningSandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=box.url, timeout=10) as client:
        yield client
