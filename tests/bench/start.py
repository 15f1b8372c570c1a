"""Start-up: how soon the service answers its probe, and what the idle process holds."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Final

from tests.bench.stage import Stage

_STARTS: Final = 3
_IDLE_SECONDS: Final = 3.0


async def start(stage: Stage) -> str:
    seconds, processor, memory = [], [], []
    for _ in range(_STARTS):
        began = time.perf_counter()
        side = await stage.start_service("the service")
        seconds.append(time.perf_counter() - began)
        processor.append(side.processor_seconds)
        await asyncio.sleep(_IDLE_SECONDS)
        memory.append(side.memory)
        side.process.terminate()
    return (
        f"Start-up: ready after {statistics.median(seconds):.2f} s ({statistics.median(processor):.2f} s of"
        f" processor), idle process {statistics.median(memory):.0f} MB"
        f" (the middle one of {_STARTS} starts)"
    )
