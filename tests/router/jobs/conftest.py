"""Runners on a real PostgreSQL, and work that says when it was done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import pytest

from router.jobs import JobRunner
from tests.support.log_capture import captured_events

__all__ = ["captured_events"]

Run: TypeAlias = Callable[[JobRunner], AbstractAsyncContextManager[JobRunner]]


@contextlib.asynccontextmanager
async def running(runner: JobRunner) -> AsyncIterator[JobRunner]:
    """The runner at work while the block runs; ended as a process ends it that is told to stop."""
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        await runner.stop()
        await task


@pytest.fixture
def runner(database_dsn: str) -> JobRunner:
    return JobRunner(database_dsn)
