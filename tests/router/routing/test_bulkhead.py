"""Bulkheads: who waits at a provider that hangs takes no room from anybody else, nor from the same agency elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.base import InboundCall
from adapters.http import Limits
from crypto import Secret
from router.routing.bulkhead import WAITING_PER_AGENCY, WAITING_PER_PROVIDER, Bulkheads
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


def fill(bulkheads: Bulkheads, agency: str, provider: str) -> int:
    """Enter until there is no room. Returns how often that was possible."""
    count = 0
    while bulkheads.has_room(agency, provider):
        bulkheads.enter(agency, provider)
        count += 1
    return count


def test_an_agency_fills_its_own_share_of_one_provider_and_nothing_else():
    bulkheads = Bulkheads(per_agency=3, per_provider=10)
    assert fill(bulkheads, "agency_1", "one") == 3
    assert fill(bulkheads, "agency_1", "two") == 3
    assert fill(bulkheads, "agency_2", "one") == 3


def test_all_agencies_together_fill_no_more_than_a_providers_share():
    bulkheads = Bulkheads(per_agency=3, per_provider=5)
    assert [fill(bulkheads, f"agency_{number}", "one") for number in range(4)] == [3, 2, 0, 0]
    assert fill(bulkheads, "agency_3", "two") == 3


def test_a_request_that_leaves_makes_room():
    bulkheads = Bulkheads(per_agency=2, per_provider=3)
    fill(bulkheads, "agency_1", "one")
    fill(bulkheads, "agency_2", "one")
    bulkheads.leave("agency_1", "one")
    assert bulkheads.has_room("agency_1", "one")
    assert bulkheads.has_room("agency_2", "one") is True
    for agency in ("agency_1", "agency_2"):
        bulkheads.leave(agency, "one")
    assert fill(bulkheads, "agency_3", "one") == 2


def test_agencies_that_left_are_not_remembered():
    bulkheads = Bulkheads()
    for number in range(100):
        bulkheads.enter(f"agency_{number}", "one")
        bulkheads.leave(f"agency_{number}", "one")
    assert len(bulkheads._of_agencies) == 0


def test_waiting_handoffs_leave_connections_to_the_host_and_to_other_hosts():
    """Keys are checked and calls ended at the host that hangs, too; three that hang leave some for the fourth."""
    limits = Limits()
    assert WAITING_PER_AGENCY * 4 <= WAITING_PER_PROVIDER < limits.per_host
    assert limits.per_host * 3 < limits.connections


class Switchboard:
    """Calls of several agencies to two providers, of which the first hangs."""

    def __init__(self) -> None:
        self.providers: dict[str, FakeProvider] = make_providers("one", "two")
        self.providers["one"].release = asyncio.Event()
        self.bulkheads = Bulkheads(per_agency=3, per_provider=7)
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
    taken = [await switchboard.call("agency_1") for _ in range(5)]
    assert {each.rung.provider for each in taken} == {"two"}
    assert len(switchboard.providers["one"].asked) == 3
    assert not switchboard.bulkheads.has_room("agency_1", "one")
    switchboard.providers["one"].release.set()
    await wait_until(lambda: switchboard.bulkheads.has_room("agency_1", "one"))


async def test_answers_make_room_again(switchboard: Switchboard):
    await switchboard.hang("agency_1", 3)
    switchboard.providers["one"].release.set()
    await asyncio.gather(*switchboard.waiting)
    assert (await switchboard.call("agency_1")).rung.provider == "one"
