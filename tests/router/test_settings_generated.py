"""Secrets that the service makes for itself, and mistakes that only somebody else can see."""

from __future__ import annotations

import base64
import multiprocessing
from pathlib import Path

import pytest
import typer

from adapters.registry import PROVIDERS, settings_of
from router.cli.setup import generate_missing, read_settings
from router.settings import Settings, SettingsError, load_settings

KEY = base64.b64encode(bytes(32)).decode()


def settings_in(folder: Path) -> Settings:
    return load_settings({"CALLROUTER_DATA_DIR": str(folder)})


def make_one(folder: str, name: str, barrier) -> str:
    barrier.wait()
    settings = generate_missing(settings_in(Path(folder)), {"platform_keys": lambda: f"made by {name}"})
    assert settings.platform_keys is not None
    return settings.platform_keys.get_secret_value()


def make_and_tell(folder: str, name: str, barrier, told) -> None:
    told.put(make_one(folder, name, barrier))


def test_processes_that_start_at_once_agree_on_the_secret(tmp_path: Path):
    context = multiprocessing.get_context("forkserver")
    barrier, told = context.Barrier(2), context.Queue()
    workers = [
        context.Process(target=make_and_tell, args=(str(tmp_path), str(number), barrier, told)) for number in range(2)
    ]
    for worker in workers:
        worker.start()
    values = {told.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join()
    (value,) = values
    assert value.startswith("made by ")
    assert [file.name for file in (tmp_path / "secrets").iterdir()] == ["platform-keys"]


def test_a_secret_created_first_by_another_process_is_used(tmp_path: Path):
    other = tmp_path / "secrets" / "platform-keys"

    def be_late() -> str:
        assert not other.exists()
        other.write_text("theirs\n")
        return "ours"

    settings = generate_missing(settings_in(tmp_path), {"platform_keys": be_late})
    assert settings.platform_keys is not None
    assert settings.platform_keys.get_secret_value() == "theirs"
    assert [file.name for file in other.parent.iterdir()] == ["platform-keys"]


def test_a_crash_during_generation_leaves_no_file(tmp_path: Path):
    def crash() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_missing(settings_in(tmp_path), {"platform_keys": crash})
    assert list((tmp_path / "secrets").iterdir()) == []


def test_a_secret_with_an_empty_file_is_not_generated_again(tmp_path: Path):
    """A new platform key would open none of the keys that are stored."""
    file = tmp_path / "secrets" / "platform-keys"
    file.parent.mkdir()
    file.write_text("\n")
    with pytest.raises(SettingsError) as caught:
        generate_missing(settings_in(tmp_path), {"platform_keys": lambda: "new"})
    assert caught.value.problems == [
        f"CALLROUTER_PLATFORM_KEYS: {file} is empty: restore it, or delete it to generate a new secret"
    ]
    assert file.read_text() == "\n"


@pytest.mark.parametrize("text", ["", "\n", "  \n\t"])
def test_an_empty_file_of_a_secret_is_a_mistake(tmp_path: Path, text: str):
    file = tmp_path / "secret"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(
            {"CALLROUTER_TWILIO_AUTH_TOKEN_FILE": str(file), "CALLROUTER_TWILIO_ACCOUNT_SID": "AC" + "0" * 32}
        )
    assert caught.value.problems == ["CALLROUTER_TWILIO_AUTH_TOKEN_FILE: the file is empty"]


@pytest.mark.parametrize("port", ["abc", "65536", "0", "-1", "80 80", "８０"])
@pytest.mark.parametrize("name", ["CALLROUTER_PUBLIC_URL", "CALLROUTER_FALLBACK_URL", "CALLROUTER_VAPI_URL"])
def test_an_address_with_an_invalid_port_is_a_mistake(name: str, port: str):
    with pytest.raises(SettingsError) as caught:
        load_settings({name: f"https://calls.example.com:{port}/base"}, declared=settings_of(PROVIDERS))
    (problem,) = caught.value.problems
    assert problem.startswith(f"{name}: must ")
    assert port not in problem.replace("65535", "")


@pytest.mark.parametrize("address", ["https://[::1", "https://calls example.com", "https:///base", "https://:443"])
def test_an_invalid_address_is_a_mistake(address: str):
    with pytest.raises(SettingsError) as caught:
        load_settings({"CALLROUTER_PUBLIC_URL": address})
    assert caught.value.problems == ["CALLROUTER_PUBLIC_URL: must be an address like https://calls.example.com"]


def test_an_address_keeps_its_port():
    assert load_settings({"CALLROUTER_PUBLIC_URL": "http://[::1]:8443/"}).base_url == "http://[::1]:8443"


def read_through_the_command(monkeypatch: pytest.MonkeyPatch, capsys, environ: dict[str, str]) -> list[str]:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(typer.Exit) as caught:
        read_settings()
    assert caught.value.exit_code == 2
    return capsys.readouterr().err.splitlines()


def test_mistakes_in_keyrings_are_named_together_with_all_others(monkeypatch, capsys):
    lines = read_through_the_command(
        monkeypatch,
        capsys,
        {
            "DATABASE_URL": "postgres://db.example.com/calls",
            "CALLROUTER_PLATFORM_KEYS": f"k1:{KEY},k1:{KEY}",
            "CALLROUTER_FALLBACK_KEYS": "k1:c2hvcnQ=",
            "CALLROUTER_PORT": "http",
        },
    )
    assert lines[:3] == [
        "callrouter: CALLROUTER_ADMIN_TOKEN: required when DATABASE_URL is set",
        "callrouter: CALLROUTER_PLATFORM_KEYS: entry 2: the id k1 is used twice",
        "callrouter: CALLROUTER_FALLBACK_KEYS: entry 1: the key has 5 bytes, not 32",
    ]
    assert lines[3].startswith("callrouter: CALLROUTER_PORT: ")
    assert len(lines) == 4


def test_a_damaged_generated_key_is_named(monkeypatch, capsys, tmp_path: Path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "platform-keys").write_text("k1:mangled")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    lines = read_through_the_command(monkeypatch, capsys, {"CALLROUTER_DATA_DIR": str(tmp_path)})
    assert lines == ["callrouter: CALLROUTER_PLATFORM_KEYS: entry 1: what follows ':' is not base64"]
