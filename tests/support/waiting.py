"""Waiting for a condition that nobody announces; a test that waits in vain fails by its own time limit."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

PATIENCE = 30.0  # seconds
_MOST = 0.1  # seconds from one look to the next


async def wait_until(condition: Callable[[], Any]) -> Any:
    """What the condition, which may be asynchronous, says once it holds. Looks are rarer the longer it takes."""
    pause = 0.005
    async with asyncio.timeout(PATIENCE):
        while True:
            holds = condition()
            if inspect.isawaitable(holds):
                holds = await holds
            if holds:
                return holds
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, _MOST)
