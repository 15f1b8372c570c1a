"""The run: the floor and the service answer the same calls in turn, each as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import asyncpg
import httpx
import psutil

from adapters.registry import PROVIDERS, settings_of
from adapters.sandbox.server import running_sandbox
from adapters.twilio import read_form, sign
from crypto import Keyring, Secret, new_key_entry
from router.hygiene import MEMORY_IS_OVERWRITTEN
from router.settings import load_settings
from router.store.schema import migrate
from tests.chaos.machinery import Postgres, free_port, make_environment
from tests.support.local_http import local_client
from tests.support.processes import running, wait_until_it_answers
from tests.support.signed_requests import call_form
from tests.support.world import Client, FakeClock, World

VOICE = "/webhooks/twilio/voice"
_ROUNDS = 5
_WARM_UP = 300
_AGENCIES = 50
_ACCOUNT, _TOKEN = "AC" + "5" * 32, "auth-token-of-the-bench"
_PUBLIC_URL = "http://bench.test"


@dataclass(slots=True)
class Side:
    """One of those who answer. Times in milliseconds a call."""

    name: str
    url: str
    process: psutil.Process
    spent: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    @property
    def cost(self) -> float:
        return statistics.median(self.spent)

    def describe(self, floor: Side) -> str:
        slowest = statistics.quantiles(self.took, n=100)[98]
        return (
            f"{self.name:34}{self.cost:8.2f} ms of processor a call, {self.cost / floor.cost:5.2f} x the floor;"
            f" answered in {statistics.median(self.took):6.1f} ms, 99 of 100 within {slowest:6.1f} ms"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """All sides, the floor first."""

    sides: list[Side]

    def describe(self) -> str:
        return "\n".join(side.describe(self.sides[0]) for side in self.sides)


async def run(folder: Path, *, calls: int, at_once: int) -> Report:
    """`calls` in each of a few rounds, at every side."""
    async with contextlib.AsyncExitStack() as stack:
        postgres = await asyncio.to_thread(Postgres, folder)
        stack.callback(postgres.stop)
        await migrate(postgres.dsn)
        far_end = free_port()
        stack.enter_context(running(["tests.bench.far_end"], {"BENCH_PORT": str(far_end)}))
        keys = new_key_entry()
        provider = f"http://127.0.0.1:{far_end}"
        clients, environment = await _make_world(stack, postgres, keys, provider)
        floor = {
            "BENCH_URL": _PUBLIC_URL + VOICE,
            "BENCH_PROVIDER": provider,
            "BENCH_TOKEN": _TOKEN,
            "BENCH_KEYS": keys,
            "DATABASE_URL": postgres.dsn,
        }
        sides = [
            await _start_floor(stack, "the floor", floor),
            await _start_floor(stack, "the floor, freed memory overwritten", floor | MEMORY_IS_OVERWRITTEN),
            await _start_service(stack, "the service, which overwrites it", environment, folder),
        ]
        http = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once), trust_env=False)
        )
        for side in sides:
            await _call(http, side, clients, 1, 1)
            await _call(http, side, clients, _WARM_UP, at_once)
        for _ in range(_ROUNDS):
            for side in sides:
                before = _processor_seconds(side.process)
                side.took += await _call(http, side, clients, calls, at_once)
                side.spent.append((_processor_seconds(side.process) - before) * 1000 / calls)
    return Report(sides)


async def _make_world(
    stack: contextlib.AsyncExitStack, postgres: Postgres, keys: str, provider: str
) -> tuple[list[Client], dict[str, str]]:
    sandbox = await stack.enter_async_context(running_sandbox())
    sandbox.state.twilio.add_account(_ACCOUNT, _TOKEN)
    environment = make_environment(
        {
            "DATABASE_URL": postgres.dsn,
            "CALLROUTER_PLATFORM_KEYS": keys,
            "CALLROUTER_FALLBACK_KEYS": new_key_entry(),
            "CALLROUTER_PUBLIC_URL": _PUBLIC_URL,
            "CALLROUTER_TWILIO_ACCOUNT_SID": _ACCOUNT,
            "CALLROUTER_TWILIO_AUTH_TOKEN": _TOKEN,
            "CALLROUTER_CALLER_CALLS": "1000000",  # no call here ever ends
            "CALLROUTER_AGENCY_CALLS": "1000000",
            "CALLROUTER_LOG_FORMAT": "json",
            **sandbox.environment,
            "CALLROUTER_RETELL_URL": provider,
        }
    )
    db = await asyncpg.connect(postgres.dsn)
    stack.push_async_callback(db.close)
    http = await stack.enter_async_context(local_client())
    settings = load_settings(
        {name: value for name, value in environment.items() if name.isupper()}, declared=settings_of(PROVIDERS)
    )
    keyring = Keyring.parse(keys)
    world = World(sandbox, settings, keyring, FakeClock(), db, [_PUBLIC_URL], _ACCOUNT, _TOKEN, http)
    return [await world.add_client(providers=["retell"]) for _ in range(_AGENCIES)], environment


async def _start_floor(stack: contextlib.AsyncExitStack, name: str, environment: Mapping[str, str]) -> Side:
    port = free_port()
    process = stack.enter_context(running(["tests.bench.floor"], {**environment, "BENCH_PORT": str(port)}))
    url = f"http://127.0.0.1:{port}"
    await wait_until_it_answers(f"{url}/")
    return Side(name, url, process)


async def _start_service(
    stack: contextlib.AsyncExitStack, name: str, environment: Mapping[str, str], folder: Path
) -> Side:
    port = free_port()
    own = {"CALLROUTER_PORT": str(port), "CALLROUTER_DATA_DIR": str(folder / "data")}
    process = stack.enter_context(running(["router", "serve", "--no-jobs"], {**environment, **own}))
    url = f"http://127.0.0.1:{port}"
    await wait_until_it_answers(f"{url}/readyz")
    return Side(name, url, process)


async def _call(
    http: aiohttp.ClientSession, side: Side, clients: list[Client], count: int, at_once: int
) -> list[float]:
    """So many new calls, never more than so many at once. How long each took to be answered, in milliseconds."""
    took: list[float] = []
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            form = call_form(clients[number % len(clients)])
            body = urlencode(form).encode()
            signature = sign(Secret(_TOKEN), _PUBLIC_URL + VOICE, read_form(body))
            headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
            began = time.perf_counter()
            async with http.post(side.url + VOICE, data=body, headers=headers) as answer:
                document = await answer.read()
            took.append((time.perf_counter() - began) * 1000)
            if answer.status != httpx.codes.OK or b"<Sip" not in document:
                raise RuntimeError(f"{side.name} did not hand over the call: HTTP {answer.status}: {document[:300]!r}")

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(caller())
    return took


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
