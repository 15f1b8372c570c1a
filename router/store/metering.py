"""A pool that tells the metrics how long its connections are waited for, and starts no task to take them back."""

from __future__ import annotations

import time
from typing import Any

import asyncpg

from router.telemetry import metrics


class MeteredPool(asyncpg.Pool):
    """`name` is its label. The driver has no hooks for this, so methods of its own are replaced."""

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

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  (the driver's own)
        """The driver shields a reset from cancellation, by a task for each release. Our connections need no reset
        (router.store.pool); one that has to be closed or waited for is ended if that is cancelled.
        """
        holder, lent = connection._holder, connection._con  # noqa: SLF001
        if lent is not None:  # else it was released before
            lent._on_release()  # noqa: SLF001
            await holder.release(timeout)
