"""The run: the floor and the service answer the same calls in turn, each as a process of its own.

Agencies have calls in progress, and every call of a round ends after it. Each side has a database of its own with the
same rows.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg

from router.hygiene import MEMORY_IS_OVERWRITTEN
from tests.bench.counting import Counts, count_so_far
from tests.bench.load import Request, end_all, new_calls, ring_all, send_all
from tests.bench.stage import AGENCIES, Side, Stage, opened_stage
from tests.support.database_proxy import DatabaseProxy, proxied

IN_PROGRESS: Final = 10  # calls of each agency, all the time
_ROUNDS: Final = 5
_COUNTED: Final = 20  # calls of each agency


@dataclass(slots=True)
class Cost:
    """Of one kind of request. Times in milliseconds; `spent`: of the processor, one figure a round."""

    spent: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    @property
    def middle(self) -> float:
        return statistics.median(self.spent)

    @property
    def p50(self) -> float:
        return statistics.median(self.took)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.took, n=100)[98]


@dataclass(slots=True)
class Result:
    """What one side spent: on new calls, and on the two requests with which a call ends."""

    side: Side
    new: Cost = field(default_factory=Cost)
    action: Cost = field(default_factory=Cost)
    status: Cost = field(default_factory=Cost)

    @property
    def whole(self) -> float:
        return self.new.middle + self.action.middle + self.status.middle


@dataclass(frozen=True, slots=True)
class Report:
    """All sides, the floor first; and what each says to its database, by name."""

    results: list[Result]
    counts: dict[str, tuple[Counts, Counts]]

    def describe(self) -> str:
        floor = self.results[0]
        lines = [_describe_new(result, floor) for result in self.results]
        lines.append("With the two requests of its end:")
        lines += [_describe_whole(result, floor) for result in self.results]
        lines.append("To and from the database, a call:")
        for name, (new, ended) in self.counts.items():
            lines += [f"{name + ', new':34}{new.describe()}", f"{name + ', ended':34}{ended.describe()}"]
        return "\n".join(lines)


def _describe_new(result: Result, floor: Result) -> str:
    new = result.new
    return (
        f"{result.side.name:34}{new.middle:8.2f} ms of processor a call, {new.middle / floor.new.middle:5.2f} x the floor;"
        f" answered in {new.p50:6.1f} ms ({new.p50 / floor.new.p50:.1f} x),"
        f" 99 of 100 within {new.p99:6.1f} ms ({new.p99 / floor.new.p99:.1f} x)"
    )


def _describe_whole(result: Result, floor: Result) -> str:
    return (
        f"{result.side.name:34}{result.whole:8.2f} ms of processor a call, {result.whole / floor.whole:5.2f} x the floor;"
        f" action {result.action.middle:.2f} ms ({result.action.middle / floor.action.middle:.1f} x),"
        f" status {result.status.middle:.2f} ms ({result.status.middle / floor.status.middle:.1f} x)"
    )


async def run(folder: Path, *, calls: int, at_once: int) -> Report:
    """`calls` in each of a few rounds, at every side."""
    async with opened_stage(folder) as stage:
        return await compare(stage, calls=calls, at_once=at_once)


async def compare(stage: Stage, *, calls: int, at_once: int) -> Report:
    sides = [
        await stage.start_floor("the floor"),
        await stage.start_floor("the floor, freed memory overwritten", MEMORY_IS_OVERWRITTEN),
        await stage.start_service("the service, which overwrites it"),
    ]
    results = [Result(side) for side in sides]
    for side in sides:
        await warm_up(stage, side, at_once)
    for _ in range(_ROUNDS):
        for result in results:
            await _measure(stage, result, calls, at_once)
    return Report(results, await _count(stage, at_once))


async def warm_up(stage: Stage, side: Side, at_once: int) -> None:
    """Leaves calls in progress. The first one is alone: it opens connections."""
    await ring_all(stage, side, new_calls(stage, stage.clients, 1), 1)
    await ring_all(stage, side, new_calls(stage, stage.clients, AGENCIES * IN_PROGRESS), at_once)


async def _measure(stage: Stage, result: Result, count: int, at_once: int) -> None:
    calls = new_calls(stage, stage.clients, count)
    documents = await spend(stage, result.side, result.new, [call.ring() for call in calls], at_once)
    for call, document in zip(calls, documents, strict=True):
        call.document = document.decode()
    await spend(stage, result.side, result.action, [call.hang_up() for call in calls], at_once)
    await spend(stage, result.side, result.status, [call.close() for call in calls], at_once)


async def spend(stage: Stage, side: Side, cost: Cost, requests: Sequence[Request], at_once: int) -> list[bytes]:
    """Send these requests and add what they cost. Returns the answers' bodies."""
    before = side.processor_seconds
    answers = await send_all(stage.http, side, requests, at_once)
    cost.spent.append((side.processor_seconds - before) * 1000 / len(requests))
    cost.took += [answer.took for answer in answers]
    return [answer.body for answer in answers]


async def _count(stage: Stage, at_once: int) -> dict[str, tuple[Counts, Counts]]:
    """Apart from the measurement: the proxy in between costs time."""
    async with proxied(stage.floors_dsn) as to_floors, proxied(stage.dsn) as to_services:
        return {
            "the floor": await _count_at(
                stage, await stage.start_floor("floor", dsn=to_floors.dsn), to_floors, at_once
            ),
            "the service": await _count_at(
                stage, await stage.start_service("service", dsn=to_services.dsn), to_services, at_once
            ),
        }


async def _count_at(stage: Stage, side: Side, proxy: DatabaseProxy, at_once: int) -> tuple[Counts, Counts]:
    """Of a new call, and of a call's end."""
    await warm_up(stage, side, at_once)
    calls = new_calls(stage, stage.clients, AGENCIES * _COUNTED)
    db = await asyncpg.connect(stage.dsn)
    try:
        marks = [await count_so_far(proxy, db)]
        await ring_all(stage, side, calls, at_once)
        marks.append(await count_so_far(proxy, db))
        await end_all(stage, side, calls, at_once)
        marks.append(await count_so_far(proxy, db))
    finally:
        await db.close()
    new, ended = (after.minus(before).per(len(calls)) for before, after in itertools.pairwise(marks))
    return new, ended
