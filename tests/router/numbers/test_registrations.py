"""Registrations at Vapi and Bland: made once, never with the platform's main account, and deleted when no longer needed."""

from __future__ import annotations

import asyncio
import base64

import pytest

from adapters.base import ErrorKind, ProviderError
from adapters.portable import Copy, Credentials
from adapters.sandbox.vapi.numbers import INBOUND_URL
from adapters.sandbox.world import ACCOUNT_SID, AUTH_TOKEN, BLAND_KEY, NUMBERS, VAPI_KEY
from crypto import Secret
from router.numbers.credentials import RegistrationError
from router.store.numbers.numbers import find_number
from router.store.numbers.registrations import lease_registration
from tests.router.api.client import number_path
from tests.router.numbers.conftest import OWN_TOKEN, OWNER

pytestmark = pytest.mark.anyio

SF = "+14155550100"
NY = "+12125550100"
MARKED = Copy(None, {"marker": "client_1"})


class Desk:
    """A market, and what Vapi and Bland have."""

    def __init__(self, market):
        self.market = market
        self.vapi = market.sandbox.state.vapi.orgs.of(VAPI_KEY)
        self.bland = market.sandbox.state.bland.orgs.of(BLAND_KEY)
        self.vapi.phone_numbers.clear()

    async def key(self, kind, key):
        body = {"key": key, "activate": False}
        await self.market.api.put(f"{self.market.agency.path}/keys/{kind}", body)

    async def number(self, e164):
        return await find_number(self.market.services.database.settings, self.market.agency.id, e164)

    async def ensure(self, e164, provider="vapi", copy=None):
        await self.market.services.areas.registrations.ensure(await self.number(e164), provider, copy or self.copy())

    def copy(self):
        return Copy(next(iter(self.vapi.assistants)))

    async def shown(self, e164):
        return await self.market.api.get(number_path(self.market.agency, e164))

    async def tidy(self):
        await self.market.services.areas.number_jobs.tidy_registrations()

    def asked(self, provider, method=None):
        asked = self.market.sandbox.state.requests_to(provider)
        return [each for each in asked if method in (None, each.method)]


@pytest.fixture
async def desk(market):
    desk = Desk(market)
    await desk.key("vapi", VAPI_KEY)
    await desk.key("bland", BLAND_KEY)
    return desk


async def test_a_number_gets_one_registration_at_vapi_with_assistant_fallback_and_a_revocable_key(desk, market):
    await market.buy(e164=SF)
    for _ in range(3):
        await desk.ensure(SF)
    (there,) = desk.vapi.phone_numbers.values()
    (subaccount,) = market.subaccounts()
    assert (there["number"], there["twilioAccountSid"]) == (SF, subaccount.sid)
    assert there["assistantId"] == desk.copy().remote_id
    assert there["fallbackDestination"] == {"type": "number", "number": OWNER}
    assert there["twilioApiKey"] in subaccount.api_keys
    assert "twilioAuthToken" not in there
    shown = await desk.shown(SF)
    assert shown["registrations"] == {"vapi": {"remote_id": there["id"]}}
    assert shown["problems"] == []
    assert [each.method for each in desk.asked("vapi") if each.path == "/phone-number"].count("POST") == 1


async def test_our_address_is_written_back_at_once(desk, market):
    bought = await market.buy(e164=SF)
    await desk.ensure(SF)
    there = market.subaccounts()[0].number_called(SF)
    assert there["voice_url"] == bought["voice_url"] != INBOUND_URL
    assert there["voice_fallback_url"] == bought["fallback_url"]


async def test_a_second_number_of_the_account_gets_the_same_key(desk, market):
    await market.buy(e164=SF)
    await market.buy(e164=NY)
    await asyncio.gather(desk.ensure(SF), desk.ensure(NY))
    assert len({there["twilioApiKey"] for there in desk.vapi.phone_numbers.values()}) == 1
    assert len(market.subaccounts()[0].api_keys) == 1


