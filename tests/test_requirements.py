"""The pinned requirements: complete, hashed, and free of anything that belongs to the machine that wrote them."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.router.cli.commands import ROOT

FILES = ("requirements.txt", "requirements-embedded.txt", "requirements-test.txt")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
LINE = re.compile(
    r"(?P<name>[a-z0-9.-]+)==(?P<version>[0-9a-z.+]+)(?: ; (?P<marker>[^\\]+?))?(?P<hashes>(?: --hash=\S+)+)"
)


def read_pins(file: str) -> dict[str, str]:
    """Package → version. Every line has to be a pinned package with its hashes, and nothing else."""
    lines = (ROOT / file).read_text().replace(" \\\n   ", "").splitlines()
    pins = {}
    for line in lines:
        found = LINE.fullmatch(line)
        assert found, f"{file}: {line[:100]}"
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in found["hashes"].split()), line[:100]
        if found["marker"]:
            Marker(found["marker"])
        pins[canonicalize_name(found["name"])] = found["version"]
    return pins


PINS = {file: read_pins(file) for file in FILES}


@pytest.mark.parametrize("file", FILES)
def test_no_host_or_path_is_named(file):
    text = (ROOT / file).read_text()
    assert not re.search(r"://|/|@|^\s*-(?!-hash=)|\.(?:com|org|io|net)\b", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"] + PROJECT["build-system"]["requires"]),
        ("requirements-embedded.txt", EXTRAS["embedded"]),
        ("requirements-test.txt", EXTRAS["test"]),
    ],
)
def test_everything_the_project_depends_on_is_pinned(file, wanted):
    """If this fails, run `make lock`."""
    pins = PINS["requirements.txt"] | PINS["requirements-embedded.txt"] | PINS[file]
    for requirement in map(Requirement, wanted):
        version = pins.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not pinned"
        assert requirement.specifier.contains(version), f"{requirement} does not allow {version}"


def test_each_package_stands_in_one_file():
    names = [name for pins in PINS.values() for name in pins]
    assert len(names) == len(set(names))


def test_what_builds_the_project_is_pinned_with_it():
    assert PROJECT["dependency-groups"]["build"] == PROJECT["build-system"]["requires"]


def test_the_image_installs_the_pinned_versions_only():
    commands = [line for line in (ROOT / "deploy" / "Dockerfile").read_text().splitlines() if "pip install" in line]
    assert all("--require-hashes" in line or "--no-deps --no-build-isolation" in line for line in commands)
