"""What is up during a run: PostgreSQL, the providers, agencies with clients, and those who answer, each a process."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
import asyncpg
import psutil

from adapters.registry import PROVIDERS, settings_of
from adapters.sandbox.server import running_sandbox
from crypto import Keyring, new_key_entry
from router.settings import load_settings
from router.store.schema import migrate
from tests.chaos.machinery import Postgres, free_port, make_environment
from tests.support.local_http import local_client
from tests.support.processes import running, wait_until_it_answers
from tests.support.world import Client, FakeClock, World

PUBLIC_URL: Final = "http://bench.test"
ACCOUNT, TOKEN = "AC" + "5" * 32, "auth-token-of-the-bench"
AGENCIES: Final = 50
_DATABASE, _FLOORS_DATABASE = "bench", "bench_floor"


@dataclass(slots=True)
class Side:
    """One of those who answer."""

    name: str
    url: str
    process: psutil.Process

    @property
    def processor_seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    @property
    def memory(self) -> float:
        """In MB."""
        return float(self.process.memory_info().rss / 1e6)


@dataclass(slots=True)
class Stage:
    """`clients`: one of each agency, with a Retell key. `covered`: of other agencies, with Vapi below Retell.

    `tokens`: one of each agency in `clients`.
    """

    folder: Path
    postgres: Postgres
    keys: str
    environment: dict[str, str]
    provider: str
    far_end: psutil.Process
    http: aiohttp.ClientSession
    clients: list[Client] = field(default_factory=list)
    covered: list[Client] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    callers: int = 0
    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def dsn(self) -> str:
        return self.postgres.dsn_of(_DATABASE)

    @property
    def floors_dsn(self) -> str:
        """A database of its own with the same rows, so that neither side reads what the other has written."""
        return self.postgres.dsn_of(_FLOORS_DATABASE)

    def next_caller(self) -> str:
        """Every call is another caller's."""
        self.callers += 1
        return f"+1415{2_000_000 + self.callers:07d}"

    async def behave(self, how: str) -> None:
        """How the providers answer from now on: after so many milliseconds, or `hang`."""
        async with self.http.put(f"{self.provider}/behaviour/{how}") as answer:
            answer.raise_for_status()

    async def start_floor(self, name: str, more: Mapping[str, str] | None = None, *, dsn: str | None = None) -> Side:
        environment = {
            "BENCH_URL": PUBLIC_URL,
            "BENCH_PROVIDER": self.provider,
            "BENCH_TOKEN": TOKEN,
            "BENCH_KEYS": self.keys,
            "DATABASE_URL": dsn or self.floors_dsn,
            **(more or {}),
        }
        return await self._start(name, ["tests.bench.floor"], "BENCH_PORT", environment, "/")

    async def start_service(self, name: str, *, dsn: str | None = None) -> Side:
        own = {"CALLROUTER_DATA_DIR": str(self.folder / f"data-{secrets.token_hex(4)}")}
        environment = self.environment | own | ({"DATABASE_URL": dsn} if dsn else {})
        return await self._start(name, ["router", "serve", "--no-jobs"], "CALLROUTER_PORT", environment, "/readyz")

    async def _start(
        self, name: str, command: list[str], port_of: str, environment: Mapping[str, str], probe: str
    ) -> Side:
        port = free_port()
        process = self.stack.enter_context(running(command, {**environment, port_of: str(port)}))
        url = f"http://127.0.0.1:{port}"
        await wait_until_it_answers(url + probe)
        return Side(name, url, process)


@contextlib.asynccontextmanager
async def opened_stage(folder: Path) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        postgres = Postgres(folder)
        stack.callback(postgres.stop)
        await _create_database(postgres.dsn, _DATABASE)
        await migrate(postgres.dsn_of(_DATABASE))
        port = free_port()
        far_end = stack.enter_context(running(["tests.bench.far_end"], {"BENCH_PORT": str(port)}))
        keys, provider = new_key_entry(), f"http://127.0.0.1:{port}"
        await wait_until_it_answers(f"{provider}/")
        connector = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, trust_env=False))
        stage = Stage(folder, postgres, keys, {}, provider, far_end, http, stack=stack)
        await _fill(stage)
        await _create_database(postgres.dsn, _FLOORS_DATABASE, template=_DATABASE)
        yield stage


async def _fill(stage: Stage) -> None:
    """Agencies, as if they had been set up by the API."""
    async with running_sandbox() as sandbox, local_client() as http:
        sandbox.state.twilio.add_account(ACCOUNT, TOKEN)
        stage.environment = make_environment(
            {
                "DATABASE_URL": stage.dsn,
                "CALLROUTER_PLATFORM_KEYS": stage.keys,
                "CALLROUTER_FALLBACK_KEYS": new_key_entry(),
                "CALLROUTER_PUBLIC_URL": PUBLIC_URL,
                "CALLROUTER_TWILIO_ACCOUNT_SID": ACCOUNT,
                "CALLROUTER_TWILIO_AUTH_TOKEN": TOKEN,
                "CALLROUTER_AGENCY_CALLS": "1000000",
                "CALLROUTER_AGENCY_RATE": "1000000",
                "CALLROUTER_LOG_FORMAT": "json",
                **sandbox.environment,
                "CALLROUTER_RETELL_URL": stage.provider,
                "CALLROUTER_VAPI_URL": stage.provider,
            }
        )
        values = {name: value for name, value in stage.environment.items() if name.isupper()}
        settings = load_settings(values, declared=settings_of(PROVIDERS))
        db = await asyncpg.connect(stage.dsn)
        try:
            keyring = Keyring.parse(stage.keys)
            world = World(sandbox, settings, keyring, FakeClock(), db, [PUBLIC_URL], ACCOUNT, TOKEN, http)
            stage.clients = [await world.add_client(providers=["retell"]) for _ in range(AGENCIES)]
            stage.covered = [
                await world.add_client(providers=["retell", "vapi"], fallback_providers=["vapi"])
                for _ in range(AGENCIES)
            ]
            for client in stage.clients:
                stage.tokens[client.agency_id] = await _add_token(db, client.agency_id)
        finally:
            await db.close()


async def _add_token(db: asyncpg.Connection, agency_id: str) -> str:
    token = f"token_{secrets.token_hex(16)}"
    await db.execute(
        "INSERT INTO tokens (id, agency_id, name, hash, created_at) VALUES ($1, $2, 'bench', $3, now())",
        f"token_{secrets.token_hex(8)}",
        agency_id,
        hashlib.sha256(token.encode()).digest(),
    )
    return token


async def _create_database(dsn: str, name: str, *, template: str = "template1") -> None:
    db = await asyncpg.connect(dsn)
    try:
        await db.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    finally:
        await db.close()


@contextlib.contextmanager
def on_one_core(sides: Sequence[Side], stage: Stage) -> Iterator[None]:
    """The sides on the first core alone, and everything else beside it, where there is more than one core."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        yield
        return
    own = [side.process for side in sides]
    _bind(own, cores[:1])
    _bind([psutil.Process(), stage.far_end, *stage.postgres.processes()], cores[1:])
    try:
        yield
    finally:
        _bind([*own, psutil.Process(), stage.far_end, *stage.postgres.processes()], cores)


def _bind(processes: Sequence[psutil.Process], cores: list[int]) -> None:
    """All of their threads: each has cores of its own. PostgreSQL's processes come and go."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            for thread in process.threads():
                os.sched_setaffinity(thread.id, cores)
