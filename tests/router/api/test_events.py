"""Call events as they happen: over real HTTP, resumed on another replica without a gap."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from router.api.limits import AgencyLimits
from router.events.feed import EventFeed
from router.store.calls.records import InsertEvent, write_records
from router.store.events.feed import CHANNEL
from router.store.notices import Notices
from tests.router.api.client import Agency, Api
from tests.router.store.rows import AT, insert
from tests.support.api_service import Services
from tests.support.local_http import local_client
from tests.support.serving import serve_app

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running_replica(services: Services, dsn: str) -> AsyncIterator[str]:
    """Its own feed, which hears of events over its own connection."""
    feed = EventFeed(services.database, lambda: False)
    listening = asyncio.create_task(Notices(dsn, feed.hear, CHANNEL).run())
    async with serve_app(
        Starlette(routes=replace(services, feed=feed, limits=AgencyLimits(streams=3)).api_routes())
    ) as url:
        yield url
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


class Stream:
    """A client of the stream, as a browser's EventSource is one."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, Any]:
        """The next event with its id and name; comments are passed over."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(30):
            async for line in self._lines:
                if not line and "data" in fields:
                    return {"id": fields["id"], "event": fields["event"], "data": json.loads(fields["data"])}
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        raise AssertionError("the stream ended")


@asynccontextmanager
async def following(url: str, agency: Agency, last: str | None = None) -> AsyncIterator[Stream]:
    headers = {"authorization": f"Bearer {agency.token}"} | ({"last-event-id": last} if last else {})
    async with (
        local_client(base_url=url, timeout=30) as client,
        client.stream("GET", f"{agency.path}/events", headers=headers) as response,
    ):
        yield Stream(response)


@pytest.fixture
async def agency(api: Api, services: Services) -> Agency:
    agency = await api.new_agency()
    client = await api.new_client(agency)
    await insert(
        services.database.settings, "calls", id="call_1", call_sid="CA1", agency_id=agency.id, client_id=client["id"]
    )
    return agency


async def note(services: Services, event_id: str) -> None:
    write = InsertEvent(event_id, "call_1", AT, "handoff.failed", step=event_id, provider="vapi", reason="timeout")
    await write_records(services.database.settings, write)


async def test_an_event_is_streamed_as_it_happens_with_its_call(services, agency, database_dsn):
    async with running_replica(services, database_dsn) as url, following(url, agency) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        await note(services, "e1")
        told = await stream.next()
    assert told["event"] == "handoff.failed"
    assert told["data"] | {"client_id": None} == {
        "id": "e1",
        "call_id": "call_1",
        "client_id": None,
        "at": AT.isoformat(),
        "event": "handoff.failed",
        "step": "e1",
        "provider": "vapi",
        "reason": "timeout",
        "duration_ms": None,
    }


async def test_a_stream_is_resumed_on_another_replica_without_a_gap(services, agency, database_dsn):
    async with running_replica(services, database_dsn) as first, running_replica(services, database_dsn) as second:
        async with following(first, agency) as stream:
            await note(services, "e1")
            seen = [await stream.next()]
        for event_id in ("e2", "e3"):
            await note(services, event_id)
        async with following(second, agency, last=seen[-1]["id"]) as stream:
            seen += [await stream.next(), await stream.next()]
            await note(services, "e4")
            seen.append(await stream.next())
    assert [event["data"]["id"] for event in seen] == ["e1", "e2", "e3", "e4"]


async def test_a_stream_begins_now_and_tells_nothing_old(services, agency, database_dsn):
    await note(services, "old")
    async with running_replica(services, database_dsn) as url, following(url, agency) as stream:
        await note(services, "new")
        assert (await stream.next())["data"]["id"] == "new"


async def test_a_stream_has_no_events_of_another_agency(services, api, agency, database_dsn):
    other = await api.new_agency("Other")
    async with running_replica(services, database_dsn) as url:
        async with following(url, Agency(agency.id, other.token)) as stream:
            assert stream.response.status_code == 404
        async with following(url, other) as stream:
            await note(services, "e1")
            client = await api.new_client(other)
            await insert(
                services.database.settings,
                "calls",
                id="call_2",
                call_sid="CA2",
                agency_id=other.id,
                client_id=client["id"],
            )
            await insert(
                services.database.settings, "call_events", id="e2", call_id="call_2", at=AT, event="call.ended"
            )
            assert (await stream.next())["data"]["id"] == "e2"


async def test_more_streams_than_an_agency_may_have_are_refused_and_a_closed_one_makes_room(
    services, agency, database_dsn
):
    async with running_replica(services, database_dsn) as url:
        async with following(url, agency), following(url, agency), following(url, agency) as third:
            await note(services, "e1")
            await third.next()
            async with following(url, agency) as fourth:
                assert fourth.response.status_code == 429
        for _ in range(100):
            async with following(url, agency) as again:
                if again.response.status_code == 200:
                    break
        assert again.response.status_code == 200


async def test_an_id_that_is_none_of_ours_is_named(api, agency):
    problem = await api.refusal("GET", f"{agency.path}/events", token=agency.token, headers={"last-event-id": "x"})
    assert (problem.status, problem.fields) == (422, ("Last-Event-ID",))


async def test_streams_end_when_the_service_stops(services):
    stopping = False
    feed = EventFeed(services.database, lambda: stopping)
    events = feed.follow("agency_1", await feed.find_end())
    waiting = asyncio.ensure_future(anext(events, "ended"))
    await asyncio.sleep(0)
    stopping = True
    async with asyncio.timeout(30):
        assert await waiting == "ended"
