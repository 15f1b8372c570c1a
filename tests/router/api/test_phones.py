"""The phones of a client: which numbers are taken, in which spelling, and which would lead back to us."""

from __future__ import annotations

import pytest

from adapters.sandbox.world import ACCOUNT_SID, NUMBERS
from tests.router.api.client import number_path

pytestmark = pytest.mark.anyio

PHONE = "+14155550123"
UNLISTED = "+442071234"
PHONES = ("personal_phone", "assistant.transfer_to")
AT_BLAND = "+14155550142"


def with_phone(field: str, phone: str | None) -> dict:
    return (
        {"personal_phone": phone} if field == "personal_phone" else {"assistant": {"prompt": "x", "transfer_to": phone}}
    )


def phone_in(field: str, client: dict) -> str | None:
    return client["personal_phone"] if field == "personal_phone" else client["assistant"]["transfer_to"]


@pytest.mark.parametrize("field", PHONES)
@pytest.mark.parametrize(
    "typed", ["+1 (415) 555-0123", "\u202a+1\u00a0415\u2011555\u20110123\u202c", "\uff0b14155550123"]
)
async def test_a_phone_is_taken_as_people_type_it_and_shown_in_one_form(api, field, typed):
    agency = await api.new_agency()
    made = await api.new_client(agency, **with_phone(field, typed))
    assert phone_in(field, made) == PHONE
    assert await api.get(f"{agency.path}/clients/{made['id']}") == made
    path = f"{agency.path}/clients/{(await api.new_client(agency))['id']}"
    assert phone_in(field, await api.patch(path, with_phone(field, typed))) == PHONE


@pytest.mark.parametrize("field", PHONES)
@pytest.mark.parametrize("phone", [UNLISTED, "+15550001111", "+4401632960001", "+39612345678", "+861381234567"])
async def test_a_phone_that_no_plan_lists_is_saved_only_if_that_is_said(api, field, phone):
    agency = await api.new_agency()
    path = f"{agency.path}/clients"
    for method, one in (("POST", path), ("PATCH", f"{path}/{(await api.new_client(agency))['id']}")):
        named = {"name": "Bella's Salon", **with_phone(field, phone)}
        problem = await api.refusal(method, one, named)
        assert (problem.status, problem.fields) == (422, (field,))
        assert "accept_unlisted: true" in problem.text
        assert phone not in problem.text
        assert (await api.refusal(method, one, named | {"accept_unlisted": False})).status == 422
    saved = await api.patch(one, named | {"accept_unlisted": True})
    assert phone_in(field, saved) == phone.replace("+440", "+44")
    assert "accept_unlisted" not in saved


@pytest.mark.parametrize("phone", ["+15550100", "+4930", "+999123456789", "+5215512345678"])
@pytest.mark.parametrize("field", PHONES)
async def test_a_phone_that_no_plan_has_room_for_is_never_saved(api, field, phone):
    agency = await api.new_agency()
    body = {"name": "Bella's Salon", "accept_unlisted": True, **with_phone(field, phone)}
    problem = await api.refusal("POST", f"{agency.path}/clients", body)
    assert (problem.status, problem.fields) == (422, (field,))


@pytest.mark.parametrize("field", PHONES)
@pytest.mark.parametrize("phone", ["+19001234567", "+449123456789", "+4990012345678"])
async def test_an_unlisted_phone_among_premium_numbers_is_refused_as_one(api, field, phone):
    agency = await api.new_agency()
    body = {"name": "Bella's Salon", **with_phone(field, phone)}
    for accepting in ({}, {"accept_unlisted": True}):
        problem = await api.refusal("POST", f"{agency.path}/clients", body | accepting)
        assert problem.fields == (field,)
        assert "premium-rate" in problem.text


@pytest.mark.parametrize("field", PHONES)
@pytest.mark.parametrize("stored", [UNLISTED, "+15550100", "+19002345678", "+5215512345678"])
async def test_what_is_stored_is_not_refused_when_something_else_changes(api, services, field, stored):
    agency = await api.new_agency()
    client = await api.new_client(agency, **with_phone(field, PHONE))
    await services.database.settings.execute(
        "UPDATE clients SET personal_phone = replace(personal_phone, $2, $3), "
        "assistant = replace(assistant::text, $2, $3)::jsonb WHERE id = $1",
        client["id"],
        PHONE,
        stored,
    )
    path = f"{agency.path}/clients/{client['id']}"
    for change in ({"name": "Bella"}, {"name": "Bella's", **with_phone(field, stored)}, {"routing": None}):
        assert phone_in(field, await api.patch(path, change)) == stored


async def test_no_phone_is_a_number_that_answers_with_an_assistant(api):
    """Ours would call us again; one at Bland would be answered by the assistant that transferred the call."""
    agency = await api.new_agency()
    client = await api.new_client(agency)
    await api.post(f"{agency.path}/numbers", {"client_id": client["id"], "e164": NUMBERS[0], "account": "platform"})
    await api.put(f"{number_path(agency, NUMBERS[0])}/registrations/bland", {"remote_id": AT_BLAND, "mode": "number"})
    path = f"{agency.path}/clients/{client['id']}"
    for field in PHONES:
        for phone in (NUMBERS[0], AT_BLAND, f"{AT_BLAND[:2]} {AT_BLAND[2:]}"):
            for method, one in (("POST", f"{agency.path}/clients"), ("PATCH", path)):
                problem = await api.refusal(method, one, {"name": "Bella's Salon", **with_phone(field, phone)})
                assert (problem.status, problem.fields) == (422, (field,))
    other = await api.new_agency()
    assert phone_in("personal_phone", await api.new_client(other, personal_phone=NUMBERS[0])) == NUMBERS[0]


@pytest.mark.parametrize("field", PHONES)
async def test_no_number_that_answers_with_an_assistant_is_a_client_s_phone(api, sandbox, field):
    sandbox.state.twilio.add_number(sandbox.state.twilio.accounts[ACCOUNT_SID], PHONE)
    agency = await api.new_agency()
    client = await api.new_client(agency, **with_phone(field, PHONE))
    number = {"client_id": client["id"], "account": "platform"}
    problem = await api.refusal("POST", f"{agency.path}/numbers", number | {"e164": PHONE})
    assert (problem.status, problem.fields) == (422, ("e164",))
    await api.post(f"{agency.path}/numbers", number | {"e164": NUMBERS[0]})
    registration = f"{number_path(agency, NUMBERS[0])}/registrations/bland"
    problem = await api.refusal("PUT", registration, {"remote_id": PHONE})
    assert (problem.status, problem.fields) == (422, ("remote_id",))


async def test_numbers_elsewhere_are_taken_as_people_type_them_too(api):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    typed = f"{NUMBERS[0][:2]} ({NUMBERS[0][2:5]}) {NUMBERS[0][5:]}"
    number = {"client_id": client["id"], "e164": typed, "account": "platform"}
    assert (await api.post(f"{agency.path}/numbers", number))["e164"] == NUMBERS[0]
    [found] = (await api.get("/v1/agencies", params={"number": typed}))["items"]
    assert found["id"] == agency.id
    path = f"{number_path(agency, NUMBERS[0])}/registrations/bland"
    assert (await api.put(path, {"remote_id": "+1 415 555-0142"}))["remote_id"] == AT_BLAND
