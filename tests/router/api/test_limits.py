"""What one agency may use of the API, and what that leaves to others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.responses import Response, StreamingResponse
from starlette.routing import Router
from starlette.types import ASGIApp

from router.api import limits
from router.api.app import make_app
from router.api.auth import Actor
from router.api.gate import Gate
from router.api.limits import AgencyLimits, Uses, count_once
from router.api.open_answers import OpenAnswers
from router.api.route import DownloadRoute, FiguresRoute, StreamRoute, resource
from router.clock import utc_now
from router.errors import CrowdedError
from router.peers import Proxies
from tests.router.api.client import Problem
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("captured_events")]

PLACES = {"requests": 20, "streams": 20, "downloads": 10}
router, streams, downloads, figures = (
    resource("things"),
    resource("things", StreamRoute),
    resource("things", DownloadRoute),
    resource("things", FiguresRoute),
)


class Gates:
    """Lets answers go on until a test opens it."""

    begun = 0
    opened = asyncio.Event()


async def begin() -> None:
    Gates.begun += 1
    await Gates.opened.wait()


async def endless() -> AsyncIterator[str]:
    Gates.begun += 1
    while not Gates.opened.is_set():
        yield "more"
        await asyncio.sleep(0)


@router.get("/v1/fast")
async def fast() -> dict[str, Any]:
    return {}


@router.get("/v1/broken")
async def fail() -> None:
    raise RuntimeError


@router.get("/v1/requests")
async def wait() -> dict[str, Any]:
    await begin()
    return {}


@figures.get("/v1/figures")
async def count() -> dict[str, Any]:
    await begin()
    return {}


@streams.get("/v1/streams", response_class=StreamingResponse)
async def follow() -> StreamingResponse:
    await asyncio.sleep(0)
    return StreamingResponse(endless())


@downloads.get("/v1/downloads", response_class=Response)
async def download() -> StreamingResponse:
    await asyncio.sleep(0)
    return StreamingResponse(endless())


class Authentication:
    """The token is the agency's id; the operator's is "operator"."""

    clock = staticmethod(utc_now)
    database = SimpleNamespace(settings=None)

    async def identify(self, headers: Any, address: str | None) -> Actor:
        del address
        await asyncio.sleep(0)
        token = headers["authorization"].removeprefix("Bearer ")
        return Actor("admin", None) if token == "operator" else Actor("token_1", token)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> ASGIApp:
    monkeypatch.setattr("router.api.gate._REFUSED_SECONDS", 3600)
    Gates.begun, Gates.opened = 0, asyncio.Event()
    operations = [one for each in (router, streams, downloads, figures) for one in each.routes]
    answers = OpenAnswers(SimpleNamespace(settings=None))  # type: ignore[arg-type]
    uses = Uses(AgencyLimits(requests_a_second=700), clock)
    gate = Gate(make_app({}), operations, Authentication(), Proxies(), answers, uses)  # type: ignore[arg-type]
    return Router([gate])


async def get(app: ASGIApp, path: str, agency: str = "agency_1") -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        return await client.get(path, headers={"authorization": f"Bearer {agency}"})


async def test_more_requests_in_a_second_are_refused_until_it_is_over(app, clock):
    answers = [await get(app, "/v1/fast") for _ in range(701)]
    assert [answer.status_code for answer in answers] == [200] * 700 + [429]
    assert answers[0].headers["ratelimit-policy"] == '"agency";q=700;w=1'
    assert [answers[n].headers["ratelimit"] for n in (0, 699, 700)] == [
        '"agency";r=699;t=1',
        '"agency";r=0;t=1',
        '"agency";r=0;t=1',
    ]
    assert Problem.read(answers[700]).name == "rate-limited"
    assert answers[700].headers["retry-after"] == "1"
    clock.now += 1
    assert (await get(app, "/v1/fast")).status_code == 200


@pytest.mark.parametrize("path", ["/v1/nowhere", "/v1/broken", "/v1/fast?limit=1"])
async def test_requests_that_fail_are_counted_too(app, path):
    answers = [await get(app, path) for _ in range(701)]
    assert answers[699].headers["ratelimit"] == '"agency";r=0;t=1'
    assert answers[700].status_code == 429


async def test_one_agencys_limit_is_neither_anothers_nor_the_operators(app):
    for _ in range(701):
        refused = await get(app, "/v1/fast")
    assert refused.status_code == 429
    assert (await get(app, "/v1/fast", "agency_2")).headers["ratelimit"] == '"agency";r=699;t=1'
    for _ in range(800):
        answer = await get(app, "/v1/fast", "operator")
    assert answer.status_code == 200
    assert "ratelimit" not in answer.headers
    assert "ratelimit-policy" not in answer.headers


async def test_a_page_counts_as_one_request(app):
    page = count_once(app)
    for _ in range(3):
        answer = await get(page, "/v1/fast")
    assert answer.headers["ratelimit"] == '"agency";r=699;t=1'
    assert (await get(count_once(app), "/v1/fast")).headers["ratelimit"] == '"agency";r=698;t=1'


@pytest.mark.parametrize("share", PLACES)
async def test_only_as_many_pass_as_there_are_places_when_all_come_at_once(app, share):
    asked = [asyncio.create_task(get(app, f"/v1/{share}")) for _ in range(600)]
    await wait_until(lambda: sum(one.done() for one in asked) == 600 - PLACES[share])
    await wait_until(lambda: Gates.begun == PLACES[share])
    refused = Problem.read(next(one.result() for one in asked if one.done()))
    assert f"{PLACES[share]} {share} at once" in refused.detail
    others = [asyncio.create_task(get(app, f"/v1/{share}", agency)) for agency in ("agency_2", "operator")]
    await wait_until(lambda: Gates.begun == PLACES[share] + 2)
    Gates.opened.set()
    statuses = Counter(answer.status_code for answer in await asyncio.gather(*asked, *others))
    assert statuses == {200: PLACES[share] + 2, 429: 600 - PLACES[share]}
    again = [asyncio.create_task(get(app, f"/v1/{share}")) for _ in range(PLACES[share])]
    assert {(await one).status_code for one in again} == {200}


async def test_who_was_refused_a_moment_ago_is_refused_without_asking_whose_token_it_is(app, clock, monkeypatch):
    asked = [asyncio.create_task(get(app, "/v1/streams")) for _ in range(21)]
    await wait_until(lambda: any(one.done() for one in asked))
    with monkeypatch.context() as patched:
        patched.setattr(Authentication, "identify", None)
        refused = await get(app, "/v1/streams")
    assert "20 streams at once" in Problem.read(refused).detail
    assert refused.headers["ratelimit"] == '"agency";r=678;t=1'
    assert (await get(app, "/v1/fast")).status_code == 200
    for _ in range(678):
        refused = await get(app, "/v1/fast")
    with monkeypatch.context() as patched:
        patched.setattr(Authentication, "identify", None)
        assert "700 requests a second" in Problem.read(await get(app, "/v1/fast")).detail
    clock.now += 1
    Gates.opened.set()
    assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200, 429}
    assert (await get(app, "/v1/streams")).status_code == 200


async def test_figures_wait_for_their_turn(app):
    asked = [asyncio.create_task(get(app, "/v1/figures")) for _ in range(15)]
    await wait_until(lambda: Gates.begun == 2)
    assert (await get(app, "/v1/fast")).status_code == 200
    Gates.opened.set()
    assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}


async def test_figures_that_get_no_turn_are_refused(app, monkeypatch):
    monkeypatch.setattr(limits, "_PATIENCE", {"figures": 0.01})
    asked = [asyncio.create_task(get(app, "/v1/figures")) for _ in range(5)]
    await wait_until(lambda: sum(one.done() for one in asked) == 3)
    Gates.opened.set()
    assert Counter(answer.status_code for answer in await asyncio.gather(*asked)) == {200: 2, 429: 3}


async def test_agencies_with_slow_listeners_leave_places_to_the_others():
    uses = limits.Uses(limits.AgencyLimits(downloads=10, all_downloads=16))

    async def listen(agency: str, held: AsyncExitStack) -> int:
        """How many it gets."""
        for count in range(20):
            try:
                await held.enter_async_context(uses.of(agency).place("downloads"))
            except CrowdedError:
                return count
        return 20

    async with AsyncExitStack() as held:
        got = [await listen(f"agency_{number}", held) for number in range(4)]
        assert got[0] == 8
        assert all(got)
        assert sum(got) < 16
    async with AsyncExitStack() as held:
        assert await listen("agency_0", held) == 8, "they are given back"


@pytest.mark.parametrize("share", ["requests", "streams", "downloads", "figures"])
async def test_who_leaves_gives_the_place_back(app, share):
    places = {**PLACES, "figures": 2}[share]
    for _ in range(3):
        asked = [asyncio.create_task(get(app, f"/v1/{share}")) for _ in range(places)]
        await wait_until(lambda: Gates.begun == places)
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        Gates.begun = 0


@pytest.mark.parametrize("agency", ["agency_1", "operator"])
async def test_no_stream_goes_on_for_ever(app, monkeypatch, agency):
    monkeypatch.setattr("router.api.gate.LONGEST_SECONDS", {"streams": 0.05})
    assert (await get(app, "/v1/streams", agency)).status_code == 200


@pytest.mark.parametrize("agency", ["agency_1", "operator"])
async def test_a_download_that_takes_too_long_is_broken_off_and_does_not_look_complete(app, monkeypatch, agency):
    monkeypatch.setattr("router.api.gate.LONGEST_SECONDS", {"downloads": 0.05})
    with pytest.raises(TimeoutError):
        await get(app, "/v1/downloads", agency)
