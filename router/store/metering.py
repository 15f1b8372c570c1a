"""A pool that tells the metrics how long its connections are waited for."""

from __future__ import annotations

import time
from typing import Any

import asyncpg

from router.telemetry import metrics


class MeteredPool(asyncpg.Pool):
    """`name` is its label. The driver has no hook for waiting, so this replaces a method of its own."""

    def __init__(self, name: str, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.name = name

    @property
    def in_use(self) -> int:
        return self.get_size() - self.get_idle_size()

    async def _acquire(self, timeout: float | None) -> Any:  # noqa: ASYNC109  (the driver's own)
        if self._queue is None or not self._queue.empty():  # type: ignore[attr-defined]
            return await super()._acquire(timeout)  # type: ignore[misc]
        started = time.monotonic()
        with metrics.waiting_for_connection(self.name):
            try:
                return await super()._acquire(timeout)  # type: ignore[misc]
            finally:
                metrics.waited_for_connection(self.name, time.monotonic() - started)
