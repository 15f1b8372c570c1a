"""An agency that syncs: the API, a running queue of jobs, and the sandbox's providers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.sandbox.server import RunningSandbox
from router.agencies import ApiServices
from router.agencies.sync.work import register_sync_jobs
from router.jobs import JobRunner
from tests.router.agencies.client import Agency, Api
from tests.support.waiting import wait_until
from tests.support.world import FakeClock

PROVIDERS = ("vapi", "retell", "bland")
KEYS = {
    "vapi": "vapi-key-of-the-sync-tests-01",
    "retell": "key_of_the_sync_tests_02",
    "bland": "org_of_the_sync_tests_03",
}
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
    services: ApiServices
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
        if provider == "retell":
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

    @contextlib.asynccontextmanager
    async def jobs(self) -> AsyncIterator[JobRunner]:
        """A worker for as long as the block runs."""
        runner = JobRunner(self.dsn, heartbeat=2.0)
        register_sync_jobs(runner, self.services)
        running = asyncio.create_task(runner.run())
        try:
            yield runner
        finally:
            await runner.stop()
            await running

    def _has(self, side: Any, key: str) -> bool:
        return any(org.key == key for org in side.orgs)


@pytest.fixture
def bench(api: Api, sandbox: RunningSandbox, services: ApiServices, database_dsn: str) -> Bench:
    return Bench(api, sandbox, services, database_dsn)


@pytest.fixture
async def working(bench: Bench) -> AsyncIterator[JobRunner]:
    """A worker that runs beside the test."""
    async with bench.jobs() as runner:
        yield runner
