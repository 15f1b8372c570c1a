"""Costly phones are refused when they are saved, wherever a phone that is rung can be saved."""

from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.applications import Starlette

from adapters.sandbox.world import NUMBERS
from router.calls.fallback import open_fallback
from router.dialling import Dialling
from tests.router.api.client import ADMIN_TOKEN, Api, number_path
from tests.support.serving import serve_app

pytestmark = pytest.mark.anyio

COSTLY = ["+19002345678", "+447012345678", "+881612345678", "+4918012345678"]


def saved(phone: str) -> list[tuple[dict, str]]:
    """Each body with the phone, and the field that has it."""
    return [
        ({"personal_phone": phone}, "personal_phone"),
        ({"assistant": {"prompt": "You answer.", "transfer_to": phone}}, "assistant.transfer_to"),
    ]


@pytest.mark.parametrize("phone", COSTLY)
async def test_no_client_is_given_a_costly_phone(api, phone):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    for body, field in saved(phone):
        for method, path in (("POST", f"{agency.path}/clients"), ("PATCH", f"{agency.path}/clients/{client['id']}")):
            named = {"name": "Bella's Salon", **body}
            for token in (agency.token, ADMIN_TOKEN):
                problem = await api.refusal(method, path, named, token=token)
                assert (problem.status, problem.fields) == (422, (field,))
                assert phone not in problem.text
    assert await api.get(f"{agency.path}/clients/{client['id']}") == client


async def test_no_number_is_registered_as_a_costly_one(api):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    number = {"client_id": client["id"], "e164": NUMBERS[0], "account": "platform"}
    await api.post(f"{agency.path}/numbers", number)
    path = f"{number_path(agency, NUMBERS[0])}/registrations/bland"
    for phone in COSTLY:
        problem = await api.refusal("PUT", path, {"remote_id": phone}, token=agency.token)
        assert (problem.status, problem.fields) == (422, ("remote_id",))


async def test_what_the_operator_allows_is_saved_and_may_stay_when_it_is_no_longer_allowed(services, api):
    agency = await api.new_agency()
    allowing = replace(services, dispatcher=replace(services.dispatcher, dialling=Dialling(("+881",))))
    async with serve_app(Starlette(routes=allowing.api_routes())) as url, Api.connect(url, ADMIN_TOKEN) as permitted:
        client = await permitted.new_client(agency, personal_phone="+881612345678")
    path = f"{agency.path}/clients/{client['id']}"
    assert (await api.patch(path, {"name": "Sea Rescue"}))["personal_phone"] == "+881612345678"
    assert await api.patch(path, {"name": "Rescue", "personal_phone": "+881612345678"})
    problem = await api.refusal("PATCH", path, {"personal_phone": "+881612345679"})
    assert problem.fields == ("personal_phone",)


async def test_the_static_fallback_of_a_number_rings_no_costly_phone(services, api):
    agency = await api.new_agency()
    allowing = replace(services, dispatcher=replace(services.dispatcher, dialling=Dialling(("+881",))))
    async with serve_app(Starlette(routes=allowing.api_routes())) as url, Api.connect(url, ADMIN_TOKEN) as permitted:
        ringing = {"on_failure": "ring_through"}
        stored = await permitted.new_client(agency, personal_phone="+881612345678", routing=ringing)
    client = await services.areas.clients.find(agency.id, stored["id"])
    for served, phone in ((allowing, "+881612345678"), (services, None)):
        urls = served.areas.fallbacks.fallback_urls
        address = urls.make(client, NUMBERS[0])
        assert urls.is_current(address, client, NUMBERS[0])
        assert open_fallback(services.fallback_keyring, address.partition("?t=")[2]).phone == phone