async def test_bland_gets_the_subaccounts_token_once_for_all_its_numbers(desk, market, services):
    for e164 in (SF, NY):
        await market.buy(e164=e164)
        await desk.ensure(e164, "bland", MARKED)
    (encrypted,) = desk.bland.accounts
    assert desk.bland.accounts[encrypted] == market.subaccounts()[0].sid
    assert {SF, NY} <= set(desk.bland.numbers)
    assert len([each for each in desk.asked("bland") if each.path == "/v1/accounts"]) == 1
    opened = await services.areas.registrations.list_known(market.agency.id, market.client["id"], "bland")
    assert [encrypted in each.parts.values() for each in opened] == [True, True]
    rows = await services.database.settings.fetch("SELECT r::text AS text FROM registrations r")
    assert not any(encrypted in row["text"] for row in rows)


async def test_nothing_of_the_platforms_main_account_ever_reaches_a_provider(desk, market, api):
    await market.buy(e164=SF)
    await desk.ensure(SF)
    await desk.ensure(SF, "bland", MARKED)
    body = {"e164": NUMBERS[0], "client_id": market.client["id"], "account": "platform"}
    await api.post(market.path, body)
    for provider in ("vapi", "bland"):
        with pytest.raises(RegistrationError, match="platform's main account, whose token never goes to a provider"):
            await desk.ensure(NUMBERS[0], provider)
    assert "made there" in (await desk.shown(NUMBERS[0]))["problems"][0]
    pair = base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode())
    seen = [each for provider in ("vapi", "retell", "bland") for each in desk.asked(provider)]
    assert len(seen) > 5
    for each in seen:
        raw = each.raw + repr((dict(each.headers), each.path, dict(each.query))).encode()
        assert not any(secret in raw for secret in (AUTH_TOKEN.encode(), ACCOUNT_SID.encode(), pair))


async def test_what_was_given_by_hand_is_never_touched(desk, market, api):
    await market.buy(e164=SF)
    path = f"{number_path(market.agency, SF)}/registrations/vapi"
    await api.put(path, {"remote_id": "by-hand"})
    await desk.ensure(SF)
    await api.delete(number_path(market.agency, SF))
    await desk.tidy()
    assert [each for each in desk.asked("vapi") if each.path.startswith("/phone-number")] == []


async def test_giving_one_by_hand_takes_ours_away(desk, market, api):
    await market.buy(e164=SF)
    await desk.ensure(SF)
    await api.put(f"{number_path(market.agency, SF)}/registrations/vapi", {"remote_id": "by-hand"})
    await desk.tidy()
    assert desk.vapi.phone_numbers == {}
    assert market.subaccounts()[0].api_keys == {}


async def test_a_number_that_the_agency_imported_itself_is_used_and_left_alone(desk, market, api):
    await market.buy(e164=SF)
    theirs = market.sandbox.state.vapi.add_phone_number(desk.vapi, SF)
    await desk.ensure(SF)
    assert (await desk.shown(SF))["registrations"] == {"vapi": {"remote_id": theirs}}
    await api.delete(number_path(market.agency, SF))
    await desk.tidy()
    assert list(desk.vapi.phone_numbers) == [theirs]


async def test_a_process_that_died_half_way_leaves_no_second_registration(desk, market, services, clock):
    await market.buy(e164=SF)
    await lease_registration(services.database.settings, market.agency.id, SF, "vapi", clock())
    (subaccount,) = market.subaccounts()
    opening = Credentials(subaccount.sid, Secret(subaccount.auth_token))
    vapi = services.voice["vapi"]
    await vapi.registrations.register(vapi.open(Secret(VAPI_KEY), 5), SF, opening, None, None)
    with pytest.raises(RegistrationError) as busy:
        await desk.ensure(SF)
    assert busy.value.again
    clock.move(minutes=3)
    await desk.ensure(SF)
    (there,) = desk.vapi.phone_numbers.values()
    assert (there["assistantId"], there["twilioApiKey"]) == (desk.copy().remote_id, *subaccount.api_keys)
    await market.api.delete(number_path(market.agency, SF))
    await desk.tidy()
    assert desk.vapi.phone_numbers == {}


