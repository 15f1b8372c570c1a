"""`make matrix`: run every cell and write docs/reliability.md from what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.matrix.cells import CIRCUITS, DATABASES, FAULTS, POSITIONS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"

_HEAD = """# Reliability

What a caller gets when a provider fails, measured: `make matrix` places a call in each of {count} combinations over real
HTTP, with a simulated carrier that executes the answers, and writes this page. The client rings through to the owner
when no AI takes the call. Each cell also had to answer every request within the deadline, ask no provider twice, leave
one alone whose circuit is open, record the call, and show no key in any log line, reply or row.

Rows: what goes wrong, and at which provider of the ladder. Columns: the circuit of the providers that fail, and the
database.

"""


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
    PAGE.write_text(_describe([json.loads(line) for line in lines]))
    return 0


def _describe(results: list[dict[str, str]]) -> str:
    cells = {(r["fault"], r["position"], r["circuit"], r["database"]): r["answered_by"] for r in results}
    columns = [(circuit, database) for circuit in CIRCUITS for database in DATABASES]
    rows = [_row("fault", "at", *(f"{circuit}, {database}" for circuit, database in columns))]
    rows.append(_row(*["---"] * (len(columns) + 2)))
    for fault in FAULTS:
        rows += [
            _row(fault, position, *(cells[fault, position, *column] for column in columns)) for position in POSITIONS
        ]
    return _HEAD.format(count=len(cells)) + "\n".join(rows) + "\n"


def _row(*texts: str) -> str:
    return f"| {' | '.join(_each(texts))} |"


def _each(texts: Iterable[str]) -> Iterable[str]:
    return (text.replace("|", "/") for text in texts)


sys.exit(main())
