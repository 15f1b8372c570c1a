"""A provider that stops answering: what a call waits for it, once the first calls have found out."""

from __future__ import annotations

import asyncio
import statistics
from functools import partial
from typing import Final

from tests.bench.load import new_calls, send
from tests.bench.stage import AGENCIES, Side, Stage

_RATE: Final = 25.0  # calls a second
_HEALTHY_SECONDS, _FINDING_OUT_SECONDS, _DEAD_SECONDS = 8, 8, 25
_SLOW_MS: Final = 1000.0  # who waits longer has asked the dead provider


async def dead(stage: Stage) -> str:
    side = await stage.start_service("the service")
    await _offer(stage, side, _HEALTHY_SECONDS)  # warms up
    healthy = await _offer(stage, side, _HEALTHY_SECONDS)
    await stage.behave("hang")
    first = await _offer(stage, side, _FINDING_OUT_SECONDS)
    later = await _offer(stage, side, _DEAD_SECONDS)
    await stage.behave("0")
    extra = statistics.median(later) - statistics.median(healthy)
    return (
        f"A provider of {AGENCIES} agencies stops answering, {_RATE:.0f} calls a second, another provider below it:\n"
        f"{sum(took > _SLOW_MS for took in first)} calls waited for it at first;"
        f" then {sum(took > _SLOW_MS for took in later)} of {len(later)}, and the median waited {extra:+.1f} ms"
        f" ({statistics.median(later):.1f} ms instead of {statistics.median(healthy):.1f} ms)"
    )


async def _offer(stage: Stage, side: Side, seconds: int) -> list[float]:
    took: list[float] = []
    arriving = _RATE * seconds
    calls = new_calls(stage, stage.covered, int(arriving))

    async def ring(number: int) -> None:
        answer = await send(stage.http, side, calls[number].ring(good=b"<Response"))
        if b"<Sip" not in answer.body and b"<Stream" not in answer.body:
            raise RuntimeError(f"without an AI: {answer.body[:300]!r}")
        took.append(answer.took)

    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(len(calls)):
            await asyncio.sleep(began + number / _RATE - loop.time())
            group.create_task(partial(ring, number)())
    return took
