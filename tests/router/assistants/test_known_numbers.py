"""A client is synced when its assistant is there and all its numbers are known there."""

from __future__ import annotations

import pytest

from adapters.sandbox.world import NUMBERS
from router.store.calls.records import MarkAssistant, write_records
from tests.router.api.client import number_path
from tests.router.assistants.conftest import DEFINITION
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

ONE, TWO = "+14155550100", "+12125550100"


async def own_account(bench, agency):
    account = bench.sandbox.state.twilio.add_account("AC" + "0e" * 16, "token-of-the-agencys-own-account")
    await bench.api.put(f"{agency.path}/keys/twilio", {"account_sid": account.sid, "auth_token": account.auth_token})


async def buy(bench, agency, client, e164):
    order = {"country": "US", "client_id": client["id"], "e164": e164}
    return await bench.api.post(f"{agency.path}/numbers", order, token=agency.token)


async def registered(bench, agency, e164):
    return (await bench.api.get(number_path(agency, e164)))["registrations"]


async def explained(bench, agency, e164):
    rungs = (await bench.api.get(f"{agency.path}/explain", params={"to": e164}))["rungs"]
    return {rung["provider"]: rung["reason"] for rung in rungs if rung["provider"]}


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("provider", ["vapi", "bland"])
async def test_numbers_before_and_after_a_sync_are_made_known_and_calls_can_be_taken(bench, provider):
    agency = await bench.agency()
    await own_account(bench, agency)
    client = await bench.client(agency)
    await buy(bench, agency, client, ONE)
    await bench.save_key(agency, provider)
    await bench.wait(agency, provider)
    assert provider in await registered(bench, agency, ONE)
    await buy(bench, agency, client, TWO)
    await bench.wait(agency, provider)
    assert provider in await registered(bench, agency, TWO)
    for e164 in (ONE, TWO):
        assert (await explained(bench, agency, e164))[provider] == "ready"
    if provider == "bland":
        assert {bench.org("bland").numbers[e164]["prompt"] for e164 in (ONE, TWO)} == {DEFINITION["prompt"]}


@pytest.mark.usefixtures("working")
async def test_a_new_definition_reaches_every_number_at_bland(bench):
    agency = await bench.agency()
    await own_account(bench, agency)
    client = await bench.client(agency)
    await buy(bench, agency, client, ONE)
    await bench.save_key(agency, "bland")
    await bench.wait(agency, "bland")
    changed = DEFINITION | {"prompt": "You answer for somebody else."}
    await bench.api.patch(f"{agency.path}/clients/{client['id']}", {"assistant": changed})
    await bench.wait(agency, "bland")
    assert bench.org("bland").numbers[ONE]["prompt"] == changed["prompt"]


@pytest.mark.usefixtures("working")
async def test_a_number_that_cannot_be_made_known_says_why_and_the_assistant_is_there_all_the_same(bench):
    agency = await bench.agency("vapi")
    client = await bench.client(agency)
    taken = {"e164": NUMBERS[0], "client_id": client["id"], "account": "platform"}
    await bench.api.post(f"{agency.path}/numbers", taken)
    await bench.wait(agency, "vapi")
    row = await bench.row(agency, client, "vapi")
    assert "platform's main account, whose token never goes to a provider" in row["error"]
    assert (row["state"], len(bench.assistants_at("vapi"))) == ("synced", 1)
    assert (await explained(bench, agency, NUMBERS[0]))["vapi"] == "not_registered"
    given = {"remote_id": bench.sandbox.state.vapi.add_phone_number(bench.org("vapi"), NUMBERS[0])}
    await bench.api.put(f"{number_path(agency, NUMBERS[0])}/registrations/vapi", given)
    await bench.wait(agency, "vapi")
    assert (await explained(bench, agency, NUMBERS[0]))["vapi"] == "ready"

    async def is_well():
        return (await bench.row(agency, client, "vapi"))["error"] is None

    await wait_until(is_well)


@pytest.mark.usefixtures("working")
async def test_an_assistant_that_was_deleted_there_is_created_again_once_after_a_refused_call(bench):
    agency = await bench.agency("vapi")
    client = await bench.client(agency)
    await bench.wait(agency, "vapi")
    org, pool = bench.org("vapi"), bench.services.database.settings

    async def refuse_a_call():
        write = MarkAssistant(client["id"], "vapi", bench.services.clock())
        await write_records(pool, write)

    org.assistants.clear()
    await refuse_a_call()
    assert (await bench.progress(agency, "vapi"))["state"] == "running"
    await bench.client(agency)  # any nudge will do; else it is found within a minute
    await wait_until(lambda: len(bench.assistants_at("vapi")) == 2)
    await bench.wait(agency, "vapi")
    await refuse_a_call()
    row = await bench.row(agency, client, "vapi")
    assert (row["state"], row["error"]) == ("synced", "refused a call as a bad request")
