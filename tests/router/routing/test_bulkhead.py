"""Bulkheads: requests that hang take no room from other agencies, nor from the same one elsewhere; a crowd finds room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

import pytest

from adapters.base import InboundCall
from crypto import Secret
from router.app.outside import CALLS_LIMITS
from router.routing.bulkhead import OVERDUE_AT_PROVIDER, OVERDUE_OF_AGENCY, PLACES, Bulkheads, Place
from router.routing.circuit import Circuits
from router.routing.deadline import Deadline
from router.routing.dispatch import Attempt, Dispatcher, Skipped, Taken
from router.routing.ladder import VOICEMAIL
from router.routing.route import Rung, SkipReason
from tests.router.routing.providers import FakeProvider, as_protocol, make_access, make_providers, make_route
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

SECRET = Secret("a-key")
RUNGS = (Rung("ai", "one"), Rung("ai", "two"), VOICEMAIL)


class Clock:
    """Stands still until a test lets time pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fill(bulkheads: Bulkheads, agency: str, provider: str, most: int = 10_000) -> list[Place]:
    """Enter until there is no room, or so often."""
    places: list[Place] = []
    while len(places) < most and bulkheads.has_room(agency, provider):
        places.append(bulkheads.enter(agency, provider))
    return places


def answer(bulkheads: Bulkheads, places: Iterable[Place]) -> None:
    for place in places:
        bulkheads.leave(place, answered=True)


def test_a_crowd_of_many_agencies_finds_room_at_a_provider_that_answers_in_time(clock):
    bulkheads = Bulkheads(clock=clock)
    waiting = [fill(bulkheads, f"agency_{number}", "one", 100) for number in range(10)]
    assert [len(places) for places in waiting] == [100] * 10
    clock.now = 0.4
    for places in waiting:
        answer(bulkheads, places)
    assert len(fill(bulkheads, "agency_1", "one", 500)) == 500


def test_whose_requests_hang_finds_no_room_there_once_its_share_is_overdue(clock):
    bulkheads = Bulkheads(overdue_of_agency=3, clock=clock)
    fill(bulkheads, "agency_1", "one", 2)
    clock.now = 5
    assert bulkheads.has_room("agency_1", "one")
    fill(bulkheads, "agency_1", "one", 1)
    clock.now = 10
    assert not bulkheads.has_room("agency_1", "one")
    assert bulkheads.has_room("agency_1", "two")
    assert bulkheads.has_room("agency_2", "one")


def test_a_burst_of_one_agencys_hanging_requests_leaves_room_for_others_now_and_later(clock):
    """It takes half of the places at most, and what it has overdue counts for all only up to its share."""
    bulkheads = Bulkheads(clock=clock)
    assert len(fill(bulkheads, "agency_1", "one")) == PLACES // 2
    assert len(fill(bulkheads, "agency_2", "one", 300)) == 300
    clock.now = 15
    assert not bulkheads.has_room("agency_1", "one")
    assert len(fill(bulkheads, "agency_3", "one", 200)) == 200


def test_a_provider_that_hangs_for_many_agencies_is_asked_no_more(clock):
    bulkheads = Bulkheads(overdue_of_agency=3, overdue_at_provider=5, clock=clock)
    for number in range(2):
        fill(bulkheads, f"agency_{number}", "one", 4)
    clock.now = 10
    assert not bulkheads.has_room("agency_3", "one")
    assert bulkheads.has_room("agency_3", "two")


def test_the_last_places_go_to_those_who_have_few(clock):
    bulkheads = Bulkheads(places=8, clock=clock)
    assert [len(fill(bulkheads, f"agency_{number}", "one")) for number in range(5)] == [4, 2, 1, 1, 0]


def test_how_long_a_request_may_take_follows_from_how_long_the_provider_usually_takes(clock):
    bulkheads = Bulkheads(overdue_of_agency=1, clock=clock)
    for _ in range(200):
        place = bulkheads.enter("agency_1", "slow")
        clock.now += 1.4
        bulkheads.leave(place, answered=True)
    for provider in ("slow", "quick"):
        bulkheads.enter("agency_1", provider)
    clock.now += 2
    assert bulkheads.has_room("agency_1", "slow")
    assert not bulkheads.has_room("agency_1", "quick")
    clock.now += 1
    assert not bulkheads.has_room("agency_1", "slow")


def test_requests_that_fail_do_not_change_what_is_usual(clock):
    bulkheads = Bulkheads(overdue_of_agency=1, clock=clock)
    for _ in range(200):
        place = bulkheads.enter("agency_1", "one")
        clock.now += 20
        bulkheads.leave(place, answered=False)
    bulkheads.enter("agency_1", "one")
    clock.now += 1.5
    assert not bulkheads.has_room("agency_1", "one")


def test_overdue_requests_that_end_make_room(clock):
    bulkheads = Bulkheads(overdue_of_agency=2, overdue_at_provider=4, clock=clock)
    hanging = [fill(bulkheads, f"agency_{number}", "one", 3) for number in range(2)]
    clock.now = 10
    assert not bulkheads.has_room("agency_3", "one")
    for place in hanging[0][:2]:
        bulkheads.leave(place, answered=False)
    assert bulkheads.has_room("agency_0", "one")
    assert not bulkheads.has_room("agency_1", "one")
    assert bulkheads.has_room("agency_3", "one")