@pytest.mark.parametrize("fault", ["401", "500", "429"])
async def test_a_provider_that_refuses_is_quoted_and_a_later_try_mends_it(desk, market, fault):
    await market.buy(e164=SF)
    market.sandbox.state.faults.set("vapi", {"fault": fault, "operation": "all"})
    with pytest.raises(ProviderError) as refused:
        await desk.ensure(SF)
    assert refused.value.kind is not ErrorKind.BAD_REQUEST
    assert (await desk.shown(SF))["registrations"] == {}
    assert len((await desk.shown(SF))["problems"]) == 1
    market.sandbox.state.faults.clear()
    await desk.ensure(SF)
    assert (await desk.shown(SF))["problems"] == []


async def test_a_carrier_that_makes_no_key_is_not_blamed_on_the_provider(desk, market):
    await market.buy(e164=SF)
    market.sandbox.state.faults.set("twilio", "503")
    with pytest.raises(RegistrationError, match="Twilio has not made an API key") as refused:
        await desk.ensure(SF)
    assert refused.value.again


async def test_a_registration_follows_a_change_of_assistant_or_owner(desk, market, api):
    await market.buy(e164=SF)
    await desk.ensure(SF)
    other = Copy(market.sandbox.state.vapi.add_assistant(desk.vapi))
    await api.patch(f"{market.agency.path}/clients/{market.client['id']}", {"personal_phone": "+14155550177"})
    await desk.ensure(SF, copy=other)
    (there,) = desk.vapi.phone_numbers.values()
    assert there["assistantId"] == other.remote_id
    assert there["fallbackDestination"]["number"] == "+14155550177"


async def test_one_that_was_deleted_there_is_made_again(desk, market):
    await market.buy(e164=SF)
    await desk.ensure(SF)
    desk.vapi.phone_numbers.clear()
    await desk.ensure(SF, copy=Copy(market.sandbox.state.vapi.add_assistant(desk.vapi)))
    (there,) = desk.vapi.phone_numbers
    assert (await desk.shown(SF))["registrations"]["vapi"]["remote_id"] == there


async def test_with_a_key_of_another_organisation_it_is_made_there(desk, market):
    await market.buy(e164=SF)
    await desk.ensure(SF)
    org = market.sandbox.state.vapi.add_org("22222222-fake-4444-8888-000000000009", "New", balance=5.0)
    await desk.key("vapi", org.key)
    await desk.ensure(SF, copy=Copy(market.sandbox.state.vapi.add_assistant(org)))
    assert [there["number"] for there in org.phone_numbers.values()] == [SF]


@pytest.mark.parametrize("what", ["number", "client"])
async def test_when_the_number_goes_its_registrations_and_their_key_go(desk, market, api, what):
    await market.buy(e164=SF)
    subaccount = market.subaccounts()[0]
    await desk.ensure(SF)
    await desk.ensure(SF, "bland", MARKED)
    gone = number_path(market.agency, SF) if what == "number" else f"{market.agency.path}/clients/{market.client['id']}"
    await api.delete(gone)
    market.sandbox.state.faults.set("vapi", {"fault": "503", "operation": "all"})
    await desk.tidy()
    assert len(desk.vapi.phone_numbers) == 1  # Vapi was away: it stays to be done
    market.sandbox.state.faults.clear()
    market.clock.move(minutes=3)
    await desk.tidy()
    assert (desk.vapi.phone_numbers, SF in desk.bland.numbers, subaccount.api_keys) == ({}, False, {})


