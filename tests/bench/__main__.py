"""`make bench`: python -m tests.bench [CALLS] [AT ONCE] [--part NAME]. Prints what answering a call costs, beside the floor.

Counted is the processor time of the process that answers, so that neither the rest of the machine nor this load
matters much; each side is measured in turn, several times, and the middle one counts. Waits depend on the machine: only
their ratios can be compared. docs/performance.md says what each part measures.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from tests.bench.crowd import crowd
from tests.bench.dead import dead
from tests.bench.others import others
from tests.bench.run import run
from tests.bench.rush import rush
from tests.bench.stage import Stage, opened_stage
from tests.bench.start import start

_CALLS: Final = "calls"
_PARTS: Final[dict[str, Callable[[Stage], Awaitable[str]]]] = {
    "rush": rush,
    "crowd": crowd,
    "dead": dead,
    "others": others,
    "start": start,
}


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.bench")
    options.add_argument("calls", type=int, nargs="?", default=2_000, help="in each round of the first part")
    options.add_argument("at_once", type=int, nargs="?", default=16)
    options.add_argument("--part", action="append", choices=[_CALLS, *_PARTS], help="only this; may be repeated")
    given = options.parse_args()
    for name in given.part or [_CALLS, *_PARTS]:
        with tempfile.TemporaryDirectory(prefix="callrouter-bench-") as folder:
            Path(folder).chmod(0o711)
            print(asyncio.run(_run(name, Path(folder), given.calls, given.at_once)), flush=True)  # noqa: T201  (for people)


async def _run(name: str, folder: Path, calls: int, at_once: int) -> str:
    if name == _CALLS:
        return (await run(folder, calls=calls, at_once=at_once)).describe()
    async with opened_stage(folder) as stage:
        return await _PARTS[name](stage)


main()
