"""Hundreds of calls in the same moment, of many agencies: who gets an AI, how soon, and what a waiting call costs.

And the same again: memory that a process holds after a crowd is not lost if the next one takes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from tests.bench.load import Answer, Call, new_calls, send
from tests.bench.run import warm_up
from tests.bench.stage import Side, Stage

_CROWDS: Final = (500, 1000)
_AGENCIES: Final = 20
_PROVIDER_MS: Final = 400
_MOST_AFTER_SECONDS: Final = 30
_BACK: Final = 0.2  # of what was taken may still be held when it counts as given back

_WITHOUT_AI: Final = """
SELECT coalesce(e.event || ' ' || e.reason, 'nobody asked') AS why, count(*) AS n
  FROM calls c
  LEFT JOIN call_events e ON e.call_id = c.id AND e.event IN ('handoff.skipped', 'handoff.failed')
 WHERE c.call_sid = ANY ($1)
 GROUP BY why
 ORDER BY n DESC
"""


@dataclass(slots=True)
class Memory:
    """Of the side, in MB."""

    before: float
    most: float
    after: float = 0.0


async def crowd(stage: Stage) -> str:
    """The service is a process of its own for each size."""
    await stage.behave(str(_PROVIDER_MS))
    lines = []
    for count in _CROWDS:
        side = await stage.start_service("the service")
        await warm_up(stage, side, 100)
        lines += [await _meet(stage, side, count, when) for when in ("", "again")]
    await stage.behave("0")
    return "\n".join([f"Calls of {_AGENCIES} agencies at once, the provider at {_PROVIDER_MS} ms:", *lines])


async def _meet(stage: Stage, side: Side, count: int, when: str) -> str:
    calls = new_calls(stage, stage.clients[:_AGENCIES], count)
    spent = side.processor_seconds
    async with _watching(side) as memory:
        answers = await asyncio.gather(*(send(stage.http, side, call.ring(good=b"")) for call in calls))
    spent = (side.processor_seconds - spent) * 1000 / count
    memory.after = await _settle(side, memory)
    without = [call for call, answer in zip(calls, answers, strict=True) if b"<Sip" not in answer.body]
    why = await _why(stage, without) if without else ""
    return f"{count:5} {when:6}: {count - len(without)} at their AI{why}, {_describe(count, answers, spent, memory)}"


async def _why(stage: Stage, calls: Sequence[Call]) -> str:
    """Why these calls are not at an AI."""
    db = await asyncpg.connect(stage.dsn)
    try:
        rows = await db.fetch(_WITHOUT_AI, [call.form["CallSid"] for call in calls])
    finally:
        await db.close()
    told = ", ".join(f"{row['n']} {row['why']}" for row in rows)
    return f" (the others: {told})"


def _describe(count: int, answers: list[Answer], spent: float, memory: Memory) -> str:
    took = [answer.took for answer in answers]
    allowed = _PROVIDER_MS + count * spent + 100
    held, kept = (each / count * 1000 for each in (memory.most - memory.before, memory.after - memory.before))
    return (
        f"in {statistics.median(took):.0f} ms, 99 of 100 within"
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
