"""Hundreds of calls in the same moment, of many agencies: who gets an AI, how soon, and what a waiting call costs."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from tests.bench.load import Answer, new_calls, send
from tests.bench.run import warm_up
from tests.bench.stage import Side, Stage

_CROWDS: Final = (500, 1000)
_AGENCIES: Final = 20
_PROVIDER_MS: Final = 400
_MOST_AFTER_SECONDS: Final = 30
_BACK: Final = 0.2  # of what was taken may still be held when it counts as given back


@dataclass(slots=True)
class Memory:
    """Of the side, in MB."""

    before: float
    most: float
    after: float = 0.0


async def crowd(stage: Stage) -> str:
    """The service is a process of its own for each crowd, so that the second finds no memory that the first left."""
    await stage.behave(str(_PROVIDER_MS))
    lines = [await _meet(stage, count) for count in _CROWDS]
    await stage.behave("0")
    return "\n".join([f"Calls of {_AGENCIES} agencies at once, the provider at {_PROVIDER_MS} ms:", *lines])


async def _meet(stage: Stage, count: int) -> str:
    side = await stage.start_service("the service")
    await warm_up(stage, side, 100)
    calls = new_calls(stage, stage.clients[:_AGENCIES], count)
    spent = side.processor_seconds
    async with _watching(side) as memory:
        answers = await asyncio.gather(*(send(stage.http, side, call.ring(good=b"")) for call in calls))
    spent = (side.processor_seconds - spent) * 1000 / count
    memory.after = await _settle(side, memory)
    with_ai = sum(b"<Sip" in answer.body for answer in answers)
    return _describe(count, with_ai, answers, spent, memory)


def _describe(count: int, with_ai: int, answers: list[Answer], spent: float, memory: Memory) -> str:
    took = [answer.took for answer in answers]
    allowed = _PROVIDER_MS + count * spent + 100
    held, kept = (each / count * 1000 for each in (memory.most - memory.before, memory.after - memory.before))
    return (
        f"{count:5}: {with_ai} at their AI, in {statistics.median(took):.0f} ms, 99 of 100 within"
        f" {statistics.quantiles(took, n=100)[98]:.0f} ms (provider + {count} x {spent:.2f} ms + 100 = {allowed:.0f});"
        f" {held:.0f} kB a waiting call, {kept:.0f} kB of it kept"
    )


@contextlib.asynccontextmanager
async def _watching(side: Side) -> AsyncIterator[Memory]:
    memory = Memory(side.memory, side.memory)

    async def watch() -> None:
        while True:
            memory.most = max(memory.most, side.memory)
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    try:
        yield memory
    finally:
        watching.cancel()


async def _settle(side: Side, memory: Memory) -> float:
    enough = memory.before + (memory.most - memory.before) * _BACK
    for _ in range(_MOST_AFTER_SECONDS):
        if side.memory <= enough:
            break
        await asyncio.sleep(1)
    return side.memory