@pytest.mark.parametrize("reachable", [True, False])
async def test_when_the_provider_key_goes_our_registrations_go_and_what_opened_the_account_is_revoked(
    desk, market, api, reachable
):
    await market.buy(e164=SF)
    await desk.ensure(SF)
    if not reachable:
        market.sandbox.state.faults.set("vapi", {"fault": "503", "operation": "all"})
    await api.delete(f"{market.agency.path}/keys/vapi")
    assert len(desk.vapi.phone_numbers) == (0 if reachable else 1)
    assert (await desk.shown(SF))["registrations"] == {}
    await desk.tidy()
    assert market.subaccounts()[0].api_keys == {}


async def test_a_number_that_comes_back_is_not_taken_away_again(desk, market, api):
    await market.use_own_account()
    await market.buy(e164=SF)
    await desk.ensure(SF, "bland", MARKED)
    await api.delete(number_path(market.agency, SF))
    await api.post(market.path, {"e164": SF, "client_id": market.client["id"], "account": "agency"})
    await desk.ensure(SF, "bland", MARKED)
    await desk.tidy()
    assert SF in desk.bland.numbers


async def test_numbers_of_a_client_whose_assistant_is_linked_are_registered_by_the_clock(desk, market, api):
    await market.buy(e164=SF)
    path = f"{market.agency.path}/clients/{market.client['id']}/assistants/vapi"
    await api.put(path, {"remote_id": desk.copy().remote_id, "manage": []})
    await desk.tidy()
    (there,) = desk.vapi.phone_numbers.values()
    assert (there["number"], there["assistantId"]) == (SF, desk.copy().remote_id)


async def test_a_linked_number_that_was_refused_is_registered_once_there_is_another_key(desk, market, api):
    await market.buy(e164=SF)
    path = f"{market.agency.path}/clients/{market.client['id']}/assistants/vapi"
    await api.put(path, {"remote_id": desk.copy().remote_id, "manage": []})
    market.sandbox.state.faults.set("vapi", {"fault": "401", "operation": "numbers"})
    await desk.tidy()
    market.sandbox.state.faults.clear()
    await desk.tidy()
    assert desk.vapi.phone_numbers == {}
    assert "Vapi" in (await desk.shown(SF))["problems"][0]
    await desk.key("vapi", VAPI_KEY)
    await desk.tidy()
    assert len(desk.vapi.phone_numbers) == 1


async def test_a_number_without_an_assistant_keeps_no_registration_of_its_former_client(desk, market, api):
    await market.buy(e164=SF)
    await desk.ensure(SF)
    silent = await api.new_client(market.agency, name="Nobody's Bakery")
    await api.patch(number_path(market.agency, SF), {"client_id": silent["id"]})
    await desk.tidy()
    assert desk.vapi.phone_numbers == {}


async def test_secrets_of_carrier_keys_stand_nowhere_in_clear(desk, market, services, captured_events):
    await market.buy(e164=SF)
    await desk.ensure(SF)
    (secret,) = market.subaccounts()[0].api_keys.values()
    rows = [row["text"] for row in await services.database.settings.fetch("SELECT k::text AS text FROM carrier_keys k")]
    assert rows
    for text in (*rows, captured_events.text(), str(await desk.shown(SF))):
        assert secret not in text


def leftovers(services):
    return services.database.settings.fetch("SELECT l::text AS text FROM leftover_carrier_keys l")


async def own_key_at_vapi(desk, market):
    """The agency's own account with a key that we made there for Vapi."""
    account = await market.use_own_account()
    await market.buy(e164=SF)
    await desk.ensure(SF)
    assert account.api_keys
    return account


async def delete_agency(market):
    await market.api.delete(market.agency.path)


async def erase_token(market):
    await market.api.delete(f"{market.agency.path}/keys/twilio")


