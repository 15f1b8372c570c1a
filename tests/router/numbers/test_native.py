"""Numbers bought from Retell and Bland themselves."""

from __future__ import annotations

import asyncio

import pytest

from adapters.sandbox.world import BLAND_KEY, RETELL_KEY, VAPI_KEY
from crypto import Secret
from router.store.numbers.purchases import insert_purchase
from tests.router.api.client import PUBLIC_URL, number_path
from tests.router.numbers.conftest import OWNER

pytestmark = pytest.mark.anyio


class Shop:
    """A market with one provider that sells numbers, and what its stand-in has."""

    def __init__(self, market, provider):
        self.market, self.provider = market, provider
        self.key = {"retell": RETELL_KEY, "bland": BLAND_KEY}[provider]
        self.org = getattr(market.sandbox.state, provider).orgs.of(self.key)

    async def owned(self):
        provider = self.market.services.voice[self.provider]
        return {number.e164 for number in await provider.shop.list_numbers(provider.open(Secret(self.key), 5))}

    async def buy(self, **fields):
        return await self.market.buy(carrier=self.provider, **fields)

    async def plan(self):
        pool = self.market.services.database.settings
        shop = self.market.services.areas.purchases.shops.native[self.provider]
        purchase = await shop.plan(self.market.stored_order("415", None, self.provider), "purchase_x")
        await insert_purchase(pool, purchase)
        return shop, purchase


async def open_shop(market, provider):
    """The client's assistant is there: linked at Retell; at Bland it lives on numbers, and the definition is enough."""
    shop = Shop(market, provider)
    await market.api.put(f"{market.agency.path}/keys/{provider}", {"key": shop.key, "activate": False})
    client = f"{market.agency.path}/clients/{market.client['id']}"
    if provider == "retell":
        agent = market.sandbox.state.retell.add_assistant(shop.org)
        await market.api.put(f"{client}/assistants/retell", {"remote_id": agent, "manage": []})
    else:
        await market.api.patch(client, {"assistant": {"prompt": "You answer the phone."}})
    return shop


@pytest.fixture(params=["retell", "bland"])
async def shop(request, market):
    return await open_shop(market, request.param)


async def test_a_number_is_bought_at_the_provider_and_is_on_no_account(shop, market):
    before = await shop.owned()
    bought = await shop.buy(area_code="415")
    assert await shop.owned() - before == {bought["e164"]}
    assert bought["e164"].startswith("+1415")
    assert (bought["carrier"], bought["account_sid"], bought["account"]) == (shop.provider, None, None)
    assert (bought["voice_url"], bought["fallback_url"], bought["state"], bought["fallback"]) == (
        "",
        "",
        "active",
        "ok",
    )
    assert await market.numbers() == [bought]
    assert market.subaccounts() == []


async def test_retell_is_given_the_agent_the_fallback_number_and_the_webhook(market):
    shop = await open_shop(market, "retell")
    bought = await shop.buy()
    (number,) = [each for each in shop.org.numbers.values() if each["phone_number"] == bought["e164"]]
    assert number["fallback_number"] == OWNER
    assert number["inbound_webhook_url"].startswith(f"{PUBLIC_URL}/webhooks/retell/{market.agency.id}?token=")
    assert number["nickname"].startswith("callrouter purchase_")


async def test_bland_is_given_the_fallback_number_after_the_purchase_and_whenever_it_changes(market):
    shop = await open_shop(market, "bland")
    bought = await shop.buy()
    client = f"{market.agency.path}/clients/{market.client['id']}"
    assert shop.org.numbers[bought["e164"]]["fallback_number"] == OWNER
    for phone in ("+14155550189", None):
        await market.api.patch(client, {"personal_phone": phone, "routing": {"on_failure": "voicemail"}})
        assert shop.org.numbers[bought["e164"]]["fallback_number"] == phone


async def test_a_fallback_number_that_bland_did_not_take_is_set_by_a_job(market):
    shop = await open_shop(market, "bland")
    market.sandbox.state.faults.set("bland", {"fault": "503", "operation": "assistants"})
    bought = await shop.buy()
    assert (bought["fallback"], shop.org.numbers[bought["e164"]]["fallback_number"]) == ("stale", None)
    market.sandbox.state.faults.clear()
    await market.services.areas.number_jobs.tidy_registrations()
    assert shop.org.numbers[bought["e164"]]["fallback_number"] == OWNER
    assert (await market.api.get(number_path(market.agency, bought["e164"])))["fallback"] == "ok"


