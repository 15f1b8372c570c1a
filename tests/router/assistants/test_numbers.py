"""Assistants and numbers find each other, whichever came first."""

from __future__ import annotations

import pytest

from tests.router.api.client import number_path
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("working")]

SF = "+14155550100"


async def buy(bench, agency, client, **fields):
    order = {"country": "US", "client_id": client["id"], "e164": SF, **fields}
    order = {name: value for name, value in order.items() if value is not None}
    return await bench.api.post(f"{agency.path}/numbers", order)


async def wait_for(bench, agency, provider):
    await bench.wait(agency, provider)


def registration(bench):
    (there,) = bench.org("vapi").phone_numbers.values()
    return there


@pytest.mark.parametrize("number_first", [True, False])
async def test_a_number_is_registered_at_vapi_with_the_clients_assistant(bench, number_first):
    agency = await bench.agency()
    client = await bench.client(agency, personal_phone="+14155550188")
    if number_first:
        await buy(bench, agency, client)
    await bench.save_key(agency, "vapi")
    await wait_for(bench, agency, "vapi")
    if not number_first:
        await buy(bench, agency, client)
        await wait_until_registered(bench, agency)
    there = registration(bench)
    row = await bench.row(agency, client, "vapi")
    assert (there["number"], there["assistantId"]) == (SF, row["remote_id"])
    assert there["fallbackDestination"]["number"] == "+14155550188"
    shown = await bench.api.get(number_path(agency, SF))
    assert (shown["registrations"], shown["problems"]) == ({"vapi": {"remote_id": there["id"]}}, [])
    (subaccount,) = [each for each in bench.sandbox.state.twilio.accounts.values() if each.parent]
    assert subaccount.number_called(SF)["voice_url"] == shown["voice_url"]


async def wait_until_registered(bench, agency, provider="vapi"):
    async def registered():
        return provider in (await bench.api.get(number_path(agency, SF)))["registrations"]

    await wait_until(registered)


async def test_a_number_that_moves_is_answered_by_the_other_clients_assistant(bench):
    agency = await bench.agency("vapi")
    first, second = await bench.client(agency), await bench.client(agency, name="Bella's")
    await buy(bench, agency, first)
    await wait_until_registered(bench, agency)
    await wait_for(bench, agency, "vapi")
    await bench.api.patch(number_path(agency, SF), {"client_id": second["id"]})
    wanted = (await bench.row(agency, second, "vapi"))["remote_id"]

    async def answered():
        return registration(bench)["assistantId"] == wanted

    await wait_until(answered)


async def test_an_owners_new_phone_is_sent_to_the_registration(bench):
    agency = await bench.agency("vapi")
    client = await bench.client(agency, personal_phone="+14155550188")
    await buy(bench, agency, client)
    await wait_until_registered(bench, agency)
    await bench.api.patch(f"{agency.path}/clients/{client['id']}", {"personal_phone": "+14155550177"})

    async def told():
        return registration(bench)["fallbackDestination"]["number"] == "+14155550177"

    await wait_until(told)


async def test_blands_number_has_the_clients_prompt_also_after_it_moved(bench):
    agency = await bench.agency("bland")
    first = await bench.client(agency)
    second = await bench.client(agency, name="Bella's", assistant={"prompt": "You answer for Bella's."})
    await buy(bench, agency, first)

    async def says(prompt):
        there = bench.org("bland").numbers.get(SF)
        return there is not None and prompt in (there.get("prompt") or "")

    await wait_until(lambda: says("You answer for Acme."))
    await bench.api.patch(number_path(agency, SF), {"client_id": second["id"]})
    await wait_until(lambda: says("You answer for Bella's."))


async def test_a_number_bought_from_bland_gets_the_clients_prompt(bench):
    agency = await bench.agency("bland")
    client = await bench.client(agency)
    bought = await buy(bench, agency, client, e164=None, carrier="bland")

    async def answered():
        there = bench.org("bland").numbers[bought["e164"]]
        return "You answer for Acme." in (there.get("prompt") or "")

    await wait_until(answered)


async def test_a_number_bought_from_retell_is_answered_by_the_clients_agent_and_rings_the_owners_new_phone(bench):
    agency = await bench.agency("retell")
    client = await bench.client(agency, personal_phone="+14155550188")
    await wait_for(bench, agency, "retell")
    bought = await buy(bench, agency, client, e164=None, carrier="retell")
    (there,) = [each for each in bench.org("retell").numbers.values() if each["phone_number"] == bought["e164"]]
    agent = (await bench.row(agency, client, "retell"))["remote_id"]
    assert (there["inbound_agents"][0]["agent_id"], there["fallback_number"]) == (agent, "+14155550188")
    bench.sandbox.state.faults.set("retell", {"fault": "503", "operation": "numbers"})
    await bench.api.patch(f"{agency.path}/clients/{client['id']}", {"personal_phone": "+14155550177"})
    assert (await bench.api.get(number_path(agency, bought["e164"])))["fallback"] == "stale"
    bench.sandbox.state.faults.clear()
    await bench.services.areas.number_jobs.tidy_registrations()
    assert there["fallback_number"] == "+14155550177"
    assert (await bench.api.get(number_path(agency, bought["e164"])))["fallback"] == "ok"
    plan = await bench.api.get(f"{agency.path}/plan", params={"provider": "vapi"})
    assert plan["staying_behind"] == [bought["e164"]]
