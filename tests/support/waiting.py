"""Waiting for a condition that nobody announces; a test that waits in vain fails by its own time limit."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

PATIENCE = 30.0  # seconds


async def wait_until(condition: Callable[[], Any]) -> Any:
    """What the condition, which may be asynchronous, says once it holds."""
    async with asyncio.timeout(PATIENCE):
        while True:
            holds = condition()
            if inspect.isawaitable(holds):
                holds = await holds
            if holds:
                return holds
            await asyncio.sleep(0.01)
