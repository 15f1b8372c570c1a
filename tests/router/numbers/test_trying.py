"""Test calls: the carrier rings a phone of the agency's, and puts whoever picks up through to the number."""

from __future__ import annotations

import pytest

from adapters.sandbox.world import NUMBERS
from tests.router.api.client import Agency, Api, number_path
from tests.support.api_service import Services

pytestmark = pytest.mark.anyio

NUMBER, PHONE = NUMBERS[0], "+14155550188"


@pytest.fixture
async def agency(api: Api) -> Agency:
    agency = await api.new_agency()
    client = await api.new_client(agency)
    await api.post(f"{agency.path}/numbers", {"e164": NUMBER, "client_id": client["id"], "account": "platform"})
    return agency


async def test_the_phone_rings_and_is_put_through_as_the_caller(api: Api, agency: Agency, sandbox):
    dialled: list[tuple[str, str]] = []
    sandbox.state.on_dial = lambda caller, to: dialled.append((caller, to))
    body = {"phone": "+1 415 555 0188"}
    placed = await api.post(f"{number_path(agency, NUMBER)}/test-call", body, token=agency.token)
    assert placed["phone"] == PHONE
    (account,) = sandbox.state.twilio.accounts.values()
    call = account.calls[placed["call_sid"]]
    assert (call.caller, call.to) == (NUMBER, PHONE)
    assert dialled == [(PHONE, NUMBER)]
    assert "number.tried" in [entry["action"] for entry in (await api.get(f"{agency.path}/audit"))["items"]]


@pytest.mark.parametrize(("phone", "said"), [(NUMBER, "answered here"), ("+19005550188", "phone"), ("555", "phone")])
async def test_only_a_phone_that_may_be_rung_is_called(api: Api, agency: Agency, sandbox, phone: str, said: str):
    problem = await api.refusal("POST", f"{number_path(agency, NUMBER)}/test-call", {"phone": phone})
    assert problem.status == 422
    assert said in problem.text
    (account,) = sandbox.state.twilio.accounts.values()
    assert account.calls == {}


async def test_an_agency_places_ten_in_an_hour(api: Api, agency: Agency, clock):
    path = f"{number_path(agency, NUMBER)}/test-call"
    for _ in range(10):
        await api.post(path, {"phone": PHONE})
    refused = await api.refusal("POST", path, {"phone": PHONE})
    assert refused.status == 429
    clock.move(minutes=61)
    await api.post(path, {"phone": PHONE})


async def test_a_native_number_is_left_to_its_provider(api: Api, services: Services, agency: Agency):
    await services.database.settings.execute("UPDATE numbers SET account = 'provider', carrier = 'retell'")
    assert (await api.refusal("POST", f"{number_path(agency, NUMBER)}/test-call", {"phone": PHONE})).status == 409
