"""The steps that this process has begun, and its answers to them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cachetools import FIFOCache

from router.calls.state import Mark

_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, sealed."""

    sealed: str
    at: datetime


class OwnSteps:
    """Bounded: the oldest steps are forgotten first."""

    def __init__(self) -> None:
        self._steps: FIFOCache[Mark, asyncio.Future[Kept]] = FIFOCache(_MOST)

    def begin(self, mark: Mark) -> bool:
        """Begin a step. False: this process has begun or answered it already."""
        if mark in self._steps:
            return False
        self._steps[mark] = asyncio.get_running_loop().create_future()
        return True

    def settle(self, mark: Mark, kept: Kept) -> None:
        """The step is answered. The first answer stays."""
        step = self._steps.get(mark)
        if step is not None and not step.done():
            step.set_result(kept)

    def drop(self, mark: Mark) -> None:
        """The step was not begun after all."""
        self._steps.pop(mark, None)

    def answer_to(self, mark: Mark) -> Kept | None:
        """None: this process has not answered it, or not yet."""
        step = self._steps.get(mark)
        return step.result() if step is not None and step.done() else None

    async def wait_for(self, mark: Mark, limit: float) -> Kept | None:
        """The answer to a step. Waits if this process is working on it."""
        step = self._steps.get(mark)
        if step is not None:
            await asyncio.wait({step}, timeout=max(limit, 0))
        return self.answer_to(mark)
