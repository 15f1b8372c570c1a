"""What the metrics say of the database: the truth from the first moment on, for each pool."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from router.store.pool import Database, make_database
from router.store.watch import PoolWatch
from tests.support.database_proxy import proxied
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.waiting import wait_until

__all__ = ["captured_events"]

pytestmark = pytest.mark.anyio

POOLS = ("calls", "webhooks", "settings", "figures")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not a silent database."""
    monkeypatch.setattr("router.store.watch._PATIENCE_SECONDS", 30)


def states() -> list[float | None]:
    return [REGISTRY.get_sample_value("callrouter_database_up", {"pool": pool}) for pool in POOLS]


def value_of(name: str, pool: str) -> float:
    return REGISTRY.get_sample_value(f"callrouter_pool_{name}", {"pool": pool}) or 0.0


async def test_the_database_is_up_before_the_first_call_and_down_while_it_is_away(database_dsn: str):
    async with proxied(database_dsn) as proxy, make_database(proxy.dsn).opened() as database:
        async with PoolWatch(database.pools).watching():
            assert states() == [1, 1, 1, 1]
        proxy.refuse()
        watch = PoolWatch(database.pools)
        await watch.look()
        assert states() == [0, 0, 0, 0]
        proxy.go_on()
        await watch.look()
        assert states() == [1, 1, 1, 1]


async def test_a_silent_database_is_down_until_it_answers_in_time(database_dsn: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("router.store.watch._PATIENCE_SECONDS", 0.1)
    async with proxied(database_dsn) as proxy, make_database(proxy.dsn).opened() as database:
        watch = PoolWatch(database.pools[:1])
        await watch.look()
        proxy.stall()
        await watch.look()
        await watch.look()  # the question before has no answer yet
        assert states()[0] == 0
        proxy.go_on()
        await wait_until(watch._asking["calls"].done)
        monkeypatch.setattr("router.store.watch._PATIENCE_SECONDS", 30)
        await watch.look()
        assert states()[0] == 1


async def test_a_pool_whose_connections_are_all_in_use_is_not_down(database: Database):
    watch = PoolWatch(database.pools)
    await watch.look()
    held = [await database.figures.acquire() for _ in range(database.figures.get_max_size())]
    await watch.look()
    assert states() == [1, 1, 1, 1]
    assert value_of("connections_in_use", "figures") == value_of("connections_limit", "figures") == len(held)
    waits = value_of("wait_seconds_count", "figures")
    waiting = asyncio.create_task(database.figures.fetchval("SELECT 1"))
    await wait_until(lambda: value_of("waiting", "figures") == 1)
    for connection in held:
        await database.figures.release(connection)
    assert await waiting == 1
    assert value_of("waiting", "figures") == 0
    assert value_of("wait_seconds_count", "figures") == waits + 1


async def test_what_the_server_says_is_logged_once_until_all_is_well_again(
    database_dsn: str, captured_events: CapturedEvents
):
    dsn = database_dsn.replace("/test_", "/no_such_").replace("postgres:@", "postgres:canary@")
    async with make_database(dsn).opened() as database:
        watch = PoolWatch(database.pools)
        for _ in range(3):
            await watch.look()
    line = captured_events.only("database.refused")
    assert line["code"] == "3D000"
    assert "does not exist" in line["said"]
    assert "canary" not in str(line)
