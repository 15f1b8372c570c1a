"""`make scale`: python -m tests.scale [SHARE]. Says whether the promises for large installations are kept.

1 makes a million numbers of 10,000 agencies and ten million call events, which takes some minutes; 0.02 is made in seconds
and tells the same about plans, rows and memory, because both are a hundred times what the comparison has.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.scale.data import EVENTS_A_CALL, Fleet
from tests.scale.run import run

_MOST_SECONDS = 3_600


def main() -> None:
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    fleet = Fleet(
        agencies=max(round(10_000 * share), 2_000),
        numbers=max(round(1_000_000 * share), 20_000),
        calls=max(round(10_000_000 * share / EVENTS_A_CALL), 5_000),
    )
    with tempfile.TemporaryDirectory(prefix="callrouter-scale-") as folder:
        Path(folder).chmod(0o711)
        report = asyncio.run(asyncio.wait_for(run(Path(folder), fleet), _MOST_SECONDS))
    print(report.describe())  # noqa: T201  (the report is for people)
    sys.exit(not report.kept)


main()
