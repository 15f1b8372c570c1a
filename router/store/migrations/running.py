"""Runs a version's SQL files, in the order of their names. CONTRIBUTING.md says what they may hold.

Files named `…_concurrently.sql` build or drop indexes while calls go on, each statement by itself, and can be run again
after they were interrupted. All others of a version are one transaction, which gives up a lock that it does not get soon:
every call that needs the table would wait behind it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from alembic import op
from sqlalchemy.util import await_only

_FOLDER: Final = Path(__file__).parent
_CONCURRENTLY: Final = "_concurrently"
_LIMITS: Final = """SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '20s'"""
_CONCURRENT_LIMITS: Final = """SET lock_timeout = '1min'; SET statement_timeout = '2h'"""


def run(revision: str, folder: Path = _FOLDER) -> None:
    files = sorted((folder / revision).glob("*.sql"))
    if not files:
        raise FileNotFoundError(f"version {revision} has no SQL files")
    for file in files:
        if file.stem.endswith(_CONCURRENTLY):
            _run_concurrently(file.read_text())
        else:
            _execute(_LIMITS)
            _execute(file.read_text())


def _run_concurrently(text: str) -> None:
    with op.get_context().autocommit_block():
        _execute(_CONCURRENT_LIMITS)
        for statement in filter(str.strip, text.split(";")):
            _execute(statement)
        _execute("""RESET lock_timeout; RESET statement_timeout""")


def _execute(text: str) -> None:
    driver: Any = op.get_bind().connection.driver_connection  # only the driver itself takes many statements in one text
    await_only(driver.execute(text))
