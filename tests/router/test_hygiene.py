"""The process that starts itself so that freed memory is overwritten, and leaves no core dumps."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from router import hygiene
from router.hygiene import is_memory_overwritten, restart_with_hygiene

ROOT = Path(__file__).parents[2]
GLIBC = hygiene._has_glibc()
ON = {
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0",
}

needs_glibc = pytest.mark.skipif(not GLIBC, reason="only glibc can overwrite what is freed")


@needs_glibc
@pytest.mark.parametrize(
    ("environ", "on"),
    [
        (ON, True),
        ({}, False),
        ({"PYTHONMALLOC": "malloc"}, False),
        ({**ON, "PYTHONMALLOC": "pymalloc"}, False),
        ({**ON, "GLIBC_TUNABLES": "glibc.malloc.perturb=165"}, False),
    ],
)
def test_hygiene_is_on_only_with_both_settings(environ: dict[str, str], on: bool):
    assert is_memory_overwritten(environ) is on


@needs_glibc
def test_a_process_restarts_itself_with_hygiene(monkeypatch: pytest.MonkeyPatch):
    for name in ON:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CALLROUTER_PORT", "8081")
    restarts = []
    restart_with_hygiene(lambda *arguments: restarts.append(arguments))
    ((program, arguments, environ),) = restarts
    assert (program, arguments) == (sys.executable, [sys.executable, *sys.orig_argv[1:]])
    assert is_memory_overwritten(environ)
    assert environ["CALLROUTER_PORT"] == "8081"


@needs_glibc
def test_a_process_with_hygiene_continues(monkeypatch: pytest.MonkeyPatch):
    for name, value in ON.items():
        monkeypatch.setenv(name, value)
    restarts = []
    restart_with_hygiene(lambda *arguments: restarts.append(arguments))
    assert restarts == []


def test_without_glibc_the_process_continues_and_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hygiene.platform, "libc_ver", lambda: ("musl", "1.2"))
    restarts = []
    restart_with_hygiene(lambda *arguments: restarts.append(arguments))
    assert restarts == []
    assert not is_memory_overwritten(ON)


SCRIPT = """
import json, resource, sys
from router.hygiene import protect_memory, is_memory_overwritten, restart_with_hygiene
restart_with_hygiene()
protect_memory()
print(json.dumps([sys.argv, is_memory_overwritten(), resource.getrlimit(resource.RLIMIT_CORE)]))
"""


def test_a_real_process_ends_up_with_both(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environ = {name: value for name, value in os.environ.items() if name not in ON} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", str(script), "serve", "--port", "8081"]
    run = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=True)
    argv, overwritten, limits = json.loads(run.stdout)
    assert argv == [str(script), "serve", "--port", "8081"]
    assert overwritten is GLIBC
    assert limits == [0, 0]


COMMAND = """
import json, resource, sys, types
from router.__main__ import main
from router.hygiene import is_memory_overwritten, is_memory_readable

def show():
    print(json.dumps([is_memory_overwritten(), is_memory_readable(), resource.getrlimit(resource.RLIMIT_CORE)]))

sys.modules["router.cli"] = types.SimpleNamespace(main=show)
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
@pytest.mark.parametrize("command", [["serve"], ["keys", "rotate"], ["doctor", "--live"], ["explain", "+15005550001"]])
def test_every_command_runs_with_its_memory_protected(tmp_path: Path, command: list[str]):
    script = tmp_path / "callrouter.py"
    script.write_text(COMMAND)
    environ = {name: value for name, value in os.environ.items() if name not in ON} | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, str(script), *command], env=environ, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(run.stdout) == [GLIBC, False, [0, 0]]


def test_the_collector_rests_while_modules_are_imported_and_goes_on_after_that():
    with hygiene.no_collections():
        assert not gc.isenabled()
    assert gc.isenabled()
