"""The chaos run, shortened: the whole of it is `make chaos`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.chaos.run import run

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # processes and their connections are killed on purpose
async def test_nobody_and_nothing_is_lost_while_everything_around_breaks():
    with tempfile.TemporaryDirectory(prefix="callrouter-chaos-") as folder:
        Path(folder).chmod(0o711)
        report = await run(Path(folder), seconds=14, rate=3, pause=3)
    assert report.offered == 14 * 3
    assert report.broken[:4] == ["a provider fails", "postgres paused", "a replica killed", "postgres killed"]
    # How fast it is on a machine that runs a test suite besides says nothing: `make chaos` counts that, too.
    assert {name: count for name, count in report.faults.items() if name != "over deadline"} == {
        "lost": 0,
        "events lost": 0,
        "events doubled": 0,
        "providers asked twice": 0,
    }, report.describe()
