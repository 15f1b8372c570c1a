"""After calls of every kind, no copy of an agency's key is in any process of the service: looked for from outside."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import platform
import secrets
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from adapters.sandbox.carrier import Carrier, SandboxControl, Script, Timeline
from adapters.sandbox.faults import NAMES
from adapters.sandbox.server import RunningSandbox, running_sandbox
from crypto import Secret, new_key_entry
from tests.support.local_http import local_client
from tests.support.memory_search import find_in_memory, forms_of, processes_of
from tests.support.provider_reports import end_report
from tests.support.waiting import wait_until
from tests.support.world import KEPT_SHORTER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc overwrites what is freed"),
]

ROOT = Path(__file__).parents[2]
ADMIN_TOKEN = "admin_of_the_memory_test_0123456789"
MARK = "Kq7XvZ2rWm9LtB4"  # every secret of an agency holds it, so that the search need not know them
PROVIDERS = ("vapi", "retell", "bland")
SOON = Script(caller="hangs-up-during-ai")
CALLERS = count()


def new_secret() -> str:
    return f"{secrets.token_hex(6)}{MARK}{secrets.token_hex(6)}"


@dataclass
class Agency:
    """An agency with an account of its own, a client and a number, ready at all providers."""

    id: str
    number: str
    account_sid: str
    keys: dict[str, str] = field(default_factory=lambda: {name: new_secret() for name in (*PROVIDERS, "twilio")})

    @property
    def path(self) -> str:
        return f"/v1/agencies/{self.id}"


@dataclass
class Service:
    """A running service, its provider's stand-ins in this process, and the API to it."""

    process: Process
    sandbox: RunningSandbox
    url: str
    started: dict[str, Any]
    api: httpx.AsyncClient
    http: httpx.AsyncClient

    async def ask(self, method: str, path: str, body: Any = None, expected: int = 200) -> Any:
        reply = await self.api.request(method, path, json=body)
        assert reply.status_code == expected, reply.text
        return reply.json() if reply.content else None

    def find_secrets(self) -> list[bytes]:
        return find_in_memory(processes_of(self.process.pid), MARK)

    async def add_agency(self, number: str) -> Agency:
        made = await self.ask("POST", "/v1/agencies", {"name": "Agency"}, 201)
        agency = Agency(made["id"], number, "AC" + secrets.token_hex(16))
        state = self.sandbox.state
        account = state.twilio.add_account(agency.account_sid, agency.keys["twilio"])
        state.twilio.add_number(account, number)
        vapi = state.vapi.add_org(agency.keys["vapi"], "Agency", balance=10.0)
        retell = state.retell.add_org(agency.keys["retell"], "Agency", balance=10.0)
        bland = state.bland.add_org(agency.keys["bland"], "Agency", balance=10.0)
        at_bland = number.replace("+1500555", "+1500556")
        state.bland.add_number(bland, at_bland)
        state.bland.attach(bland, at_bland)
        await self.save_keys(agency)
        client = await self.ask("POST", f"{agency.path}/clients", {"name": "Acme Plumbing"}, 201)
        taken = {"e164": number, "client_id": client["id"], "account": "agency"}
        await self.ask("POST", f"{agency.path}/numbers", taken, 201)
        for name, remote_id in (
            ("vapi", state.vapi.add_assistant(vapi)),
            ("retell", state.retell.add_assistant(retell)),
        ):
            await self.ask("PUT", f"{agency.path}/clients/{client['id']}/assistants/{name}", {"remote_id": remote_id})
        registrations = f"{agency.path}/numbers/{quote(number, safe='')}/registrations"
        phone_number_id = state.vapi.add_phone_number(vapi, number)
        await self.ask("PUT", f"{registrations}/vapi", {"remote_id": phone_number_id})
        await self.ask("PUT", f"{registrations}/bland", {"remote_id": at_bland, "mode": "number"})
        return agency

    async def save_keys(self, agency: Agency) -> None:
        for name in PROVIDERS:
            await self.ask("PUT", f"{agency.path}/keys/{name}", {"key": agency.keys[name]})
        twilio = {"account_sid": agency.account_sid, "auth_token": agency.keys["twilio"]}
        await self.ask("PUT", f"{agency.path}/keys/twilio", twilio)

    async def call(self, agency: Agency, script: Script = SOON) -> Timeline:
        carrier = Carrier(
            agency.account_sid,
            Secret(agency.keys["twilio"]),
            f"{self.url}/webhooks/twilio/voice",
            far_end=SandboxControl(self.sandbox.url, self.http),
            pass_time=_skip,
            status_url=f"{self.url}/webhooks/twilio/status",
            client=self.http,
        )
        return await carrier.place_call(to=agency.number, from_=f"+1415555{next(CALLERS) % 10_000:04}", script=script)


