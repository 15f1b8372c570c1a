"""A database that is dumped and restored into another server: calls, keys, deliveries and event streams go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Route

from router.app import create_app
from router.events.feed import EventFeed
from router.health import ServiceHealth
from router.store.pool import make_database
from router.store.schema import migrate
from tests.router.cli.test_doctor import configure
from tests.router.events.test_deliveries import Receiver
from tests.support.clusters import dump_and_restore, running_cluster
from tests.support.serving import serve_app
from tests.support.signed_requests import SIGNATURE, VOICE, call_form, signature
from tests.support.waiting import wait_until
from tests.support.world import ADMIN_TOKEN, Client, World, open_world

pytestmark = [pytest.mark.anyio, pytest.mark.slow]  # a server of its own

OPERATOR = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
ELSEWHERE = "https://copy.example"

# The new server's transaction numbers are far below the old one's.
_AGE = "DO $$ BEGIN FOR n IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"


@asynccontextmanager
async def restored(dsn: str) -> AsyncIterator[str]:
    """The database, in a server of its own."""
    cluster = running_cluster()
    copy = await asyncio.to_thread(cluster.__enter__)
    try:
        await asyncio.to_thread(dump_and_restore, dsn, copy)
        await migrate(copy)
        yield copy
    finally:
        await asyncio.to_thread(cluster.__exit__, None, None, None)


@asynccontextmanager
async def replica(world: World, dsn: str, folder: Path, **changes: Any) -> AsyncIterator[str]:
    """The service on another database, with the same settings and keys, and its jobs."""
    given = {"database_url": SecretStr(dsn), "data_dir": folder, **changes}
    settings = world.settings.model_copy(update=given)
    async with serve_app(create_app(settings, ServiceHealth(), jobs=True, clock=world.clock), lifespan=True) as url:
        yield url


async def take(dsn: str, agency_id: str, after: int, count: int) -> list[tuple[int, str]]:
    """That many events of a stream that goes on from there: places and ids."""
    taken: list[tuple[int, str]] = []
    async with make_database(dsn).opened() as database:
        feed = EventFeed(database, lambda: False)
        async with asyncio.timeout(30), aclosing(feed.follow(agency_id, after)) as events:  # type: ignore[type-var]
            while len(taken) < count:
                event = await anext(events)
                taken += [] if event is None else [(event.place, event.id)]
    return taken


async def events_of(dsn: str, client: Client) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetch("SELECT id FROM call_events WHERE agency_id = $1 ORDER BY seq", client.agency_id)
    finally:
        await connection.close()
    return [row["id"] for row in found]


async def test_everything_goes_on_after_a_restore_and_a_copy_leaves_the_outside_alone(database_dsn, tmp_path):
    receiver = Receiver()
    hook = Starlette(routes=[Route("/hook", receiver.take, methods=["POST"])])
    async with (
        serve_app(hook) as url,
        open_world(database_dsn, tmp_path / "first", jobs=True, private_endpoints="on") as world,
    ):
        await world.db.execute(_AGE)
        client = await world.add_client(providers=["retell"])
        await configure(world, client)
        endpoints = f"{world.urls[0]}/v1/agencies/{client.agency_id}/endpoints"
        assert (await world.http.post(endpoints, json={"url": f"{url}/hook"}, headers=OPERATOR)).status_code == 201
        await world.find_ended_call(await world.call(client))
        before = await events_of(database_dsn, client)
        await wait_until(lambda: sorted(receiver.ids) == sorted(before))
        [*_, (seen, _)] = await take(database_dsn, client.agency_id, 0, len(before))

        async with restored(database_dsn) as copy:
            async with replica(world, copy, tmp_path / "second") as again:
                assert "</Sip>" in await call(world, client, again, world.urls[0])
                assert world.asked_with(client, "retell") == 2
                after = (await events_of(copy, client))[len(before) :]
                assert len(after) >= 3
                await wait_until(lambda: len(receiver.ids) >= len(before) + len(after))
            assert sorted(receiver.ids) == sorted(before + after), "each of both calls, once"
            streamed = await take(copy, client.agency_id, seen, len(after))
            assert [event for _, event in streamed] == after

            await check_copy(world, client, copy, tmp_path / "third", receiver)


async def call(world: World, client: Client, url: str, address: str) -> str:
    """The answer to an inbound call that Twilio signed for this public address."""
    form = call_form(client)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        SIGNATURE: signature(client.auth_token, address + VOICE, form),
    }
    return (await world.http.post(url + VOICE, content=urlencode(form), headers=headers)).text


async def check_copy(world: World, client: Client, copy: str, folder: Path, receiver: Receiver) -> None:
    """With another address, its calls are answered, and all work outside waits: also what is due long ago."""
    connection = await asyncpg.connect(copy)
    await connection.execute("UPDATE numbers SET voice_url = 'https://drifted.example', checked_at = NULL")
    await connection.execute("UPDATE assistants SET state = 'pending', look_after = NULL")
    await connection.execute("UPDATE deliveries SET state = 'waiting', due_at = now() - interval '1 day'")
    world.sandbox.state.requests.clear()
    delivered = len(receiver.ids)
    async with replica(world, copy, folder, public_url=ELSEWHERE) as url:
        assert "</Sip>" in await call(world, client, url, ELSEWHERE)
        ready = (await world.http.get(url + "/readyz")).json()
        assert ready["checks"]["public_address"]["status"] == "unavailable"
    await connection.close()
    changes = [each.path for each in world.sandbox.state.requests if each.method not in ("GET", "HEAD")]
    assert [path for path in changes if "register-phone-call" not in path and "/Calls/" not in path] == []
    assert len(receiver.ids) == delivered
