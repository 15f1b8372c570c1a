"""A call from its first request to its end, over real HTTP, with a carrier that executes what we answer."""

from __future__ import annotations

import pytest

from adapters.sandbox.carrier import Script
from tests.support.world import PROVIDERS, World

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("little_patience")]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_call_is_answered_by_the_agencys_ai(world: World, provider):
    client = await world.add_client(providers=[provider])
    timeline = await world.call(client)
    assert (timeline.answered_by, timeline.provider) == ("ai", provider)
    call = await world.find_call(timeline)
    assert (call["outcome"], call["provider"], call["answered_by"]) == ("ai", provider, "ai")
    assert world.asked(provider) == 1


async def test_a_failing_provider_is_followed_by_the_next(world: World):
    client = await world.add_client(providers=PROVIDERS)
    world.sandbox.state.faults.set("vapi", "503")
    timeline = await world.call(client)
    assert (timeline.answered_by, timeline.provider) == ("ai", "retell")


async def test_when_no_provider_takes_the_call_the_caller_leaves_a_message(world: World):
    client = await world.add_client(providers=PROVIDERS)
    for provider in PROVIDERS:
        world.sandbox.state.faults.set(provider, "503")
    timeline = await world.call(client)
    assert timeline.answered_by == "voicemail"
    assert (await world.find_call(timeline))["outcome"] == "voicemail"
    assert await world.db.fetchval("SELECT count(*) FROM voicemails") == 1


async def test_the_owner_takes_the_call(world: World):
    client = await world.add_client(routing={"mode": "ring_through"})
    timeline = await world.call(client, Script(owner="accepts"))
    assert timeline.answered_by == "owner"
    assert (await world.find_call(timeline))["outcome"] == "owner"


async def test_the_owners_mailbox_does_not_swallow_the_call(world: World):
    client = await world.add_client(routing={"mode": "ring_through"})
    timeline = await world.call(client, Script(owner="mailbox"))
    assert timeline.answered_by == "voicemail"


async def test_settings_that_make_no_ladder_do_not_cost_the_caller_the_voicemail(world: World):
    hours = {"timezone": "Nowhere/At_All", "open": [], "closed_mode": "ai"}
    client = await world.add_client(providers=["retell"], routing={"hours": hours})
    timeline = await world.call(client)
    assert timeline.answered_by == "voicemail"
    assert (await world.find_call(timeline))["outcome"] == "voicemail"
    assert ("call.received", None, None) in await world.events(timeline)
