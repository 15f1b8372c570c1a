"""What a release must agree on, and the last release's code on the newest schema.

python -m tests.release version [v0.2.0]     the versions that the project, the changelog and a tag name
python -m tests.release last                 the tests of the last tag's calls, on this checkout's schema
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
_HEADING = re.compile(r"^## (\d+\.\d+\.\d+)(?: – (\d{4}-\d{2}-\d{2})| \(unreleased\))?$", re.MULTILINE)
_TESTS = ("tests/router/calls", "tests/router/store", "tests/router/events", "tests/router/api")
_NOT_OF_OLD = ("tests/router/store/test_migrations.py", "tests/router/store/test_schema.py")  # about their own schema


def say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def project_version() -> str:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return version


def changelog() -> list[tuple[str, str | None]]:
    """(version, date) of each heading, newest first; without a date it is not released."""
    return [(found[1], found[2]) for found in _HEADING.finditer((ROOT / "CHANGELOG.md").read_text())]


def find_disagreements(tag: str | None) -> list[str]:
    """Without a tag, the newest version may be one that is being made."""
    newest, date = changelog()[0]
    wrong = []
    if newest != project_version():
        wrong.append(f"CHANGELOG.md begins with {newest}, pyproject.toml has {project_version()}")
    if tag is not None and tag != f"v{project_version()}":
        wrong.append(f"the tag is {tag}, pyproject.toml has {project_version()}")
    if tag is not None and date is None:
        wrong.append(f"CHANGELOG.md has no date for {newest}")
    return wrong


def try_last_release() -> int:
    """Its own tests, against databases that this checkout has migrated."""
    said = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode:
        say(f"No release was found: {said.stderr.strip()}")
        return 0
    tag = said.stdout.strip()
    folder = ROOT / "build" / f"release-{tag}"
    if not folder.exists():
        subprocess.run(["git", "worktree", "add", "--detach", folder, tag], cwd=ROOT, check=True)
    subprocess.run(["make", ".venv/.test"], cwd=folder, check=True)
    ignored = [f"--ignore={path}" for path in _NOT_OF_OLD]
    say(f"The tests of {tag} on the newest schema:")
    environ = os.environ | {"CALLROUTER_TESTS_MIGRATE": sys.executable}
    return subprocess.run([".venv/bin/pytest", *ignored, *_TESTS], cwd=folder, env=environ, check=False).returncode


def main(arguments: list[str]) -> int:
    match arguments:
        case ["version", *tag]:
            wrong = find_disagreements(tag[0] if tag else None)
            say(*wrong or [f"callrouter {project_version()}"])
            return 1 if wrong else 0
        case ["last"]:
            return try_last_release()
    say(str(__doc__))
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
