"""`make bench`: python -m tests.bench [CALLS] [AT ONCE]. Prints what answering a call costs, beside the floor.

Counted is the processor time of the process that answers, so that neither the rest of the machine nor this load
matters much; each side is measured in turn, several times, and the middle one counts.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.bench.run import run


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    at_once = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    with tempfile.TemporaryDirectory(prefix="callrouter-bench-") as folder:
        Path(folder).chmod(0o711)
        report = asyncio.run(run(Path(folder), calls=calls, at_once=at_once))
    print(report.describe())  # noqa: T201  (the report is for people)


main()
