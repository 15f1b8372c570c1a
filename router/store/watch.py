"""Looks at the pools every few seconds: which of them get answers, and how many of their connections are in use.

So the metrics tell the truth from the first moment on, whether calls come or not. What calls do while the database is
away is decided elsewhere (router.store.guard).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

import asyncpg

from router.store.metering import MeteredPool
from router.telemetry import emit, metrics
from router.telemetry.redact import redact

_LOOK_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 1.5
_MOST_TOLD: Final = 20

Question: TypeAlias = Callable[[MeteredPool], Awaitable[Any]]


class PoolWatch:
    """`questions`: what a pool is asked, by its name; otherwise the cheapest question. The first pool is always asked."""

    def __init__(self, pools: tuple[MeteredPool, ...], questions: Mapping[str, Question] | None = None) -> None:
        self._pools = pools
        self._questions = questions or {}
        self._asking: dict[str, asyncio.Future[Any]] = {}
        self._told: set[tuple[str, str]] = set()  # refusals since all was well

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look once, then again and again while the block runs."""
        await self.look()
        task = asyncio.create_task(self._go_on(), name="pool-watch")
        try:
            yield
        finally:
            task.cancel()
            for asking in self._asking.values():
                asking.cancel()
            await asyncio.gather(task, *self._asking.values(), return_exceptions=True)

    async def look(self) -> None:
        """A pool that has no connections is not opened for this: it is as the first one is."""
        first, *others = self._pools
        up = await self._look_at(first)
        all_up = await asyncio.gather(*(self._look_at(pool) if pool.get_size() else _as(up) for pool in others))
        for pool, answers in zip(self._pools, (up, *all_up), strict=True):
            metrics.pool_seen(pool.name, pool.in_use, pool.get_max_size())
            if answers is not None:
                metrics.database_up(pool.name, answers)
        if all(answers is not False for answers in (up, *all_up)):
            self._told.clear()

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            with suppress(asyncpg.InterfaceError):  # the pools are being closed
                await self.look()

    async def _look_at(self, pool: MeteredPool) -> bool | None:
        """None: all its connections are in use, which says nothing about the database."""
        if pool.in_use >= pool.get_max_size():
            return None
        before = self._asking.pop(pool.name, None)
        if before is not None and not before.done():
            self._asking[pool.name] = before
            return False
        asking = asyncio.ensure_future(self._ask(pool))
        await asyncio.wait({asking}, timeout=_PATIENCE_SECONDS)
        if asking.done():
            return asking.result()
        self._asking[pool.name] = asking  # the pool's own time limits end it
        return False

    async def _ask(self, pool: MeteredPool) -> bool:
        question = self._questions.get(pool.name, _ask_anything)
        try:
            await question(pool)
        except Exception as error:  # noqa: BLE001  whatever it is, a call would get it as well
            if isinstance(error, asyncpg.PostgresError):
                self._tell(error)
            return False
        return True

    def _tell(self, error: asyncpg.PostgresError) -> None:
        """Log what the server said, once: a refusal for good, such as that of a password, needs a person."""
        code, words = error.sqlstate or "", str(error).partition("\n")[0]
        if (code, words) not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add((code, words))
            emit("database.refused", code=code, said=redact(words))


async def _ask_anything(pool: MeteredPool) -> None:
    await pool.fetchval("""SELECT 1""")


async def _as(first: bool | None) -> bool | None:
    return first