async def save_another_account(market, *, compromised=False):
    other = market.sandbox.state.twilio.add_account("AC" + "0d" * 16, "another-token")
    await market.api.delete(number_path(market.agency, SF))
    body = {"account_sid": other.sid, "auth_token": "another-token", "compromised": compromised}
    await market.api.put(f"{market.agency.path}/keys/twilio", body)


async def lose_an_account(market):
    await save_another_account(market, compromised=True)


WAYS_TO_END = [delete_agency, erase_token, save_another_account, lose_an_account]


@pytest.mark.parametrize("end", WAYS_TO_END)
async def test_a_key_at_vapi_is_revoked_with_the_token_of_its_account(desk, market, services, end):
    account = await own_key_at_vapi(desk, market)
    await end(market)
    assert account.api_keys == {}
    assert await leftovers(services) == []


async def test_the_token_of_one_account_leaves_keys_of_the_others(desk, market):
    await market.buy(e164=NY)  # in the platform's subaccount for the agency
    await desk.ensure(NY)
    account = await own_key_at_vapi(desk, market)
    await erase_token(market)
    assert account.api_keys == {}
    assert market.subaccounts()[0].api_keys


async def test_an_unchanged_account_keeps_its_key_at_vapi(desk, market):
    account = await own_key_at_vapi(desk, market)
    keys = dict(account.api_keys)
    for compromised in (False, True):
        body = {"account_sid": account.sid, "auth_token": OWN_TOKEN, "compromised": compromised}
        await market.api.put(f"{market.agency.path}/keys/twilio", body)
        assert account.api_keys == keys


@pytest.mark.parametrize("state", ["linked", "synced"])
async def test_a_number_whose_token_comes_back_is_given_to_vapi_again(desk, market, services, state):
    path = f"{market.agency.path}/clients/{market.client['id']}/assistants/vapi"
    await market.api.put(path, {"remote_id": desk.copy().remote_id, "manage": []})
    account = await own_key_at_vapi(desk, market)
    await services.database.settings.execute("UPDATE assistants SET state = $1", state)
    await erase_token(market)
    await desk.tidy()
    assert "revoked" in (await desk.shown(SF))["problems"][0]
    assert account.api_keys == {}
    await market.use_own_account()
    await desk.tidy()
    (there,) = desk.vapi.phone_numbers.values()
    assert there["twilioApiKey"] in account.api_keys
    assert (await desk.shown(SF))["problems"] == []


@pytest.mark.parametrize(("end", "problem"), [(delete_agency, "503"), (erase_token, "503"), (erase_token, "429")])
async def test_a_key_that_twilio_does_not_revoke_now_is_revoked_later(
    desk, market, services, captured_events, monkeypatch, end, problem
):
    account = await own_key_at_vapi(desk, market)
    (key_sid,) = account.api_keys
    real = services.carrier.delete_api_key

    async def refuse(*_):
        raise ProviderError(ErrorKind.UNREACHABLE if problem == "503" else ErrorKind.RATE_LIMITED)

    monkeypatch.setattr(type(services.carrier), "delete_api_key", refuse)
    await end(market)
    assert account.api_keys
    (left,) = await leftovers(services)
    assert OWN_TOKEN not in left["text"]
    await desk.tidy()  # Twilio is still away
    assert len(await leftovers(services)) == 1
    monkeypatch.setattr(type(services.carrier), "delete_api_key", lambda _self, *given: real(*given))
    await desk.tidy()
    assert account.api_keys, "it was tried a moment ago"
    market.clock.move(minutes=5)
    await desk.tidy()
    assert key_sid not in account.api_keys
    assert await leftovers(services) == []
    assert OWN_TOKEN not in captured_events.text()


async def test_a_key_whose_token_is_no_longer_valid_is_given_up(desk, market, api, services):
    account = await own_key_at_vapi(desk, market)
    account.auth_token = "changed-meanwhile"
    await api.delete(market.agency.path)
    await desk.tidy()
    assert await leftovers(services) == []
