"""docs/jobs.md lists all jobs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from router.app import make_service
from router.health import ServiceHealth
from tests.support.world import open_world

pytestmark = pytest.mark.anyio

DOCUMENT = Path(__file__).parents[3] / "docs" / "jobs.md"


def documented() -> set[str]:
    """The names in the table's first column; those that begin with a dot share the beginning of the one before."""
    names: list[str] = []
    for cell in re.findall(r"^\| (`[^|]+) \|", DOCUMENT.read_text(), re.MULTILINE):
        for name in re.findall(r"`([a-z_.]+)`", cell):
            names.append(names[-1].rpartition(".")[0] + name if name.startswith(".") else name)
    return set(names)


async def test_every_job_is_documented_and_no_other(database_dsn: str, tmp_path: Path):
    async with open_world(database_dsn, tmp_path) as world:
        runner = make_service(world.settings, ServiceHealth(), world.clock).runner
    assert documented() == {*runner._kinds, *runner._ticks, "jobs.clean_up"}
    # While the public address differs from the database's, all jobs wait but those that change nothing outside.
    assert runner._inside == {
        "calls.close_overdue",
        "calls.erase_answers",
        "calls.recount",
        "keys.erase_retired",
        "webhooks.erase",
    }
    assert runner.must_wait is not None
