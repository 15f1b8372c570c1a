"""What a statement does: its plan, the rows that it looks at, and how long it takes."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any


class Listener:
    """Stands for a connection, and keeps the statement that it is given."""

    def __init__(self) -> None:
        self.asked: tuple[str, tuple[Any, ...]] = ("", ())

    async def fetchrow(self, statement: str, *arguments: Any) -> None:
        self.asked = statement, arguments

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        self.asked = statement, arguments
        return []


@dataclass(frozen=True, slots=True)
class Plan:
    """`shape`: each step with its index or table. `most_rows`: that one step read of `calls`. `pages`: touched in all."""

    shape: tuple[str, ...]
    most_rows: int
    pages: int


async def explain(connection: Any, statement: str, arguments: tuple[Any, ...]) -> Plan:
    """Run the statement, and take it back."""
    turn = connection.transaction()
    await turn.start()
    try:
        explained = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments)
    finally:
        await turn.rollback()
    root = json.loads(explained)[0]["Plan"]
    steps = list(_steps(root))
    of_calls = [step["Actual Rows"] * step["Actual Loops"] for step in steps if step.get("Relation Name") == "calls"]
    shape = tuple(f"{step['Node Type']} {step.get('Index Name') or step.get('Relation Name', '')}" for step in steps)
    return Plan(shape, round(max(of_calls, default=0)), root["Shared Hit Blocks"] + root["Shared Read Blocks"])


def _steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _steps(child)


async def milliseconds(work: Callable[[], Awaitable[Any]], times: int) -> float:
    """The median of so many runs, after one that counts for nothing."""
    await work()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)