def test_agencies_that_left_are_not_remembered(clock):
    bulkheads = Bulkheads(clock=clock)
    for number in range(100):
        place = bulkheads.enter(f"agency_{number}", "one")
        clock.now += number
        assert bulkheads.has_room("agency_1", "one")
        bulkheads.leave(place, answered=True)
        assert bulkheads.waiting(f"agency_{number}", "one") == 0
    there = bulkheads._providers["one"]
    assert (there.waiting, there.overdue, len(there.agencies), len(there.in_time)) == (0, 0, 0, 0)


def test_waiting_handoffs_leave_connections_to_the_host_and_to_other_hosts():
    """Keys are checked and calls ended at the host that hangs, too; three that hang leave some for the fourth."""
    assert OVERDUE_OF_AGENCY * 4 <= OVERDUE_AT_PROVIDER
    assert CALLS_LIMITS.per_host > PLACES
    assert CALLS_LIMITS.per_host * 3 < CALLS_LIMITS.connections


class Switchboard:
    """Calls of several agencies to two providers, of which the first hangs."""

    def __init__(self) -> None:
        self.providers: dict[str, FakeProvider] = make_providers("one", "two")
        self.providers["one"].release = asyncio.Event()
        self.clock = Clock()
        self.bulkheads = Bulkheads(overdue_of_agency=3, overdue_at_provider=7, clock=self.clock)
        self.dispatcher = Dispatcher(
            as_protocol(self.providers), lambda *_: SECRET, 6.0, circuits=Circuits(), bulkheads=self.bulkheads
        )
        self.told: list[Attempt] = []
        self.waiting: list[asyncio.Task[Taken]] = []

    async def call(self, agency: str) -> Taken:
        route = make_route(make_access("one"), make_access("two"), agency_id=agency)
        call = InboundCall("call_1", "CA1", agency, "client_1", "Acme", None, "+15005550001", 900)
        return await self.dispatcher.find_taker(RUNGS, route, call, Deadline(10), self.told.append)

    async def hang(self, agency: str, count: int) -> None:
        before = len(self.providers["one"].asked)
        self.waiting += [asyncio.create_task(self.call(agency)) for _ in range(count)]
        await wait_until(lambda: len(self.providers["one"].asked) == before + count)
        self.clock.now += 5


@pytest.fixture
async def switchboard() -> AsyncIterator[Switchboard]:
    switchboard = Switchboard()
    yield switchboard
    switchboard.providers["one"].release.set()
    await asyncio.gather(*switchboard.waiting, return_exceptions=True)
    await switchboard.dispatcher.aclose()


async def test_with_its_share_waiting_an_agencys_next_call_goes_on_to_the_next_provider_at_once(
    switchboard: Switchboard,
):
    await switchboard.hang("agency_1", 3)
    taken = await switchboard.call("agency_1")
    assert taken.rung.provider == "two"
    assert Skipped("one", SkipReason.AT_CAPACITY) in switchboard.told


async def test_another_agency_is_still_served_by_the_same_provider(switchboard: Switchboard):
    await switchboard.hang("agency_1", 3)
    await switchboard.hang("agency_2", 1)
    switchboard.providers["one"].release.set()
    assert [(await task).rung.provider for task in switchboard.waiting] == ["one"] * 4


async def test_a_cancelled_caller_makes_room(switchboard: Switchboard):
    await switchboard.hang("agency_1", 3)
    for task in switchboard.waiting:
        task.cancel()
    await wait_until(lambda: switchboard.bulkheads.has_room("agency_1", "one"))
    assert switchboard.providers["one"].cancelled == 3


async def test_a_request_that_we_gave_up_on_counts_until_it_is_over(switchboard: Switchboard):
    switchboard.dispatcher = replace(switchboard.dispatcher, handoff_timeout=0.01)
    for _ in range(5):
        taken = await switchboard.call("agency_1")
        switchboard.clock.now += 5
        assert taken.rung.provider == "two"
    assert len(switchboard.providers["one"].asked) == 3
    assert not switchboard.bulkheads.has_room("agency_1", "one")
    switchboard.providers["one"].release.set()
    await wait_until(lambda: switchboard.bulkheads.has_room("agency_1", "one"))


async def test_answers_make_room_again(switchboard: Switchboard):
    await switchboard.hang("agency_1", 3)
    switchboard.providers["one"].release.set()
    await asyncio.gather(*switchboard.waiting)
    assert (await switchboard.call("agency_1")).rung.provider == "one"


async def test_five_hundred_calls_at_once_of_ten_agencies_all_get_their_ai(switchboard: Switchboard):
    """A provider that is well takes them all; each is asked once, and nothing is left behind."""
    switchboard.waiting = [asyncio.create_task(switchboard.call(f"agency_{number % 10}")) for number in range(500)]
    await wait_until(lambda: len(switchboard.providers["one"].asked) == 500)
    switchboard.providers["one"].release.set()
    taken = await asyncio.gather(*switchboard.waiting)
    assert {each.rung.provider for each in taken} == {"one"}
    assert all(switchboard.bulkheads.waiting(f"agency_{number}", "one") == 0 for number in range(10))