async def test_without_an_assistant_nothing_is_bought(market, api):
    await api.put(f"{market.agency.path}/keys/retell", {"key": RETELL_KEY, "activate": False})
    problem = await market.refused(carrier="retell")
    assert (problem.status, problem.name) == (409, "conflict")
    assert "Only an assistant at Retell" in problem.detail
    problem = await market.refused(carrier="bland")
    assert (problem.status, problem.name) == (422, "no-key")


@pytest.mark.parametrize(("order", "field"), [({"country": "GB"}, "country"), ({"e164": "+14155550100"}, "e164")])
async def test_what_a_provider_does_not_sell_is_said(shop, market, order, field):
    problem = await market.refused(carrier=shop.provider, **order)
    assert (problem.status, problem.fields) == (422, (field,))


async def test_what_is_for_sale_names_the_providers_that_sell(shop, market, api):
    shown = await api.get(f"{market.path}/available", params={"country": "CA"})
    item = {"carrier": shop.provider, "country": "CA", "e164": None, "locality": None, "region": None}
    assert item in shown["items"]


async def test_new_numbers_come_from_the_active_provider_unless_the_agency_wants_others(shop, market, api):
    await api.patch(market.agency.path, {"active_provider": shop.provider})
    assert (await market.buy())["carrier"] == shop.provider
    agency = await api.patch(market.agency.path, {"numbers_from": "carrier"})
    assert agency["numbers_from"] == "carrier"
    assert (await market.buy())["carrier"] == "twilio"


async def test_without_any_twilio_account_the_active_provider_sells(shop, market, api):
    object.__setattr__(market.services.areas.accounts, "platform", None)  # as if the operator had set none
    await api.patch(market.agency.path, {"active_provider": shop.provider})
    assert (await market.buy())["carrier"] == shop.provider


async def test_what_the_active_provider_does_not_sell_comes_from_the_carrier(shop, market, api):
    await api.patch(market.agency.path, {"active_provider": shop.provider})

    async def seller(client=market.client["id"], country="US", area_code=None, e164=None):
        return await market.services.areas.market.choose_seller(market.agency.id, client, country, area_code, e164)

    assert await seller() == await seller(area_code="415") == await seller(country="CA") == shop.provider
    for country in ("GB", "DE", "MX", "AU", "PR"):
        assert await seller(country=country) == "twilio"
        shown = await api.get(f"{market.path}/available", params={"country": country})
        assert shown["default_carrier"] == "twilio"
    assert await seller(e164="+14155550123") == "twilio"  # a provider chooses the number itself
    assert await seller(country="CA", area_code="416") == {"retell": "twilio", "bland": "bland"}[shop.provider]
    vapi_client = await api.new_client(market.agency, provider="vapi")
    assert await seller(vapi_client["id"]) == "twilio"  # the number could never reach Vapi
    for client, named in ((vapi_client, "twilio"), (market.client, shop.provider)):
        shown = await api.get(f"{market.path}/available", params={"country": "US", "client_id": client["id"]})
        assert shown["default_carrier"] == named
    assert (await market.refused(client_id="client_unknown")).fields == ("client_id",)
    assert (await api.get(f"{market.path}/available", params={"country": "US"}))["default_carrier"] == shop.provider


async def test_a_provider_that_sells_no_numbers_leaves_them_to_the_carrier(market, api):
    await api.put(f"{market.agency.path}/keys/vapi", {"key": VAPI_KEY})
    assert (await market.buy())["carrier"] == "twilio"


async def test_an_area_code_that_cannot_be_chosen_is_said_before_money_is_spent(market, api):
    shop = await open_shop(market, "retell")
    problem = await market.refused(carrier="retell", country="CA", area_code="416")
    assert (problem.status, problem.fields) == (422, ("area_code",))
    shown = await api.get(f"{market.path}/available", params={"country": "CA", "area_code": "416"})
    assert {"carrier": "retell", "reason": f"Retell {problem.detail.split('Retell ')[1].rstrip('.')}."} in shown[
        "not_sold"
    ]
    assert shop.org.numbers == {}


async def test_what_was_sold_to_a_process_that_died_is_recorded_by_the_clock(shop, market, services, clock):
    planned, purchase = await shop.plan()
    bought = await planned.make(purchase)
    clock.move(seconds=61)
    await services.areas.purchases.finish_open()
    assert [number["e164"] for number in await market.numbers()] == [bought.e164]


async def test_while_the_outcome_of_a_purchase_is_unknown_no_second_number_is_bought(shop, market, clock):
    before = await shop.owned()
    planned, purchase = await shop.plan()
    problem = await market.refused(carrier=shop.provider, area_code="415")
    assert (problem.status, problem.name) == (409, "conflict")  # the process that made it has a minute
    clock.move(seconds=61)
    problem = await market.refused(carrier=shop.provider, area_code="415")
    assert (problem.status, problem.name) == (503, "provider-unreachable")  # it may still come
    bought = await planned.make(purchase)
    assert (await shop.buy(area_code="415"))["e164"] == bought.e164
    assert await shop.owned() - before == {bought.e164}


