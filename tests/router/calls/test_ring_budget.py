"""However slow the rungs are, somebody or something answers within the ring budget."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.sandbox.carrier import Script, Timeline
from adapters.sandbox.carrier.dial import HIDDEN_SECONDS
from tests.support.world import PROVIDERS, World, open_world

pytestmark = pytest.mark.anyio

BUDGET = 45
MINIMAL_RING = 5 + HIDDEN_SECONDS
SLOW_AI = Script(ai="no-answer", owner="no-answer", stream_given_up_after=4)


def time_to_answer(timeline: Timeline) -> float:
    assert timeline.answered_at is not None
    return timeline.answered_at


@pytest.mark.parametrize("ring_seconds", [5, 15, 30, 60])
@pytest.mark.parametrize("mode", ["ai", "owner_first", "ring_through"])
async def test_slow_rungs_end_at_the_voicemail_within_the_budget(world: World, mode, ring_seconds):
    routing = {"mode": mode, "on_failure": "ring_through", "ring_seconds": ring_seconds}
    client = await world.add_client(providers=PROVIDERS, routing=routing)
    timeline = await world.call(client, SLOW_AI)
    assert timeline.answered_by == "voicemail"
    assert timeline.ringing_seconds <= BUDGET + MINIMAL_RING
    assert (await world.find_call(timeline))["outcome"] == "voicemail"


@pytest.mark.parametrize("owner", ["mailbox", "ignores", "declines"])
async def test_a_phone_that_is_picked_up_late_and_not_accepted_does_not_use_up_the_caller_s_patience(
    world: World, owner
):
    routing = {"mode": "owner_first", "ring_seconds": 60}
    client = await world.add_client(providers=PROVIDERS, routing=routing)
    late = Script(ai="no-answer", owner=owner, owner_rings=35, mailbox_after=35)
    timeline = await world.call(client, late)
    assert timeline.answered_by == "voicemail"
    assert timeline.ringing_seconds <= BUDGET + MINIMAL_RING


async def test_what_does_not_fit_into_the_budget_any_more_is_not_asked(world: World):
    client = await world.add_client(
        providers=PROVIDERS, routing={"mode": "owner_first", "ring_seconds": 60, "on_failure": "ring_through"}
    )
    timeline = await world.call(client, Script(owner="no-answer"))
    assert [leg.who for leg in timeline.legs] == ["owner"]
    assert [world.asked(provider) for provider in PROVIDERS] == [0] * len(PROVIDERS)
    assert timeline.answered_by == "voicemail"


async def test_a_late_rung_rings_only_as_long_as_the_budget_allows(world: World):
    client = await world.add_client(providers=["retell"], routing={"on_failure": "ring_through", "ring_seconds": 60})
    timeline = await world.call(client, Script(ai="no-answer", owner="no-answer"))
    ai, owner = timeline.legs
    assert (ai.who, owner.who) == ("ai", "owner")
    assert ai.ring_seconds == 8 + HIDDEN_SECONDS
    assert ai.ring_seconds + owner.ring_seconds <= BUDGET
    assert timeline.answered_by == "voicemail"


@pytest.fixture(params=[15, 90])
async def budgeted(
    request: pytest.FixtureRequest, database_dsn: str, tmp_path: Path
) -> AsyncIterator[tuple[World, int]]:
    async with open_world(database_dsn, tmp_path, ring_budget=request.param) as world:
        yield world, request.param


@pytest.mark.parametrize("mode", ["ai", "owner_first", "ring_through"])
async def test_the_operator_sets_the_budget(budgeted, mode):
    world, budget = budgeted
    client = await world.add_client(
        providers=PROVIDERS, routing={"mode": mode, "on_failure": "ring_through", "ring_seconds": 30}
    )
    timeline = await world.call(client, SLOW_AI)
    assert timeline.answered_by == "voicemail"
    assert timeline.ringing_seconds <= budget + MINIMAL_RING


@pytest.mark.parametrize("closing", [("closes", "closes", "closes"), ("closes", "busy", "fails")])
async def test_ais_that_come_and_go_do_not_keep_the_caller_for_ever(world: World, closing):
    client = await world.add_client(providers=PROVIDERS, routing={"on_failure": "ring_through", "ring_seconds": 60})
    timeline = await world.call(client, Script(ai=closing, owner="no-answer"))
    assert timeline.answered_by == "voicemail"
    assert time_to_answer(timeline) <= BUDGET + MINIMAL_RING + len(timeline.said[-1]) / 15
