"""What a migration after the first may do: CONTRIBUTING.md explains the rules. squawk knows most of them."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

_SQUAWK = Path(sys.executable).with_name("squawk")
_NOT_OURS = (
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",  # one transaction, or can be run again
    "require-timeout-settings",  # router.store.migrations.running sets them
    "require-lock-timeout",
    "require-statement-timeout",
)
_IGNORED = re.compile(r"--\s*squawk-ignore")
_REASON = re.compile(r"^--.*\bunused since (\d+\.\d+\.\d+)\b", re.MULTILINE)
_CHANGES_ROWS = re.compile(r"^\s*(UPDATE|DELETE|INSERT|MERGE|COPY|TRUNCATE)\b", re.IGNORECASE | re.MULTILINE)
_CONCURRENT = re.compile(
    r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (\w+)|DROP INDEX CONCURRENTLY IF EXISTS (\w+)", re.IGNORECASE
)
_BODY = re.compile(r"\$\w*\$.*?\$\w*\$", re.DOTALL)


def find_faults(version: Path, folder: Path, released: Collection[str]) -> list[str]:
    """Of one version's file and its folder of SQL. `released`: versions of the program that others may run."""
    files = sorted(folder.glob("*.sql"))
    concurrent = [file for file in files if file.stem.endswith("_concurrently")]
    faults = _judge_code(version.read_text())
    if concurrent and len(concurrent) < len(files):
        faults.append(
            "indexes that are built concurrently need a version of their own: the rest is not undone if they fail"
        )
    for file in files:
        text = file.read_text()
        judge = _judge_concurrent if file in concurrent else _judge_transaction
        faults += [f"{file.name}: {fault}" for fault in [*judge(text), *_judge_drops(text, released)]]
        faults += _ask_squawk(file, in_transaction=file not in concurrent)
    return faults


def _judge_code(source: str) -> list[str]:
    """A version's file only runs its SQL, forwards."""
    functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    if set(functions) != {"upgrade"}:
        return ["there is one function, upgrade: nothing leads back to an older schema"]
    if [ast.unparse(line) for line in functions["upgrade"].body] != ["run(revision)"]:
        return ["upgrade calls run(revision), and nothing else"]
    return []


def _judge_transaction(text: str) -> list[str]:
    if _CHANGES_ROWS.search(_BODY.sub("", text)):
        return [
            "rows are not changed here, where all of them would be locked until the end: a job does that, a few at a time"
        ]
    return []


def _judge_concurrent(text: str) -> list[str]:
    statements = [one.strip() for one in re.sub(r"--.*", "", text).split(";") if one.strip()]
    found = [_CONCURRENT.match(one) for one in statements]
    if not all(found):
        return ["holds CREATE INDEX CONCURRENTLY and DROP INDEX CONCURRENTLY IF EXISTS only"]
    dropped: set[str] = set()
    faults = []
    for match in filter(None, found):
        if match[2]:
            dropped.add(match[2])
        elif match[1] not in dropped:
            faults.append(f"drop {match[1]} first, if it exists: an interrupted build leaves one that is not valid")
    return faults


def _judge_drops(text: str, released: Collection[str]) -> list[str]:
    """What squawk is told to ignore is gone from the code since a release that others run."""
    if not _IGNORED.search(text):
        return []
    since = _REASON.findall(text)
    if len(since) < len(_IGNORED.findall(text)):
        return ["each squawk-ignore needs a comment that says `unused since X.Y.Z`"]
    return [f"{one} is not released: its code may still use what goes" for one in since if one not in released]


def _ask_squawk(file: Path, *, in_transaction: bool) -> list[str]:
    command = [_SQUAWK, "--reporter", "json", "--pg-version", "15", "--exclude", ",".join(_NOT_OURS)]
    command += ["--assume-in-transaction"] if in_transaction else []
    said = subprocess.run([*command, file], capture_output=True, text=True, check=False)
    assert said.returncode in (0, 1), said.stderr
    return [f"{file.name}: {one['rule_name']}: {one['message']}" for one in json.loads(said.stdout)]
