"""A restart of the demo finds its sandbox again, as the database knows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.sandbox.state import Sandbox
from adapters.sandbox.world import NUMBERS, VAPI_KEY, demo_world
from router.cli.demo import keeping
from router.cli.demo.agency import DemoAgency
from router.cli.demo.keeping import Kept, keep, read_kept

URL = "http://127.0.0.1:8080"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "postgres").mkdir()
    state = Sandbox()
    world = demo_world(state)
    state.faults.set("vapi", "503")
    keep(tmp_path, Kept(state, world, DemoAgency("agency_1", "token-1", {}, {}), URL, 4000))
    return tmp_path


def test_what_is_at_the_providers_and_the_carrier_is_found_again(folder: Path):
    kept = read_kept(folder, URL)
    assert kept is not None
    assert (kept.agency.token, kept.sandbox_port) == ("token-1", 4000)
    assert len(kept.sandbox.vapi.orgs.of(VAPI_KEY).assistants) == 1
    account = kept.sandbox.twilio.accounts[kept.world.account_sid]
    assert account.number_called(NUMBERS[0]) is not None
    assert [provider for provider, _ in kept.sandbox.faults] == ["vapi"]
    assert (folder / "sandbox.pickle").stat().st_mode & 0o777 == 0o600


def test_the_demo_starts_over_with_another_version_s_tables(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keeping, "_fingerprint", lambda: "others")
    assert read_kept(folder, URL) is None


def test_the_demo_starts_over_at_another_address_without_a_database_or_with_a_spoilt_file(folder: Path):
    assert read_kept(folder, "http://127.0.0.1:9999") is None
    (folder / "postgres").rmdir()
    assert read_kept(folder, URL) is None
    (folder / "postgres").mkdir()
    (folder / "sandbox.pickle").write_bytes(b"spoilt")
    assert read_kept(folder, URL) is None
