"""Buying numbers at Twilio: whose account, what is set up, and what a retry or a crash must not do."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from adapters.sandbox.world import ACCOUNT_SID, AUTH_TOKEN
from router.calls.fallback import open_fallback
from router.store.numbers.purchases import insert_purchase
from tests.router.api.client import number_path
from tests.router.numbers.conftest import OWN_SID, OWNER

pytestmark = pytest.mark.anyio

SF = "+14155550100"


async def leave_half_way(market, **order):
    """A purchase whose process died when Twilio had sold the number."""
    shop = market.services.areas.purchases.shops.carrier
    purchase = await shop.plan(market.stored_order(order.get("area_code"), order.get("e164")), "purchase_x")
    await insert_purchase(market.services.database.settings, purchase)
    await shop.make(purchase)
    return purchase


async def test_a_number_is_bought_on_a_subaccount_of_the_agencys_own_and_points_at_us(market, services):
    bought = await market.buy(area_code="415")
    (subaccount,) = market.subaccounts()
    assert subaccount.friendly_name == f"callrouter {market.agency.id}"
    assert bought["e164"].startswith("+1415")
    assert (bought["carrier"], bought["account"], bought["account_sid"]) == ("twilio", "subaccount", subaccount.sid)
    assert (bought["state"], bought["fallback"], bought["drift"], bought["problems"]) == ("active", "ok", None, [])
    there = subaccount.number_called(bought["e164"])
    assert there["voice_url"] == bought["voice_url"]
    assert there["voice_fallback_url"] == bought["fallback_url"]
    assert there["status_callback"] == bought["status_url"]
    fallback = open_fallback(services.fallback_keyring, bought["fallback_url"].partition("?t=")[2])
    assert (fallback.number, fallback.phone) == (bought["e164"], OWNER)
    assert await market.numbers() == [bought]
    another = await market.buy(area_code="212")
    assert [another["account_sid"], len(market.subaccounts())] == [subaccount.sid, 1]


async def test_two_first_purchases_at_once_make_one_subaccount(market):
    bought = await asyncio.gather(market.buy(area_code="415", e164=SF), market.buy(e164="+12125550100"))
    assert len(market.subaccounts()) == 1
    assert {each["account_sid"] for each in bought} == {market.subaccounts()[0].sid}


async def test_a_subaccount_whose_record_was_lost_is_found_again(market, services):
    first = await market.buy()
    await services.database.settings.execute("DELETE FROM numbers")
    await services.database.settings.execute("DELETE FROM keys WHERE kind = 'subaccount'")
    assert (await market.buy())["account_sid"] == first["account_sid"]


async def test_an_agency_with_a_twilio_key_buys_on_its_own_account(market):
    own = await market.use_own_account()
    bought = await market.buy(e164=SF)
    assert (bought["account"], bought["account_sid"], bought["e164"]) == ("agency", OWN_SID, SF)
    assert own.number_called(SF)["voice_url"] == bought["voice_url"]
    assert market.subaccounts() == []


async def test_the_same_request_with_an_idempotency_key_buys_one_number(market):
    headers = {"Idempotency-Key": "buy-1"}
    first = await market.buy(headers=headers)
    assert await market.buy(headers=headers) == first
    assert market.sold() == [first["e164"]]


async def test_a_purchase_whose_answer_was_unreadable_is_found_and_recorded(market):
    await market.use_own_account()
    market.sandbox.state.faults.set("twilio", {"fault": "no-twiml", "times": 1})  # it is sold all the same
    bought = await market.buy(e164=SF)
    assert (bought["e164"], market.sold()) == (SF, [SF])


async def test_a_carrier_that_cannot_be_reached_sells_nothing_and_a_second_try_buys_one(market):
    await market.use_own_account()
    market.sandbox.state.faults.set("twilio", "reset")
    problem = await market.refused(e164=SF)
    assert (problem.status, problem.name) == (503, "provider-unreachable")
    assert "does not buy a second one" in problem.detail
    assert await market.numbers() == []
    market.sandbox.state.faults.clear()
    assert (await market.buy(e164=SF))["e164"] == SF
    assert market.sold() == [SF]


async def test_what_was_sold_to_a_process_that_died_is_found_by_the_same_request(market, clock):
    await leave_half_way(market, area_code="415")
    clock.move(seconds=61)
    bought = await market.buy(area_code="415")
    assert market.sold() == [bought["e164"]]


async def test_what_was_sold_to_a_process_that_died_is_found_by_the_job(market, clock, services, captured_events):
    await leave_half_way(market)
    await services.areas.purchases.finish_open()
    assert await market.numbers() == []  # the process that made it has a minute
    clock.move(seconds=61)
    await services.areas.purchases.finish_open()
    (number,) = await market.numbers()
    assert [number["e164"]] == market.sold()
    assert (number["state"], number["fallback"]) == ("active", "ok")
    assert captured_events.only("number.bought")["carrier"] == "twilio"
    audit = (await market.api.get(f"{market.agency.path}/audit"))["items"]
    assert [each["actor"] for each in audit if each["action"] == "number.bought"] == ["callrouter"]


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "buy-1"}])
async def test_a_request_that_is_repeated_after_the_job_finished_it_buys_no_second_number(market, clock, headers):
    await market.use_own_account()
    market.sandbox.state.faults.set("twilio", [{"fault": "no-twiml", "times": 1}, {"fault": "503"}])  # sold, unseen
    order = market.order(e164=SF)
    first = await market.api.send("POST", market.path, order, headers=headers)
    assert first.status_code == 503
    market.sandbox.state.faults.clear()
    clock.move(seconds=61)
    await market.services.areas.purchases.finish_open()
    assert [number["e164"] for number in await market.numbers()] == [SF]
    again = await market.api.post(market.path, order, headers=headers)
    assert (again["e164"], market.sold()) == (SF, [SF])


async def test_an_idempotency_key_is_good_for_its_purchase_though_the_process_died_before_it_answered(market, clock):
    headers = {"Idempotency-Key": "buy-2"}
    first = await market.buy(headers=headers)
    pool = market.services.database.settings
    await pool.execute("UPDATE idempotency_keys SET status = NULL, reply = NULL")
    await pool.execute("UPDATE purchases SET told = false")
    clock.move(minutes=20)
    assert await market.buy(headers=headers) == first
    assert (await market.buy(headers={"Idempotency-Key": "buy-3"}))["e164"] != first["e164"]


async def test_two_numbers_may_be_bought_in_the_same_words(market):
    first, second = await market.buy(), await market.buy()
    assert first["e164"] != second["e164"]


async def test_what_was_bought_for_a_client_that_is_gone_is_given_back(market, clock, services):
    await leave_half_way(market)
    await market.api.delete(f"{market.agency.path}/clients/{market.client['id']}")
    assert len(market.sold()) == 1
    clock.move(seconds=61)
    await services.areas.purchases.finish_open()
    assert market.sold() == []
    assert await market.numbers() == []


async def test_a_purchase_that_was_never_made_is_given_up(market, clock, services):
    purchase = await services.areas.purchases.shops.carrier.plan(market.stored_order(None, SF), "purchase_x")
    await insert_purchase(services.database.settings, replace(purchase, wanted=SF))
    clock.move(minutes=11)
    await services.areas.purchases.finish_open()
    assert await services.database.settings.fetchval("SELECT state FROM purchases") == "failed"
    assert market.sold() == []


async def test_a_number_that_was_sold_meanwhile_is_replaced_by_another_unless_it_was_named(market):
    offered = (await market.api.get(f"{market.path}/available", params={"country": "US", "area_code": "415"}))["items"]
    stranger = market.sandbox.state.twilio.add_account()
    market.sandbox.state.twilio.add_number(stranger, offered[0]["e164"])
    problem = await market.refused(e164=offered[0]["e164"])
    assert (problem.status, problem.name) == (409, "conflict")
    assert (await market.buy(area_code="415"))["e164"] == offered[1]["e164"]


async def test_a_number_that_is_on_the_account_already_is_not_called_bought(market):
    own = await market.use_own_account()
    market.sandbox.state.twilio.add_number(own, SF)
    problem = await market.refused(e164=SF)
    assert (problem.status, problem.name) == (409, "conflict")
    assert "take it over" in problem.detail


@pytest.mark.parametrize(
    ("order", "field", "words"),
    [
        ({"country": "GB"}, "country", "address"),
        ({"area_code": "999"}, "area_code", "no number for sale"),
        ({"country": "ZZ"}, "country", "no number for sale"),
        ({"country": "us"}, "country", "two capital letters"),
        ({"account": "platform"}, "account", "must be left out to buy a number"),
        ({"carrier": "vapi"}, "carrier", "twilio"),
        ({"client_id": "client_unknown"}, "client_id", "client"),
    ],
)
async def test_what_cannot_be_bought_is_said_in_words(market, order, field, words):
    problem = await market.refused(**order)
    assert (problem.status, problem.name, problem.fields) == (422, "invalid", (field,))
    assert words in problem.detail
    assert await market.numbers() == []


async def test_without_money_nothing_is_bought_and_the_account_is_named(market):
    market.sandbox.state.twilio.accounts[ACCOUNT_SID].balance = 0.5
    problem = await market.refused()
    assert (problem.status, problem.name) == (409, "conflict")
    assert "no credit" in problem.detail
    market.sandbox.state.twilio.accounts[ACCOUNT_SID].balance = 10
    await market.buy()


async def test_a_refused_platform_account_is_not_blamed_on_the_agency(market):
    market.sandbox.state.twilio.accounts[ACCOUNT_SID].auth_token = "rotated"
    problem = await market.refused()
    assert (problem.status, problem.name) == (503, "provider-unreachable")
    assert "platform" in problem.detail


async def test_tokens_of_subaccounts_are_stored_and_logged_only_sealed(market, services, captured_events):
    bought = await market.buy()
    token = market.subaccounts()[0].auth_token
    rows = await services.database.settings.fetch("SELECT k.*::text AS text FROM keys k")
    assert rows
    for text in (*(row["text"] for row in rows), str(bought), captured_events.text()):
        assert token not in text
        assert AUTH_TOKEN not in text
    keys = (await market.api.get(f"{market.agency.path}/keys"))["items"]
    assert keys == []  # people neither save nor see it


async def test_only_agencies_that_are_asked_for_are_shown_what_is_for_sale(market, api):
    stranger = await api.new_agency("Stranger")
    refusal = await api.refusal("GET", f"{market.path}/available", token=stranger.token)
    assert refusal.status == 404


async def test_what_is_for_sale_says_why_other_sellers_offer_nothing(market, api):
    shown = await api.get(f"{market.path}/available", params={"country": "US", "area_code": "415"})
    assert {item["carrier"] for item in shown["items"]} == {"twilio"}
    assert shown["items"][0] == {
        "carrier": "twilio",
        "country": "US",
        "e164": SF,
        "locality": "San Francisco",
        "region": "CA",
    }
    reasons = {each["carrier"]: each["reason"] for each in shown["not_sold"]}
    assert "no key for Retell" in reasons["retell"]
    assert "does not sell numbers" in reasons["vapi"]
    assert market.subaccounts() == []
    london = await api.get(f"{market.path}/available", params={"country": "GB"})
    reasons = {each["carrier"]: each["reason"] for each in london["not_sold"]}
    assert london["items"] == []
    assert "address" in reasons["twilio"]
    assert reasons["retell"] == "Retell sells numbers only in US and CA, not in GB."
    problem = await api.refusal("GET", f"{market.path}/available")
    assert problem.fields == ("country",)
    await market.use_own_account()
    assert (await api.get(f"{market.path}/available", params={"country": "GB"}))["items"]


async def test_a_bought_number_is_given_back_when_it_is_deleted_and_one_on_the_agencys_account_stays(market, api):
    bought = await market.buy()
    await api.delete(number_path(market.agency, bought["e164"]), token=market.agency.token)
    assert market.sold() == []
    own = await market.use_own_account()
    theirs = await market.buy(e164=SF)
    await api.delete(number_path(market.agency, theirs["e164"]))
    assert own.number_called(SF)["voice_url"] == ""
    assert market.sold() == [SF]


async def test_when_an_agency_leaves_its_platform_numbers_go_back_and_its_own_stay(market, api):
    await market.buy(area_code="212")
    subaccount = market.subaccounts()[0]
    own = await market.use_own_account()
    await market.buy(e164=SF)
    market.sandbox.state.faults.set("twilio", "503")
    assert (await api.refusal("DELETE", market.agency.path)).name == "provider-unreachable"
    market.sandbox.state.faults.clear()
    await api.delete(market.agency.path)
    assert (subaccount.status, subaccount.numbers) == ("closed", {})
    assert own.number_called(SF)["voice_url"] == ""
