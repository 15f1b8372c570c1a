"""The workflows for GitHub Actions: what zizmor finds, and what they run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.router.cli.commands import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
ZIZMOR = Path(sys.executable).with_name("zizmor")


def test_zizmor_finds_nothing():
    said = subprocess.run(
        [ZIZMOR, "--offline", "--persona=pedantic", "--no-progress", *WORKFLOWS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_and_runs_what_there_is(workflow: Path):
    jobs: dict[str, Any] = yaml.safe_load(workflow.read_text())["jobs"]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for job in jobs.values():
        assert job["permissions"] == {"contents": "read"}
        assert job["timeout-minutes"] <= 120
        for step in job["steps"]:
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step.get("uses", f"a@{'0' * 40}"))
            for wanted in re.findall(r"\bmake ([a-z -]+)", step.get("run", "")):
                assert set(wanted.split()) <= targets
