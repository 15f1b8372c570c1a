"""Costly phones that were saved while they were allowed: they are not rung, and the next rung takes the call."""

from __future__ import annotations

import pytest

from adapters.sandbox.carrier import Script
from tests.router.calls.test_transfer import Assistant
from tests.support.world import ADMIN_TOKEN, OWNER, World

pytestmark = pytest.mark.anyio

COSTLY = "+881612345678"


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world


@pytest.mark.parametrize("phone", [COSTLY, "+19002345678", "+447012345678", "+4918012345678"])
@pytest.mark.parametrize(("mode", "taker"), [("owner_first", ["ai"]), ("ring_through", []), ("ai", ["ai"])], ids=str)
async def test_a_costly_phone_is_not_rung_and_the_next_rung_takes_the_call(world, phone, mode, taker):
    client = await world.add_client(personal_phone=phone, routing={"mode": mode})
    timeline = await world.call(client)
    assert [leg.who for leg in timeline.legs] == taker
    assert bool(timeline.recordings) == (not taker)


async def test_no_person_with_a_costly_phone_gets_a_call_whose_ai_failed(world):
    client = await world.add_client(
        providers=[], personal_phone=COSTLY, routing={"mode": "ai", "on_failure": "ring_through"}
    )
    timeline = await world.call(client)
    assert (timeline.legs, len(timeline.recordings)) == ([], 1)


@pytest.mark.parametrize(
    ("transfer_to", "personal_phone", "rung"),
    [(COSTLY, OWNER, OWNER), (COSTLY, COSTLY, None), (None, COSTLY, None)],
)
async def test_a_transfer_rings_the_first_of_the_phones_that_may_be_rung(world, transfer_to, personal_phone, rung):
    assistant = {"prompt": "You answer the phone.", "transfer_to": transfer_to}
    client = await world.add_client(providers=["vapi"], assistant=assistant, personal_phone=personal_phone)
    asking = Assistant(world, client)
    timeline = await world.call(client, Script(ai_acts_after=60), during_ai=asking)
    assert ["being put through" in told for told in asking.told] == [rung is not None]
    assert [leg.who for leg in timeline.legs] == (["ai", "owner"] if rung else ["ai"])
    rings = await world.db.fetchval("SELECT ringing_phone FROM calls WHERE call_sid = $1", timeline.call_sid)
    assert rings in (None, rung)


async def test_a_provider_whose_number_may_not_be_dialled_is_skipped(world):
    client = await world.add_client(providers=["bland", "vapi"], bland_mode="number")
    await world.db.execute(
        "UPDATE registrations SET remote_id = $2 WHERE e164 = $1 AND provider = 'bland'", client.number, COSTLY
    )
    bland = world.sandbox.state.bland
    bland.add_number(bland.orgs.of(client.keys["bland"]), COSTLY)
    timeline = await world.call(client)
    assert [leg.who for leg in timeline.legs] == ["ai"]
    assert (await world.find_call(timeline))["provider"] == "vapi"
    assert ("handoff.skipped", "bland", "destination_refused") in await world.events(timeline)


async def test_the_explanation_says_that_the_phone_may_not_be_rung(world):
    client = await world.add_client(providers=[], personal_phone=COSTLY, routing={"mode": "ring_through"})
    reply = await world.http.get(
        f"{world.urls[0]}/v1/agencies/{client.agency_id}/explain",
        params={"to": client.number},
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
    )
    rungs = {rung["step"]: (rung["would_take"], rung["reason"]) for rung in reply.json()["rungs"]}
    assert rungs["owner"] == (False, "destination_refused")
    assert rungs["voicemail"][0]
