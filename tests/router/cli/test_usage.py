"""What a user reads who asks for help, or gets something wrong: one line for each mistake, and the exit code."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from adapters.registry import PROVIDERS, settings_of
from crypto import Keyring, new_key_entry
from router.cli.serve import greet
from router.settings import load_settings
from tests.router.cli.commands import APP, Commands, mistakes

COMMANDS = ["serve", "fallback", "migrate", "demo", "call", "explain", "keys", "keys new", "keys rotate"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(APP, [*command.split(), "--help"], prog_name="callrouter")
    assert result.exit_code == 0
    assert f"callrouter {command}" in result.output


def test_the_version_is_that_of_the_package(commands: Commands):
    commands.is_forked = False
    shown = commands.run("--version")
    assert shown.end() == 0
    assert CliRunner().invoke(APP, ["--version"]).output == f"callrouter {version('callrouter')}\n"


def test_a_fresh_platform_key_can_be_used_as_it_is_printed():
    printed = [CliRunner().invoke(APP, ["keys", "new"]).output for _ in range(2)]
    rings = [Keyring.parse(line) for line in printed]
    assert rings[0].active_id != rings[1].active_id


def test_wrong_usage_is_one_line_that_names_the_argument(commands: Commands):
    commands.is_forked = False
    wrong = commands.run("serve", "--prot", "1")
    assert wrong.end() == 2
    (line,) = mistakes(wrong)
    assert "--prot" in line


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["sever"], "sever"),
        (["serve", "--port", "http"], "--port"),
        (["serve", "now"], "now"),
        (["keys", "forget"], "forget"),
    ],
)
def test_the_argument_that_is_wrong_is_named(arguments: list[str], named: str):
    with pytest.raises(typer.TyperException) as caught:
        APP(arguments, standalone_mode=False)
    assert caught.value.exit_code == 2
    assert named in caught.value.format_message()


def test_a_call_needs_an_address_without_a_demo(commands: Commands):
    refused = commands.invoke("call", "--to", "+15005550101")
    assert refused.exit_code == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("callrouter: --url: ")


def test_every_wrong_setting_is_named_at_once(commands: Commands):
    wrong = {
        "CALLROUTER_PORT": "http",
        "CALLROUTER_WORKERS": "0",
        "CALLROUTER_LOG_LEVEL": "loud",
        "CALLROUTER_ADMIN_TOKEN": "short",
        "CALLROUTER_PLATFORM_KEYS": "k1:AAAA",
        "DATABASE_URL": "mysql://db/calls",
    }
    for command in (["serve"], ["keys", "rotate"]):
        refused = commands.invoke(*command, **wrong)
        assert refused.exit_code == 2
        named = [line.partition(":")[0] for line in mistakes(refused)]
        assert sorted(named) == sorted([*wrong, "CALLROUTER_FALLBACK_KEYS"])  # required with a DATABASE_URL


def test_a_data_dir_that_cannot_be_used_is_named(commands: Commands, tmp_path: Path):
    (tmp_path / "file").touch()
    commands.environ["CALLROUTER_DATA_DIR"] = str(tmp_path / "file")
    elsewhere = {
        "DATABASE_URL": "postgres://127.0.0.1:1/calls",
        "CALLROUTER_PLATFORM_KEYS": new_key_entry(),
        "CALLROUTER_FALLBACK_KEYS": new_key_entry(),
        "CALLROUTER_ADMIN_TOKEN": "0123456789abcdef",
    }
    serve = commands.start("serve", **elsewhere)
    refused = [commands.invoke(each) for each in ("demo", "migrate")]
    assert [serve.end(), *(command.exit_code for command in refused)] == [2, 2, 2]
    for command in (serve, *refused):
        (line,) = mistakes(command)
        assert line.startswith("CALLROUTER_DATA_DIR: ")


def test_call_lists_the_faults_that_providers_can_have():
    shown = " ".join(CliRunner().invoke(APP, ["call", "--help"], env={"COLUMNS": "200"}).output.split())
    for fault in ("401", "wallet", "hang", "late"):
        assert fault in shown


def test_the_shell_can_complete_commands():
    shown = CliRunner().invoke(
        APP,
        [],
        prog_name="callrouter",
        env={"_CALLROUTER_COMPLETE": "complete_bash", "COMP_WORDS": "callrouter do", "COMP_CWORD": "1"},
    )
    assert "doctor" in shown.output


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"CALLROUTER_ADMIN_TOKEN": "canary"}, "in CALLROUTER_ADMIN_TOKEN"),
        ({"CALLROUTER_ADMIN_TOKEN_FILE": "/run/secrets/admin"}, "in /run/secrets/admin"),
        ({}, "in /data/secrets/admin-token"),
    ],
)
def test_who_starts_the_service_at_a_terminal_is_told_where_to_go_on(environ: dict[str, str], place: str, capsys):
    settings = load_settings({}, declared=settings_of(PROVIDERS), data_dir=Path("/data"))
    greet(settings, environ)
    shown = capsys.readouterr().err
    assert f"{settings.base_url}/console" in shown
    assert place in shown
    assert "canary" not in shown
