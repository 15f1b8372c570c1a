"""The stand-in of the providers, served; a clock that a test can move; the HTTP client of our adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from adapters.http import Http
from adapters.sandbox.server import RunningSandbox, running_sandbox
from adapters.sandbox.state import Sandbox


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
async def http() -> AsyncIterator[Http]:
    client = Http()
    yield client
    await client.aclose()