async def test_of_two_who_buy_there_at_once_both_know_what_is_theirs(shop, market):
    before = await shop.owned()
    order = market.order(carrier=shop.provider)
    answers = await asyncio.gather(*(market.api.send("POST", market.path, order) for _ in range(3)))
    sold = [answer.json()["e164"] for answer in answers if answer.status_code == 201]
    assert sold
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert await shop.owned() - before == set(sold)
    assert {number["e164"] for number in await market.numbers()} == set(sold)


async def test_a_number_that_the_agency_bought_there_itself_is_not_taken_for_ours(market, services, clock):
    shop = await open_shop(market, "bland")
    planned, purchase = await shop.plan()
    await planned.make(purchase)
    market.sandbox.state.bland.add_number(shop.org, "+14155559999")
    clock.move(minutes=11)
    await services.areas.purchases.finish_open()
    assert await market.numbers() == []
    assert await services.database.settings.fetchval("SELECT state FROM purchases") == "failed"


async def test_without_money_nothing_is_bought(shop, market):
    before = await shop.owned()
    market.sandbox.state.faults.set(shop.provider, {"fault": "402", "operation": "numbers"})
    problem = await market.refused(carrier=shop.provider)
    assert (problem.status, problem.name) == (409, "conflict")
    market.sandbox.state.faults.clear()
    assert await shop.owned() == before


async def test_a_native_number_goes_back_when_it_is_deleted(shop, market, api):
    before = await shop.owned()
    bought = await shop.buy()
    market.sandbox.state.faults.set(shop.provider, {"fault": "503", "operation": "all"})
    path = number_path(market.agency, bought["e164"])
    assert (await api.refusal("DELETE", path)).name == "provider-unreachable"
    market.sandbox.state.faults.clear()
    await api.delete(path)
    assert await shop.owned() == before
    assert await market.numbers() == []


async def test_a_provider_that_keeps_a_number_is_quoted(market, api):
    shop = await open_shop(market, "retell")
    bought = await shop.buy()
    market.sandbox.state.faults.set("retell", {"fault": "409", "operation": "numbers"})
    problem = await api.refusal("DELETE", number_path(market.agency, bought["e164"]))
    assert (problem.status, problem.name) == (409, "conflict")
    assert "Retell refuses to release" in problem.detail
    assert await market.numbers() == [bought]


async def test_a_native_number_goes_back_when_its_client_or_its_agency_goes(shop, market, api):
    before = await shop.owned()
    await shop.buy()
    await api.delete(f"{market.agency.path}/clients/{market.client['id']}")
    assert await shop.owned() == before


async def test_a_native_number_is_given_to_a_client_with_an_assistant_there_and_to_no_other(market, api):
    shop = await open_shop(market, "retell")
    bought = await shop.buy()
    path = number_path(market.agency, bought["e164"])
    other = await api.new_client(market.agency, name="Other")
    assert (await api.refusal("PATCH", path, {"client_id": other["id"]})).name == "conflict"
    agent = market.sandbox.state.retell.add_assistant(shop.org)
    link = f"{market.agency.path}/clients/{other['id']}/assistants/retell"
    await api.put(link, {"remote_id": agent, "manage": []})
    assert (await api.patch(path, {"client_id": other["id"]}))["client_id"] == other["id"]
    (number,) = [each for each in shop.org.numbers.values() if each["phone_number"] == bought["e164"]]
    assert number["inbound_agents"][0]["agent_id"] == agent


async def test_a_native_number_is_not_looked_for_at_the_carrier(shop, market, services):
    await shop.buy()
    market.sandbox.state.requests.clear()
    await services.areas.number_jobs.look_at_all_due()
    assert market.sandbox.state.requests_to("twilio") == []


async def test_explain_names_only_the_provider(market, api, services):
    shop = await open_shop(market, "retell")
    bought = await shop.buy()

    async def explained():
        answer = await api.get(f"{market.agency.path}/explain", params={"to": bought["e164"]})
        return [(rung["step"], rung["provider"], rung["would_take"], rung["reason"]) for rung in answer["rungs"]]

    others = [("owner", None, False, "native_number"), ("voicemail", None, False, "native_number")]
    assert await explained() == [("ai", "retell", True, "ready"), *others]
    await services.database.settings.execute("UPDATE assistants SET usable = false")
    assert await explained() == [("ai", "retell", False, "assistant_gone"), *others]
    await services.database.settings.execute("DELETE FROM keys WHERE kind = 'retell'")
    assert await explained() == [("ai", "retell", False, "no_key"), *others]
