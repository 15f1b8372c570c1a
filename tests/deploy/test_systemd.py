"""The units: systemd reads them without complaint, and finds little that they could do beyond their work."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from router.settings import Settings
from tests.router.cli.commands import ROOT

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
MOST_EXPOSED = 15  # of 100: tenths of what systemd-analyze prints
NEEDS_SYSTEMD = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def test_there_is_a_unit_for_each_service():
    assert {unit.stem for unit in UNITS} == {"callrouter", "callrouter-fallback", "callrouter-worker"}


@NEEDS_SYSTEMD
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_exposed_to_little(unit: Path):
    judged = analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", unit)
    assert judged.returncode == 0, judged.stdout[-300:] + judged.stderr


@NEEDS_SYSTEMD
def test_systemd_understands_every_line(tmp_path: Path):
    """With the command where the unit looks for it, there is nothing left to complain about."""
    command = tmp_path / "callrouter"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/callrouter/bin/callrouter", str(command)))
    said = analyze("verify", "--recursive-errors=no", *(tmp_path / unit.name for unit in UNITS))
    assert (said.returncode, [line for line in said.stderr.splitlines() if "callrouter" in line]) == (0, [])


def test_the_worker_leaves_the_ports_of_the_one_env_file_to_the_service():
    """Both read CALLROUTER_OPS_PORT in it, and one machine has each port once."""
    worker = (ROOT / "deploy" / "systemd" / "callrouter-worker.service").read_text()
    [port] = re.findall(r"^ExecStart=\S+ worker --port (\d+)$", worker, re.MULTILINE)
    assert f"port {port}" in (ROOT / "README.md").read_text()
    assert int(port) != Settings().port


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_has_as_long_to_stop_as_the_service_needs_and_no_secret_in_it(unit: Path):
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(unit)
    assert parsed["Service"]["TimeoutStopSec"] == "40"
    given = [line for line in unit.read_text().splitlines() if line.startswith("Environment=")]
    assert all(line.endswith("=%S/" + unit.stem) or "_FILE=%d/" in line for line in given)
