from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.calls.fair_queue import FairQueue

pytestmark = pytest.mark.anyio


class Requests:
    """Requests of agencies, each inside until it is told to go on."""

    def __init__(self, places: int) -> None:
        self.queue = FairQueue(places)
        self.served: list[str] = []
        self._inside: list[asyncio.Future[None]] = []

    async def arrive(self, *agencies: str) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self._use(agency)) for agency in agencies]
        await self._settle()
        return tasks

    async def finish_one(self) -> None:
        self._inside.pop(0).set_result(None)
        await self._settle()

    async def finish_all(self) -> None:
        while self._inside:
            await self.finish_one()

    async def _use(self, agency: str) -> None:
        async with self.queue.place(agency):
            self.served.append(agency)
            done = asyncio.get_running_loop().create_future()
            self._inside.append(done)
            await done

    async def _settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_as_many_as_there_are_places_are_served_at_once():
    requests = Requests(places=3)
    await requests.arrive("one", "one", "other", "one", "third")
    assert requests.served == ["one", "one", "other"]
    await requests.finish_one()
    assert len(requests.served) == 4


async def test_a_crowd_of_one_agency_keeps_another_waiting_for_one_of_its_requests():
    requests = Requests(places=2)
    await requests.arrive(*["crowd"] * 300)
    await requests.arrive("other")
    await requests.finish_one()
    await requests.finish_one()
    assert "other" in requests.served[2:4]
    await requests.finish_all()
    assert Counter(requests.served) == {"crowd": 300, "other": 1}


async def test_a_request_that_is_given_up_while_it_waits_takes_no_place():
    requests = Requests(places=1)
    await requests.arrive("one")
    given_up, _ = await requests.arrive("other", "third")
    given_up.cancel()
    await requests.finish_one()
    assert requests.served == ["one", "third"]


async def test_a_request_that_is_given_up_as_its_turn_comes_passes_its_place_on():
    requests = Requests(places=1)
    await requests.arrive("one")
    given_up, _ = await requests.arrive("other", "third")
    requests._inside.pop(0).set_result(None)
    await asyncio.sleep(0)  # the first one leaves, and hands over its place
    given_up.cancel()
    await requests._settle()
    assert requests.served[-1] == "third"
    await requests.finish_all()
    (last,) = await requests.arrive("one")
    assert not last.done()
    assert requests.served[-1] == "one"
    await requests.finish_all()


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 4))
def test_everybody_is_served_and_of_those_who_wait_each_agency_in_turn(agencies: list[str], places: int):
    async def play() -> list[str]:
        requests = Requests(places)
        await requests.arrive(*agencies)
        await requests.finish_all()
        return requests.served

    served = asyncio.run(play())
    assert Counter(served) == Counter(agencies)
    waiting, expected = agencies[places:], agencies[:places]
    order = list(dict.fromkeys(waiting))
    left = Counter(waiting)
    while order:
        agency = order.pop(0)
        expected.append(agency)
        left[agency] -= 1
        if left[agency]:
            order.append(agency)
    assert served == expected
