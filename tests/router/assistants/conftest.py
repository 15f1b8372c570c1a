"""An agency that syncs: the API, a running queue of jobs, and the sandbox's providers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.sandbox.api import Asked
from adapters.sandbox.server import RunningSandbox
from crypto import new_key_entry
from router.jobs import JobRunner
from tests.router.api.client import ADMIN_TOKEN, PUBLIC_URL, Agency, Api
from tests.support.api_service import (
    Services,
    api,
    bulkheads,
    captured_events,
    circuits,
    platform_keys,
    sandbox,
    services,
)
from tests.support.waiting import wait_until
from tests.support.world import FakeClock

__all__ = ["api", "bulkheads", "captured_events", "circuits", "platform_keys", "sandbox", "services"]

KEYS = {
    "vapi": "vapi-key-of-the-sync-tests-01",
    "retell": "key_of_the_sync_tests_02",
    "bland": "org_of_the_sync_tests_03",
    "elevenlabs": "sk_of_the_sync_tests_04",
}
PROVIDERS = tuple(KEYS)
DEFINITION = {"prompt": "You answer for Acme.", "greeting": "Acme, good morning."}


@pytest.fixture
def clock() -> FakeClock:
    """The real one, so that leases and pauses pass; it can be put forward."""
    return FakeClock()


@dataclass(frozen=True)
class Bench:
    """What tests of syncing need at hand."""

    api: Api
    sandbox: RunningSandbox
    services: Services
    dsn: str

    def org(self, provider: str, key: str | None = None) -> Any:
        """The agency's account at a provider, made when first asked for."""
        side = getattr(self.sandbox.state, provider)
        return (
            side.orgs.of(key or KEYS[provider])
            if self._has(side, key or KEYS[provider])
            else side.add_org(key or KEYS[provider], "Agency")
        )

    def assistants_at(self, provider: str, key: str | None = None) -> list[Any]:
        """What stands there. At Bland those are numbers with a prompt of ours."""
        org = self.org(provider, key)
        if provider == "vapi":
            return list(org.assistants.values())
        if provider != "bland":
            return list(org.agents.values())
        return [number for number in org.numbers.values() if number.get("prompt")]

    async def agency(self, *providers: str, clients: int = 0) -> Agency:
        """With keys for these providers; the first one is active. Clients have a definition."""
        agency = await self.api.new_agency()
        for _ in range(clients):
            await self.client(agency)
        for provider in reversed(providers):
            await self.save_key(agency, provider)
        return agency

    async def many_clients(self, agency: Agency, count: int) -> None:
        """Quicker than by the API."""
        await self.services.database.settings.execute(
            """
            INSERT INTO clients (id, agency_id, name, caller_id, routing, assistant, created_at)
            SELECT 'client_' || $1 || i, $1, 'Client ' || i, 'caller', '{}', $2, now() FROM generate_series(1, $3) AS i
            """,
            agency.id,
            DEFINITION,
            count,
        )

    async def client(self, agency: Agency, **fields: Any) -> dict[str, Any]:
        return await self.api.new_client(agency, **{"assistant": DEFINITION, **fields})

    async def save_key(self, agency: Agency, provider: str, key: str | None = None, **fields: Any) -> Any:
        self.org(provider, key)
        return await self.api.put(f"{agency.path}/keys/{provider}", {"key": key or KEYS[provider], **fields})

    async def progress(self, agency: Agency, provider: str) -> Any:
        return await self.api.get(f"{agency.path}/sync/{provider}")

    async def row(self, agency: Agency, client: dict[str, Any], provider: str) -> Any:
        """The client's assistant at the provider, as the API shows it."""
        shown = await self.api.get(f"{agency.path}/clients/{client['id']}/assistants")
        return next(item for item in shown["items"] if item["provider"] == provider)

    async def wait(self, agency: Agency, provider: str, state: str = "done") -> Any:
        """The progress, once it is in that state."""
        progress: dict[str, Any] = {}

        async def reached() -> bool:
            progress.update(await self.progress(agency, provider))
            return progress["state"] == state

        await wait_until(reached)
        return progress

    def fault(self, provider: str, name: str | None, **fields: Any) -> None:
        """What goes wrong from now on with requests about assistants; None: nothing."""
        fault = None if name is None else {"fault": name, "operation": "assistants", **fields}
        self.sandbox.state.faults.set(provider, fault)

    def asked(self, provider: str) -> list[Asked]:
        """Requests about assistants, oldest first."""
        return self.sandbox.state.requests_to(provider, operation="assistants")

    @contextlib.asynccontextmanager
    async def jobs(self) -> AsyncIterator[JobRunner]:
        """A worker for as long as the block runs."""
        runner = JobRunner(self.dsn, heartbeat=2.0)
        self.services.areas.sync_work.register(runner)
        running = asyncio.create_task(runner.run())
        try:
            yield runner
        finally:
            await runner.stop()
            await running

    def _has(self, side: Any, key: str) -> bool:
        return any(org.key == key for org in side.orgs)


@pytest.fixture
def bench(api: Api, sandbox: RunningSandbox, services: Services, database_dsn: str) -> Bench:
    return Bench(api, sandbox, services, database_dsn)


@pytest.fixture
async def working(bench: Bench) -> AsyncIterator[JobRunner]:
    """A worker that runs beside the test."""
    async with bench.jobs() as runner:
        yield runner


StartWorker = Callable[[], Awaitable["subprocess.Popen[bytes]"]]


@pytest.fixture
def external_worker(
    sandbox: RunningSandbox, database_dsn: str, platform_keys: str, tmp_path: Path
) -> Iterator[StartWorker]:
    """Starts `callrouter worker` in a process of its own, which can be killed."""
    started: list[subprocess.Popen[bytes]] = []
    environ = {
        **sandbox.environment,
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "DATABASE_URL": database_dsn,
        "CALLROUTER_DATA_DIR": str(tmp_path / "data"),
        "CALLROUTER_PLATFORM_KEYS": platform_keys,
        "CALLROUTER_FALLBACK_KEYS": new_key_entry(),
        "CALLROUTER_ADMIN_TOKEN": ADMIN_TOKEN,
        "CALLROUTER_PUBLIC_URL": PUBLIC_URL,
    }

    def begin(told: Path) -> subprocess.Popen[bytes]:
        with told.open("wb") as out:
            command = [sys.executable, "-m", "router", "worker"]
            return subprocess.Popen(command, env=environ, stdout=out, stderr=out)

    async def start() -> subprocess.Popen[bytes]:
        told = tmp_path / "worker.out"
        started.append(begin(told))
        async with asyncio.timeout(150):  # a busy machine takes its time to start a process
            while b"jobs.started" not in told.read_bytes():
                assert started[-1].poll() is None, told.read_text()
                await asyncio.sleep(0.05)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
