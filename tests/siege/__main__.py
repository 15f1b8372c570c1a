"""`make siege`: python -m tests.siege [ATTACK]... [SECONDS] [CALLS A SECOND]; without attacks, all of them in turn.

Prints how long other agencies' calls waited during each attack and in quiet, how many of them got no AI, and the
service's memory. Exits with 1 if a goal was missed. Needs a machine with nothing else to do.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.siege.attacks import ATTACKS
from tests.siege.run import HEADINGS, run

_SECONDS, _RATE = 22.5, 25.0


async def main() -> int:
    names = [word for word in sys.argv[1:] if not word.replace(".", "").isdecimal()]
    if unknown := set(names) - set(ATTACKS):
        print(f"No such attack: {', '.join(unknown)}. There are {', '.join(ATTACKS)}.")  # noqa: T201
        return 2
    numbers = [float(word) for word in sys.argv[1:] if word not in names]
    seconds, rate = [*numbers, *(_SECONDS, _RATE)[len(numbers) :]]
    print(HEADINGS)  # noqa: T201  (the report is for people)
    missed = False
    with tempfile.TemporaryDirectory(prefix="callrouter-siege-") as folder:
        Path(folder).chmod(0o711)
        async for result in run(Path(folder), names or list(ATTACKS), seconds=seconds, rate=rate):
            print(result.describe(), flush=True)  # noqa: T201
            print(result.describe_more(), flush=True)  # noqa: T201
            missed = missed or bool(result.misses)
    return int(missed)


sys.exit(asyncio.run(main()))
