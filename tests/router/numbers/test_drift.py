"""Numbers whose configuration was changed at the carrier: detected, logged and corrected on a schedule."""

from __future__ import annotations

import pytest

from tests.router.api.client import number_path

pytestmark = pytest.mark.anyio

SF, NY = "+14155550100", "+12125550100"
TRUNK, APPLICATION = "TK" + "0" * 32, "AP" + "0" * 32


@pytest.fixture
async def number(market):
    """One bought number, as Twilio's stand-in has it."""
    await market.buy(e164=SF)
    return market.subaccounts()[0].number_called(SF)


async def shown(market, e164=SF):
    return await market.api.get(number_path(market.agency, e164))


async def test_a_number_as_we_want_it_is_looked_at_every_ten_minutes(market, number, services, clock, captured_events):
    sandbox = market.sandbox.state
    await services.areas.number_jobs.look_at_all_due()
    assert (await shown(market))["checked_at"] == "2026-03-02T12:00:00Z"
    sandbox.requests.clear()
    clock.move(minutes=9)
    await services.areas.number_jobs.look_at_all_due()
    assert sandbox.requests_to("twilio") == []
    clock.move(minutes=1)
    await services.areas.number_jobs.look_at_all_due()
    assert [each.method for each in sandbox.requests_to("twilio")] == ["GET"]
    assert captured_events.named("number.drifted") == []
    assert number["voice_url"] == (await shown(market))["voice_url"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"voice_url": "https://api.vapi.ai/twilio/inbound_call"}, "voice_url"),
        ({"voice_method": "GET"}, "voice_method"),
        ({"voice_fallback_url": ""}, "fallback_url"),
        ({"voice_fallback_method": "GET"}, "fallback_method"),
        ({"status_callback": "https://elsewhere.example/status"}, "status_url"),
        ({"trunk_sid": TRUNK}, "trunk"),
        ({"voice_application_sid": APPLICATION, "voice_url": ""}, "voice_url, application"),
    ],
)
async def test_a_change_is_logged_and_corrected(market, number, services, captured_events, change, reason):
    before = dict(number)
    number.update(change)
    await services.areas.number_jobs.look_at_all_due()
    assert {name: number[name] for name in change} == {name: before[name] for name in change}
    assert captured_events.only("number.drifted")["reason"] == reason
    assert (await shown(market))["drift"] is None


@pytest.mark.usefixtures("number")
async def test_what_cannot_be_mended_is_shown_until_it_can(market, services, clock, captured_events):
    own = await market.use_own_account()
    await market.buy(e164=NY)
    await market.api.delete(f"{market.agency.path}/keys/twilio")
    own.number_called(NY)["voice_url"] = "https://elsewhere.example/voice"
    for _ in range(2):
        await services.areas.number_jobs.look_at_all_due()
        assert (await shown(market, NY))["drift"] == "no token for its account"
        clock.move(minutes=10)
    assert captured_events.only("number.drifted")["reason"] == "no token for its account"
    await market.use_own_account()
    await services.areas.number_jobs.look_at_all_due()
    assert (await shown(market, NY))["drift"] is None
    assert own.number_called(NY)["voice_url"] == (await shown(market, NY))["voice_url"]


@pytest.mark.usefixtures("number")
async def test_a_number_that_is_gone_at_the_carrier_is_called_that(market, services, captured_events):
    market.subaccounts()[0].numbers.clear()
    await services.areas.number_jobs.look_at_all_due()
    assert (await shown(market))["drift"] == "gone"
    assert captured_events.only("number.drifted")["reason"] == "gone"


@pytest.mark.usefixtures("number")
async def test_a_number_that_came_back_under_another_id_is_found(market, services):
    subaccount = market.subaccounts()[0]
    subaccount.numbers.clear()
    there = market.sandbox.state.twilio.add_number(subaccount, SF)
    await services.areas.number_jobs.look_at_all_due()
    assert there["voice_url"] == (await shown(market))["voice_url"]
    assert (await shown(market))["drift"] is None


async def test_a_subaccounts_new_token_is_fetched(market, number, services):
    subaccount = market.subaccounts()[0]
    subaccount.auth_token = "f" * 32
    number["voice_url"] = "https://elsewhere.example/voice"
    await services.areas.number_jobs.look_at_all_due()
    assert (await shown(market))["drift"] is None
    assert number["voice_url"] == (await shown(market))["voice_url"]


async def test_a_refused_token_of_the_agencys_own_is_shown(market, services):
    own = await market.use_own_account()
    await market.buy(e164=NY)
    own.auth_token = "rotated"
    await services.areas.number_jobs.look_at_all_due()
    assert (await shown(market, NY))["drift"] == "the token of its account is refused"


async def test_a_stale_fallback_address_is_delivered_without_an_alarm(market, number, services, captured_events):
    market.sandbox.state.faults.set("twilio", "503")
    await market.api.patch(f"{market.agency.path}/clients/{market.client['id']}", {"personal_phone": "+14155550166"})
    assert (await shown(market))["fallback"] == "stale"
    market.sandbox.state.faults.clear()
    told = len(captured_events.named("number.drifted"))
    await services.areas.number_jobs.look_at_all_due()
    assert (await shown(market))["fallback"] == "ok"
    assert number["voice_fallback_url"] == (await shown(market))["fallback_url"]
    assert len(captured_events.named("number.drifted")) == told


@pytest.mark.usefixtures("number")
async def test_a_carrier_that_asks_for_a_pause_gets_it_for_the_whole_account(market, services, clock):
    await market.buy(e164=NY)
    state = market.sandbox.state
    state.requests.clear()
    state.faults.set("twilio", {"fault": "429", "retry_after": 90})
    await services.areas.number_jobs.look_at_all_due()
    assert len(state.requests_to("twilio")) == 1
    state.faults.clear()
    clock.move(seconds=89)
    await services.areas.number_jobs.look_at_all_due()
    assert len(state.requests_to("twilio")) == 1
    clock.move(seconds=1)
    await services.areas.number_jobs.look_at_all_due()
    assert len(state.requests_to("twilio")) == 3
    assert (await shown(market))["checked_at"] is not None


@pytest.mark.usefixtures("number")
async def test_a_carrier_that_cannot_be_asked_is_asked_again_soon(market, services, clock):
    market.sandbox.state.faults.set("twilio", "503")
    await services.areas.number_jobs.look_at_all_due()
    assert (await shown(market))["checked_at"] is None
    market.sandbox.state.faults.clear()
    clock.move(minutes=2)
    await services.areas.number_jobs.look_at_all_due()
    assert (await shown(market))["checked_at"] is not None


@pytest.mark.usefixtures("number")
async def test_two_who_look_at_once_share_the_numbers(market, services):
    for e164 in (NY, "+15125550100"):
        await market.buy(e164=e164)
    market.sandbox.state.requests.clear()
    first, second = await services.areas.drift.look_at_numbers(), await services.areas.drift.look_at_numbers()
    assert (first, second) == (3, 0)
    assert len(market.sandbox.state.requests_to("twilio")) == 3
