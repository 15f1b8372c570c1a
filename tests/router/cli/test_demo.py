"""`callrouter demo`, what `make run` runs: a newcomer starts it, copies the lines that it prints, and stops it."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from adapters.sandbox.world import VAPI_KEY
from tests.router.cli.commands import ROOT, Commands, get, is_over, mistakes, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # a dozen processes, on a machine that may be busy

_LINE = re.compile(r"^  (.+ call --to .*)$", re.MULTILINE)


def test_a_newcomer_s_first_five_minutes(commands: Commands):
    elsewhere = {"DATABASE_URL": "mysql://not/for/the/demo", "CALLROUTER_PUBLIC_URL": "https://calls.example.com"}
    commands.is_forked = False
    demo = commands.start("demo", **elsewhere)
    wait_for(lambda: "--provider-fault" in demo.stderr or demo.process.poll() is not None, "the greeting")
    shown = demo.stderr
    lines = _LINE.findall(shown)
    assert len(lines) == 5, shown
    folder = Path(commands.environ["CALLROUTER_DATA_DIR"])
    notes = folder / "demo.json"
    assert notes.stat().st_mode & 0o777 == 0o600

    (token,) = re.findall(r"sign in as +(\S+)", shown)
    (operator,) = re.findall(r"or as +(\S+)", shown)
    (sandbox,) = re.findall(r"sandbox +(\S+)", shown)
    (api,) = re.findall(r"API +(\S+)/v1", shown)
    agencies = json.loads(notes.read_text())["router_url"]
    assert agencies == api
    assert get(f"{api}/readyz").json()["status"] == "ok"
    assert get(f"{api}/v1/agencies", {"Authorization": f"Bearer {token}"}).status_code == 200
    (agency,) = get(f"{api}/v1/health", {"Authorization": f"Bearer {operator}"}).json()["items"]
    assert (agency["state"], set(agency["setup"].values())) == ("good", {True})
    assert VAPI_KEY in get(sandbox).text

    # The printed lines, in a terminal that knows nothing but where the user is.
    bare = {name: commands.environ[name] for name in ("PATH", "HOME")}
    assert "answered by: ai (vapi)" in _read(_type(lines[0], bare))
    for line, provider in zip(lines[1:], ("retell", "bland", "elevenlabs", "retell"), strict=True):
        given, words = _split(line)
        assert f"answered by: ai ({provider})" in commands.invoke(*words[words.index("call") :], **given).output

    calls = f"{api}/v1/agencies/{agency['agency_id']}/calls"
    listed = get(f"{calls}?limit=200", {"Authorization": f"Bearer {token}"}).json()["items"]
    assert len(listed) > 50, "some days of history"
    (own,) = [one for one in listed[:5] if one["provider"] == "vapi"]
    told = get(f"{calls}/{own['id']}", {"Authorization": f"Bearer {token}"}).json()
    assert told["summary"]
    assert told["transcript"]
    assert told["cost"]
    wait_for(lambda: own["id"] in get(f"{sandbox}/receiver").text, "a webhook at the receiver")

    second = commands.invoke("demo")
    assert second.exit_code == 1
    (line,) = mistakes(second)
    assert "already running" in line
    assert notes.exists()

    postgres = commands.postgres()
    demo.tell(signal.SIGINT)
    assert demo.end() == 0
    assert demo.stderr == shown
    assert not notes.exists()
    assert is_over(postgres)


def _type(line: str, environ: dict[str, str]) -> subprocess.Popen[str]:
    given, words = _split(line)
    return subprocess.Popen(
        words, cwd=ROOT, env=environ | given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _split(line: str) -> tuple[dict[str, str], list[str]]:
    """What a shell makes of the line: settings in front, a comment behind."""
    words, given = shlex.split(line, comments=True), {}
    while re.match(r"[A-Z_]+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        given[name] = value
    return given, words


def _read(call: subprocess.Popen[str]) -> str:
    shown, _ = call.communicate(timeout=60)
    assert call.returncode == 0, shown
    return shown