async def _skip(_seconds: float) -> None:
    """Nothing takes real time."""


@contextlib.asynccontextmanager
async def running_service(how: str, dsn: str, folder: Path) -> AsyncIterator[Service]:
    async with running_sandbox() as sandbox:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DATABASE_URL": dsn,
            "CALLROUTER_DATA_DIR": str(folder / "data"),
            "CALLROUTER_PORT": "0",
            "CALLROUTER_DRAIN_DELAY": "0",
            "CALLROUTER_HANDOFF_TIMEOUT": "0.5",
            "CALLROUTER_LOG_LEVEL": "debug",
            "CALLROUTER_PLATFORM_KEYS": new_key_entry(),
            "CALLROUTER_FALLBACK_KEYS": new_key_entry(),
            "CALLROUTER_ADMIN_TOKEN": ADMIN_TOKEN,
            **sandbox.environment,
        }
        log = folder / "log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.support.open_service", how, "serve"),
                cwd=ROOT,
                env=environ,
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            started = await _read_start(log, process)
            url = f"http://127.0.0.1:{started['port']}"
            headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
            async with (
                local_client(base_url=url, headers=headers, timeout=30, limits=KEPT_SHORTER) as api,
                local_client(timeout=30, limits=KEPT_SHORTER) as http,
            ):
                yield Service(process, sandbox, url, started, api, http)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _read_start(log: Path, process: Process) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def look() -> bool:
        assert process.returncode is None, log.read_text()
        lines = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        found.extend(each for line in lines if (each := json.loads(line))["event"] == "service.started")
        return bool(found)

    await wait_until(look)
    return found[0]


async def use_keys(service: Service, agencies: list[Agency]) -> dict[str, int]:
    """Every fault at one of the providers, and between them calls that go well, so that no circuit opens."""
    taken = dict.fromkeys((*PROVIDERS, "failed"), 0)
    turns = cycle(agencies)
    for turn, provider in enumerate(PROVIDERS):
        for agency in agencies:
            await service.ask("PATCH", agency.path, {"active_provider": provider})
        for fault in NAMES[turn :: len(PROVIDERS)]:
            service.sandbox.state.faults.set(provider, {"fault": fault, "times": 1, "seconds": 0.8})
            timeline = await service.call(next(turns))
            taken["failed"] += timeline.provider != provider
            for _ in range(2):
                timeline = await service.call(next(turns))
                assert timeline.provider == provider, (fault, timeline.entries)
                taken[provider] += 1
    return taken


