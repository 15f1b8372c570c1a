"""Calls that come when they come, on one core: the own share of the wait, beside the floor's under the same load."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tests.bench.load import Call, arrive, new_calls, send
from tests.bench.run import warm_up
from tests.bench.stage import Side, Stage, on_one_core

_RATE: Final = 100.0  # calls a second
_PROVIDER_MS: Final = 300
_SECONDS: Final = 15
_ROUNDS: Final = 3
_TALK_SECONDS: Final = 2.0


@dataclass(slots=True)
class Rush:
    """Milliseconds, of all rounds."""

    side: Side
    own: list[float] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    without_ai: int = 0

    @property
    def p50(self) -> float:
        return statistics.median(self.own)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.own, n=100)[98]

    def describe(self, floor: Rush) -> str:
        return (
            f"{self.side.name:34}own share of the wait {self.p50:6.1f} ms ({self.p50 / floor.p50:.1f} x the floor's),"
            f" 99 of 100 within {self.p99:6.1f} ms ({self.p99 / floor.p99:.1f} x);"
            f" busy {statistics.median(self.spent):.0%} of the time; {self.without_ai} calls without an AI"
        )


async def rush(stage: Stage) -> str:
    sides = [await stage.start_floor("the floor"), await stage.start_service("the service")]
    rushes = [Rush(side) for side in sides]
    for side in sides:
        await warm_up(stage, side, 16)
    await stage.behave(str(_PROVIDER_MS))
    with on_one_core(sides, stage):
        for _ in range(_ROUNDS):
            for one in rushes:
                await _offer(stage, one)
    await stage.behave("0")
    title = f"{_RATE:.0f} calls a second on one core, each ended, the provider at {_PROVIDER_MS} ms:"
    return "\n".join([title, *(one.describe(rushes[0]) for one in rushes)])


async def _offer(stage: Stage, one: Rush) -> None:
    calls = new_calls(stage, stage.clients, int(_RATE * _SECONDS))
    loop = asyncio.get_running_loop()
    before, began = one.side.processor_seconds, loop.time()
    await arrive([partial(_live, stage, one, call) for call in calls], _RATE)
    one.spent.append((one.side.processor_seconds - before) / (loop.time() - began))


async def _live(stage: Stage, one: Rush, call: Call) -> None:
    answer = await send(stage.http, one.side, call.ring(good=b"<Response"))
    if b"<Sip" not in answer.body:
        one.without_ai += 1
        return
    one.own.append(answer.own)
    call.document = answer.body.decode()
    await asyncio.sleep(_TALK_SECONDS)
    await send(stage.http, one.side, call.hang_up())
    await send(stage.http, one.side, call.close())
