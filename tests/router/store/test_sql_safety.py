"""What no statement may do, whatever it is for."""

from __future__ import annotations

import re
from pathlib import Path

ROUTER = Path(__file__).parents[3] / "router"
# A row without columns: asyncpg keeps freed rows in a list whose links stand where the first column would be, and writes
# beyond the memory of a row that has none. The process dies of it a little later, somewhere else.
NO_COLUMNS = re.compile(r"(execute|fetch|fetchrow|fetchval)\(\s*f?\"+\s*SELECT\s+FROM\b")


def test_no_statement_asks_for_rows_without_columns():
    found = [path.name for path in ROUTER.rglob("*.py") if NO_COLUMNS.search(path.read_text())]
    assert found == []
