"""One version for the project, its changelog and the tag."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import release
from tests.router.cli.commands import ROOT


def test_the_project_and_the_changelog_name_the_same_version():
    assert release.find_disagreements(None) == []


@pytest.mark.parametrize(
    ("tag", "heading", "said"),
    [
        ("v9.9.9", "## 9.9.9 – 2027-01-31", []),
        ("v9.9.8", "## 9.9.9 – 2027-01-31", ["the tag is v9.9.8, pyproject.toml has 9.9.9"]),
        ("v9.9.9", "## 9.9.9 (unreleased)", ["CHANGELOG.md has no date for 9.9.9"]),
        (None, "## 9.9.8 – 2027-01-31", ["CHANGELOG.md begins with 9.9.8, pyproject.toml has 9.9.9"]),
    ],
)
def test_a_tag_that_is_not_the_version_stops_the_release(tmp_path: Path, monkeypatch, tag, heading, said):
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "9.9.9"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n\n## 0.0.1 – 2026-01-01\n")
    monkeypatch.setattr(release, "ROOT", tmp_path)
    assert release.find_disagreements(tag) == said


@pytest.mark.slow
def test_the_bill_of_materials_names_all_that_the_image_installs():
    command = [
        Path(sys.executable).with_name("cyclonedx-py"),
        "requirements",
        "requirements.txt",
        "--output-reproducible",
    ]
    made = subprocess.run([*command, "--pyproject", "pyproject.toml"], cwd=ROOT, capture_output=True, check=True)
    bill = json.loads(made.stdout)
    assert bill["bomFormat"] == "CycloneDX"
    assert (bill["metadata"]["component"]["name"], bill["metadata"]["component"]["version"]) == (
        "callrouter", release.project_version(),
    )  # fmt: skip
    pinned = [line.partition("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line]
    assert {part["name"] for part in bill["components"]} == set(pinned)
