"""GET …/explain as a request: what it is asked with, and who may ask. What it answers is in tests/router/calls."""

from __future__ import annotations

import pytest

from adapters.sandbox.world import NUMBERS, VAPI_KEY
from tests.router.api.client import ADMIN_TOKEN

pytestmark = pytest.mark.anyio

NUMBER = NUMBERS[0]
READY = {
    "step": "ai",
    "provider": "vapi",
    "would_take": True,
    "reason": "ready",
    "notes": ["no_events", "no_transfer"],  # it is linked, and left alone
}


@pytest.fixture
async def agency(api, sandbox):
    agency = await api.new_agency()
    remote_id = sandbox.state.vapi.add_assistant(sandbox.state.vapi.orgs.of(VAPI_KEY))
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    client = await api.new_client(agency)
    await api.put(f"{agency.path}/clients/{client['id']}/assistants/vapi", {"remote_id": remote_id, "manage": []})
    await api.post(f"{agency.path}/numbers", {"e164": NUMBER, "client_id": client["id"], "account": "platform"})
    number = NUMBER.replace("+", "%2B")
    await api.put(f"{agency.path}/numbers/{number}/registrations/vapi", {"remote_id": "p1"})
    return agency


async def test_an_agency_may_ask_about_its_own_number(api, agency):
    for token in (ADMIN_TOKEN, agency.token):
        found = await api.get(f"{agency.path}/explain", params={"to": NUMBER, "from": "+14155550123"}, token=token)
        assert found.keys() == {"rungs"}
        assert found["rungs"][0] == READY


@pytest.mark.parametrize("caller", ["withheld", "anonymous", "+266696687", "+1 (415) 555-0123", "+5215512345678"])
async def test_a_caller_may_be_withheld_or_typed_as_people_do(api, agency, caller):
    found = await api.get(f"{agency.path}/explain", params={"to": NUMBER, "from": caller})
    assert found["rungs"][0] == READY


async def test_a_plus_sign_that_was_not_encoded_is_understood(api, agency):
    response = await api.http.get(
        f"{agency.path}/explain?to={NUMBER}&from=+14155550123", headers={"authorization": f"Bearer {ADMIN_TOKEN}"}
    )
    assert response.json()["rungs"][0] == READY


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "to"),
        ({"to": ""}, "to"),
        ({"to": "5005550101"}, "to"),
        ({"to": "+1500555010x"}, "to"),
        ({"to": NUMBER, "from": "Bella"}, "from"),
        ({"to": NUMBER, "from": "+0000000000"}, "from"),
        ({"to": NUMBER, "at": "tomorrow"}, "at"),
        ({"to": NUMBER, "at": "2026-03-02T09:30:00"}, "at"),
        ({"to": NUMBER, "at": "2026-03-02"}, "at"),
        ({"to": NUMBER, "at": "1772443800"}, "at"),
        ({"to": NUMBER, "at": "2026-02-30T09:30:00Z"}, "at"),
        ({"to": NUMBER, "at": "0001-01-01T00:00:00+14:00"}, "at"),
        ({"to": NUMBER, "at": "9999-12-31T23:59:59-12:00"}, "at"),
    ],
)
async def test_a_malformed_question_is_refused(api, agency, query, field):
    problem = await api.refusal("GET", f"{agency.path}/explain", params=query)
    assert (problem.status, problem.name, problem.fields) == (422, "invalid", (field,))


async def test_a_number_that_is_not_the_agencys_is_not_found(api, agency):
    other = await api.new_agency()
    for path, number in ((other.path, NUMBER), (agency.path, NUMBERS[1])):
        problem = await api.refusal("GET", f"{path}/explain", params={"to": number})
        assert (problem.status, problem.name) == (404, "not-found")
    assert (await api.refusal("GET", f"{agency.path}/explain", params={"to": NUMBER}, token=other.token)).status == 404


async def test_a_full_bulkhead_is_a_reason(api, agency, bulkheads):
    while bulkheads.has_room(agency.id, "vapi"):
        bulkheads.enter(agency.id, "vapi")
    rungs = (await api.get(f"{agency.path}/explain", params={"to": NUMBER}))["rungs"]
    assert rungs[0] == READY | {"would_take": False, "reason": "at_capacity"}


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-03-02T12:59:59Z", False),
        ("2026-03-02T13:00:00Z", True),
        ("2026-03-02T08:00:00-05:00", True),
        ("2026-03-02T23:00:00+09:00", True),
        ("2026-03-02T17:00:00-05:00", False),
        ("2026-03-07T13:00:00Z", False),  # a Saturday
        ("2026-07-06T12:00:00Z", True),  # summer time
        ("2199-01-01T13:00:00Z", True),
    ],
)
async def test_another_time_decides_on_opening_hours(api, agency, at, is_open):
    hours = {
        "timezone": "America/New_York",
        "open": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "17:00"}],
        "closed_mode": "voicemail",
    }
    (client,) = (await api.get(f"{agency.path}/clients"))["items"]
    await api.patch(f"{agency.path}/clients/{client['id']}", {"routing": {"hours": hours}})
    rungs = (await api.get(f"{agency.path}/explain", params={"to": NUMBER, "at": at}))["rungs"]
    takes = next(rung["step"] for rung in rungs if rung["would_take"])
    assert takes == ("ai" if is_open else "voicemail")
    if not is_open:
        assert {"closed_mode_is_voicemail"} <= {rung["reason"] for rung in rungs}


async def test_an_offset_whose_plus_was_not_encoded_is_understood(api, agency):
    response = await api.http.get(
        f"{agency.path}/explain?to={NUMBER}&at=2026-03-02T09:30:00+01:00",
        headers={"authorization": f"Bearer {ADMIN_TOKEN}"},
    )
    assert response.json()["rungs"][0] == READY


async def test_what_is_so_only_now_says_nothing_about_another_time(api, agency, bulkheads):
    while bulkheads.has_room(agency.id, "vapi"):
        bulkheads.enter(agency.id, "vapi")
    asked = {"to": NUMBER, "at": "2026-03-02T09:30:00Z"}
    assert (await api.get(f"{agency.path}/explain", params=asked))["rungs"][0] == READY
