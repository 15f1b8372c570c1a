"""What a load balancer, an orchestrator and a person learn from the probes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from starlette.applications import Starlette

from router.health import Check, ServiceHealth, fallback_health_routes, health_routes
from router.store.guard import Guard
from router.store.pool import Database, make_database
from router.telemetry import metrics
from tests.support.local_http import local_client
from tests.support.serving import serve_app

pytestmark = pytest.mark.anyio


@dataclass
class Service:
    """The service as the probes see it, in the state that a test wants."""

    starting: bool = False
    draining: bool = False
    answer: Check | Exception | None = field(default_factory=lambda: Check(ok=True, detail="answers"))  # None hangs
    routes: int = 0
    moving: bool = False
    database_away: bool = False
    asked: int = 0
    now: float = 0.0
    takes: float = 0.0  # seconds that the database takes to answer

    async def database(self) -> Check:
        self.asked += 1
        self.now += self.takes
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def public_address(self) -> Check:
        return Check(ok=not self.moving, detail="waits" if self.moving else "as in the database")

    def remembered_routes(self) -> int:
        return self.routes


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def probe(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=health_routes(service, clock=lambda: service.now))
    async with serve_app(app) as url, local_client(base_url=url) as client:
        yield client


@asynccontextmanager
async def probing(database: Database, guard: Guard) -> AsyncIterator[httpx.AsyncClient]:
    """The probes of a process with this database. Each asks it anew."""
    health, seconds = ServiceHealth(), itertools.count()
    health.starting = False
    health.watch(database, guard, (), None)
    app = Starlette(routes=health_routes(health, clock=lambda: float(next(seconds))))
    async with serve_app(app) as url, local_client(base_url=url) as client:
        yield client


def start(service: Service) -> None:
    service.starting = True


def drain(service: Service) -> None:
    service.draining = True


def lose_database(service: Service) -> None:
    service.answer = Check(ok=False, detail="connection refused")


def lose_database_with_routes(service: Service) -> None:
    lose_database(service)
    service.routes = 3


def move(service: Service) -> None:
    service.moving = True


def drain_with_routes(service: Service) -> None:
    drain(service)
    service.routes = 3


@pytest.mark.parametrize(
    ("happen", "code", "status"),
    [
        (lambda _: None, 200, "ok"),
        (start, 503, "unavailable"),
        (drain, 503, "unavailable"),
        (drain_with_routes, 503, "unavailable"),
        (lose_database, 503, "unavailable"),
        (lose_database_with_routes, 200, "degraded"),
        (move, 200, "degraded"),
    ],
)
async def test_ready_says_whether_a_call_would_be_answered(
    service: Service, probe: httpx.AsyncClient, happen: Callable[[Service], None], code: int, status: str
) -> None:
    happen(service)
    reply = await probe.get("/readyz")
    assert (reply.status_code, reply.json()["status"]) == (code, status)


async def test_ready_says_what_is_wrong(service: Service, probe: httpx.AsyncClient) -> None:
    lose_database_with_routes(service)
    drain(service)
    reply = await probe.get("/readyz")
    assert reply.json()["checks"] == {
        "service": {"status": "unavailable", "detail": "draining"},
        "database": {"status": "unavailable", "detail": "connection refused"},
        "remembered_routes": {"status": "ok", "detail": "3"},
        "public_address": {"status": "ok", "detail": "as in the database"},
    }
    assert reply.headers["cache-control"] == "no-store"


async def test_a_database_that_hangs_counts_as_lost(service: Service, probe: httpx.AsyncClient) -> None:
    service.answer = None
    reply = await probe.get("/readyz")
    assert reply.status_code == 503
    assert reply.json()["checks"]["database"] == {"status": "unavailable", "detail": "no answer in time"}


async def test_only_the_name_of_a_database_error_is_shown(service: Service, probe: httpx.AsyncClient) -> None:
    service.answer = ConnectionRefusedError("postgres://user:hunter2@db.internal")
    reply = await probe.get("/readyz")
    assert reply.status_code == 503
    assert reply.json()["checks"]["database"]["detail"] == "ConnectionRefusedError"
    assert "hunter2" not in reply.text


async def test_however_many_probes_ask_the_database_is_asked_once(service: Service, probe: httpx.AsyncClient) -> None:
    replies = await asyncio.gather(*(probe.get("/readyz") for _ in range(20)))
    assert {reply.status_code for reply in replies} == {200}
    assert service.asked == 1


async def test_the_database_is_asked_again_after_a_second(service: Service, probe: httpx.AsyncClient) -> None:
    await probe.get("/readyz")
    lose_database(service)
    service.now = 0.9
    assert (await probe.get("/readyz")).status_code == 200
    service.now = 1.0
    assert (await probe.get("/readyz")).status_code == 503


async def test_an_answer_that_took_long_is_not_taken_for_a_new_one(service: Service, probe: httpx.AsyncClient) -> None:
    service.takes = 0.8
    await probe.get("/readyz")
    lose_database(service)
    service.now += 0.3
    assert (await probe.get("/readyz")).status_code == 503


async def test_a_database_that_calls_do_not_ask_at_the_moment_is_away(
    service: Service, probe: httpx.AsyncClient
) -> None:
    assert (await probe.get("/readyz")).json()["status"] == "ok"
    service.database_away = True
    assert (await probe.get("/readyz")).status_code == 503
    service.database_away = False
    assert (await probe.get("/readyz")).json()["status"] == "ok"


async def test_after_an_outage_the_database_counts_once_calls_ask_it_again(database_dsn: str) -> None:
    guard = Guard()
    async with make_database(database_dsn).opened() as database, probing(database, guard) as probe:
        guard.lost("killed")
        assert (await probe.get("/readyz")).status_code == 503
        guard.back()
        assert (await probe.get("/readyz")).status_code == 200


async def test_a_standby_that_takes_no_calls_counts_as_lost(database_dsn: str) -> None:
    """It answers every question, and writes nothing."""
    standby = f"{database_dsn}&default_transaction_read_only=on"
    async with make_database(standby).opened() as database, probing(database, Guard()) as probe:
        assert await database.calls.fetchval("SELECT 1") == 1
        assert (await probe.get("/readyz")).status_code == 503


@pytest.mark.parametrize("path", ["/livez", "/healthz"])
async def test_a_process_without_anything_is_still_alive(service: Service, probe: httpx.AsyncClient, path: str) -> None:
    lose_database(service)
    start(service)
    reply = await probe.get(path)
    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})
    assert service.asked == 0


async def test_prometheus_can_read_the_metrics(probe: httpx.AsyncClient) -> None:
    reply = await probe.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    assert "callrouter_calls_received_total" in reply.text


async def test_however_many_ask_the_metrics_are_added_up_once_a_second(
    service: Service, probe: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    added_up: list[int] = []

    def render() -> tuple[bytes, str]:
        added_up.append(len(added_up))
        return f"counted {len(added_up)}".encode(), "text/plain"

    monkeypatch.setattr(metrics, "render", render)
    replies = await asyncio.gather(*(probe.get("/metrics") for _ in range(20)))
    assert {reply.text for reply in replies} == {"counted 1"}
    service.now = 0.9
    assert (await probe.get("/metrics")).text == "counted 1"
    service.now = 1.0
    assert (await probe.get("/metrics")).text == "counted 2"


async def test_a_fallback_alone_is_ready_until_it_drains_and_never_passes_for_the_service(service: Service) -> None:
    lose_database(service)
    app = Starlette(routes=fallback_health_routes(service))
    async with serve_app(app) as url, local_client(base_url=url) as probe:
        ready = await probe.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ok")
        assert "callrouter_fallbacks_served_total" in (await probe.get("/metrics")).text
        assert (await probe.get("/livez")).text == "alive\n"
        drain(service)
        assert (await probe.get("/readyz")).status_code == 503
        assert (await probe.get("/livez")).status_code == 200
    assert service.asked == 0


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz", "/metrics"])
async def test_a_probe_changes_nothing(probe: httpx.AsyncClient, path: str) -> None:
    assert (await probe.head(path)).status_code == 200
    assert (await probe.post(path)).status_code == 405