async def use_everything_else(service: Service, agency: Agency) -> None:
    """What else opens a key or is told one: refused keys, webhooks, recordings, explanations, wrong signatures."""
    refused = {"key": new_secret()}
    for name in PROVIDERS:
        await service.ask("PUT", f"{agency.path}/keys/{name}", refused, 422)
        service.sandbox.state.faults.set(name, {"fault": "echo-key", "times": 1})
        await service.ask("PUT", f"{agency.path}/keys/{name}", refused, 503)
    await service.ask("PUT", f"{agency.path}/keys/vapi", {"key": [new_secret()]}, 422)
    reply = await service.api.put(f"{agency.path}/keys/vapi", content=f'{{"key": "{new_secret()}"'.encode())
    assert reply.status_code == 422
    again = {"Idempotency-Key": secrets.token_hex(8)}
    for _ in range(2):
        reply = await service.api.put(f"{agency.path}/keys/retell", json={"key": agency.keys["retell"]}, headers=again)
        assert reply.status_code == 200
    for signature in ("v=1,d=2", "no-signature"):
        body = json.dumps(end_report("retell", "call_1"))
        reply = await service.http.post(
            f"{service.url}/webhooks/retell/{agency.id}", content=body, headers={"x-retell-signature": signature}
        )
        assert reply.status_code == 401
    await service.ask("PATCH", agency.path, {"active_provider": None, "fallback_providers": []})
    assert (await service.call(agency, Script())).answered_by == "voicemail"
    (voicemail, *_) = (await service.ask("GET", f"{agency.path}/voicemails"))["items"]
    audio = await service.api.get(f"{agency.path}/voicemails/{voicemail['id']}/audio")
    assert audio.status_code == 200
    await service.ask("PATCH", agency.path, {"active_provider": "vapi", "fallback_providers": None})
    await service.ask("GET", f"{agency.path}/explain?to={quote(agency.number)}")


@pytest.mark.timeout(300)
async def test_after_calls_of_every_kind_no_key_is_left_in_any_process(database_dsn: str, tmp_path: Path):
    async with running_service("protected", database_dsn, tmp_path) as service:
        assert service.started["memory_hygiene"] is True
        agencies = [await service.add_agency(f"+1500555{number:04}") for number in range(1, 5)]
        taken = await use_keys(service, agencies)
        await use_everything_else(service, agencies[0])
        assert sum(taken.values()) > 70
        assert taken["failed"] > 20
        asked = service.sandbox.state.requests
        assert all(
            any(key in str(each.headers) or _basic(key, agency) in str(each.headers) for each in asked)
            for agency in agencies
            for key in agency.keys.values()
        )
        # Requests that hang are let go of some seconds after their callers went on.
        found: list[bytes] = []

        def is_clean() -> bool:
            found[:] = service.find_secrets()
            return not found

        with contextlib.suppress(TimeoutError):
            await wait_until(is_clean)
        assert found == []


def _basic(token: str, agency: Agency) -> str:
    return base64.b64encode(f"{agency.account_sid}:{token}".encode()).decode()


async def test_with_hygiene_switched_off_the_same_search_finds_keys(database_dsn: str, tmp_path: Path):
    async with running_service("unprotected", database_dsn, tmp_path) as service:
        assert service.started["memory_hygiene"] is False
        agency = await service.add_agency("+15005550001")
        for _ in range(5):
            assert (await service.call(agency)).answered_by == "ai"
        assert service.find_secrets()


HIDDEN = """
import sys
from router.hygiene import protect_memory, is_memory_readable
before = is_memory_readable()
protect_memory()
print(before, is_memory_readable(), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
async def test_other_processes_of_the_same_user_cannot_read_the_services_memory():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", HIDDEN, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"True False\n"
        # What Linux shows of such a process belongs to root, whoever runs it.
        assert Path(f"/proc/{process.pid}/mem").stat().st_uid == 0
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("before", range(4))
def test_the_search_knows_a_key_in_base64_wherever_it_stands(before: int):
    text = b"x" * before + f"{MARK}and more".encode()
    assert any(form in base64.b64encode(text) for form in forms_of(MARK))
    assert any(form in text for form in forms_of(MARK))
    assert not any(
        form in base64.b64encode(text.replace(MARK.encode(), MARK[::-1].encode())) for form in forms_of(MARK)
    )
