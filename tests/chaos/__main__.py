"""`make chaos`: python -m tests.chaos [SECONDS] [CALLS A SECOND]."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.chaos.run import run


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 180.0
    rate = float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
    with tempfile.TemporaryDirectory(prefix="callrouter-chaos-") as folder:
        Path(folder).chmod(0o711)
        report = asyncio.run(run(Path(folder), seconds=seconds, rate=rate, pause=12.0))
    print(report.describe())  # noqa: T201  (the report is for people)
    return 1 if any(report.faults.values()) else 0


sys.exit(main())
