"""The compose file: every setting arrives, secrets are files, and a container may do no more than its work."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.registry import PROVIDERS, settings_of
from crypto import Keyring
from router.settings import load_settings, reveal
from tests.router.cli.commands import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `deploy/secrets.sh` makes, in another folder."""
    script = tmp_path_factory.mktemp("deploy") / "secrets.sh"
    script.write_text((DEPLOY / "secrets.sh").read_text())
    for _ in range(2):
        before = [path.read_bytes() for path in sorted(script.parent.glob("secrets/*")) if path.is_file()]
        subprocess.run(["sh", script], check=True)
    assert before == [path.read_bytes() for path in sorted(script.parent.glob("secrets/*")) if path.is_file()]
    return script.parent / "secrets"


def test_the_services():
    assert set(OURS) == {"migrate", "router", "worker", "fallback"}
    assert OURS["fallback"]["profiles"] == ["fallback"]
    assert SERVICES["pgbouncer"]["profiles"] == ["pgbouncer"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_limited(name: str):
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert "privileged" not in service
    assert ("cap_add" in service) == (name == "postgres")


@pytest.mark.parametrize("name", OURS)
def test_a_service_gets_every_setting_of_one_env_file_and_no_secret_in_its_environment(name: str):
    service = OURS[name]
    assert service["env_file"] == "callrouter.env"
    for variable, path in service["environment"].items():
        assert variable.endswith("_FILE")
        assert path.removeprefix("/run/secrets/") in service["secrets"]


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "build" not in service])
def test_an_image_is_pinned(name: str):
    assert re.search(r":v?\d+\.\d+", SERVICES[name]["image"])


def test_every_secret_that_is_mounted_is_made(secrets: Path):
    mounted = {one for service in SERVICES.values() for one in service.get("secrets", ())}
    assert mounted == set(COMPOSE["secrets"])
    assert {path.name for path in secrets.iterdir() if path.is_file()} == mounted
    assert [entry["file"] for entry in COMPOSE["secrets"].values()] == [
        f"secrets/{name}" for name in COMPOSE["secrets"]
    ]


def test_the_secrets_are_settings_that_the_service_takes_and_only_the_owner_gets_at(secrets: Path):
    given = {name: path.replace("/run/secrets", str(secrets)) for name, path in OURS["router"]["environment"].items()}
    settings = load_settings(given, declared=settings_of(PROVIDERS))
    assert not settings.embedded
    for keys in (settings.platform_keys, settings.fallback_keys):
        assert Keyring.parse(reveal(keys)).active_id
    assert (secrets / "postgres_password").read_text() in settings.dsn
    assert secrets.stat().st_mode & 0o077 == 0


def test_replicas_wait_for_the_migration_and_are_given_time_to_stop():
    assert OURS["migrate"]["command"] == ["migrate", "--wait", "60"]
    for name in ("router", "worker"):
        assert OURS[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
        assert OURS[name]["stop_grace_period"] == "40s"
