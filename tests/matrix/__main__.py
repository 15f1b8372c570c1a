"""`make matrix`: run every cell and write docs/reliability.md from what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.matrix.page import describe

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="callrouter-matrix-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "tests/matrix"],
            cwd=ROOT,
            env=os.environ | {"CALLROUTER_MATRIX": "whole", "CALLROUTER_MATRIX_RESULTS": folder},
            check=False,
        )
        if done.returncode:
            return done.returncode
        lines = [line for path in Path(folder).glob("*.jsonl") for line in path.read_text().splitlines()]
    PAGE.write_text(describe([json.loads(line) for line in lines]))
    return 0


sys.exit(main())
