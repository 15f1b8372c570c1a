from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from adapters.sandbox.world import ACCOUNT_SID, NUMBERS
from router.calls.fallback import open_fallback
from tests.router.api.client import PUBLIC_URL, number_path

pytestmark = pytest.mark.anyio

OWN_SID, OWN_TOKEN = "AC" + "0e" * 16, "token-of-the-agencys-own-account"
OWN_NUMBER = "+442079460123"
VOICE_URL = f"{PUBLIC_URL}/webhooks/twilio/voice"


@pytest.fixture
async def own_number(sandbox):
    """A number in an account of the agency's own, pointing elsewhere and behind a trunk."""
    account = sandbox.state.twilio.add_account(OWN_SID, OWN_TOKEN)
    number = sandbox.state.twilio.add_number(account, OWN_NUMBER, voice_url="https://old.example/voice")
    number["trunk_sid"] = "TK" + "0" * 32
    return number


@pytest.fixture
async def agency(api, own_number):
    agency = await api.new_agency()
    await api.put(f"{agency.path}/keys/twilio", {"account_sid": own_number["account_sid"], "auth_token": OWN_TOKEN})
    return agency


def asking(client, e164=OWN_NUMBER, account="agency"):
    return {"e164": e164, "client_id": client["id"], "account": account}


async def test_taking_over_a_number_points_the_carrier_at_us_before_the_answer(api, agency, own_number, services):
    client = await api.new_client(agency, personal_phone="+442079460999", routing={"on_failure": "ring_through"})
    taken = await api.post(f"{agency.path}/numbers", asking(client), token=agency.token)
    assert taken == {
        "e164": OWN_NUMBER,
        "client_id": client["id"],
        "carrier": "twilio",
        "account_sid": OWN_SID,
        "account": "agency",
        "voice_url": VOICE_URL,
        "fallback_url": taken["fallback_url"],
        "status_url": f"{PUBLIC_URL}/webhooks/twilio/status",
        "registrations": {},
        "state": "active",
        "fallback": "ok",
        "drift": None,
        "checked_at": None,
        "problems": [],
    }
    assert own_number["voice_url"] == VOICE_URL
    assert own_number["voice_fallback_url"] == taken["fallback_url"]
    assert own_number["status_callback"] == taken["status_url"]
    assert own_number["voice_method"] == own_number["voice_fallback_method"] == "POST"
    assert not own_number["trunk_sid"]
    fallback = open_fallback(services.fallback_keyring, taken["fallback_url"].partition("?t=")[2])
    assert (fallback.number, fallback.phone, fallback.client_id) == (OWN_NUMBER, "+442079460999", client["id"])
    assert await api.get(number_path(agency, OWN_NUMBER)) == taken
    assert await api.get(f"{agency.path}/numbers/{OWN_NUMBER}") == taken
    assert (await api.get(f"{agency.path}/numbers"))["items"] == [taken]


async def test_the_operator_takes_over_a_number_of_the_platforms_account_and_an_agency_cannot(api, agency):
    client = await api.new_client(agency)
    body = asking(client, NUMBERS[0], "platform")
    problem = await api.refusal("POST", f"{agency.path}/numbers", body, token=agency.token)
    assert (problem.status, problem.fields) == (422, ("account",))
    taken = await api.post(f"{agency.path}/numbers", body)
    assert (taken["account_sid"], taken["state"]) == (ACCOUNT_SID, "active")


async def test_a_number_that_is_not_in_the_account_is_not_taken_over(api, agency):
    client = await api.new_client(agency)
    problem = await api.refusal("POST", f"{agency.path}/numbers", asking(client, NUMBERS[0]))
    assert (problem.status, problem.name) == (422, "number-not-found")
    assert (await api.get(f"{agency.path}/numbers"))["items"] == []


async def test_without_a_twilio_account_there_is_nothing_to_take_over(api):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    assert (await api.refusal("POST", f"{agency.path}/numbers", asking(client))).name == "no-key"


async def test_a_number_that_somebody_has_is_a_conflict(api, agency):
    other = await api.new_agency("Other")
    await api.post(f"{other.path}/numbers", asking(await api.new_client(other), NUMBERS[0], "platform"))
    client = await api.new_client(agency)
    for _ in range(2):
        problem = await api.refusal("POST", f"{agency.path}/numbers", asking(client, NUMBERS[0], "platform"))
        assert (problem.status, problem.name) == (409, "conflict")


async def test_of_several_simultaneous_requests_one_gets_the_number(api, agency, own_number):
    client = await api.new_client(agency)
    asked = [api.send("POST", f"{agency.path}/numbers", asking(client)) for _ in range(4)]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    (taken,) = (await api.get(f"{agency.path}/numbers"))["items"]
    assert own_number["voice_fallback_url"] == taken["fallback_url"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"e164": "020 7946 0123"}, "e164"),
        ({"account": "mine"}, "account"),
        ({"client_id": "client_nobody"}, "client_id"),
        ({"client_id": 7}, "client_id"),
        ({"label": "main"}, "label"),
    ],
)
async def test_a_wrong_field_is_named(api, agency, change, field):
    client = await api.new_client(agency)
    problem = await api.refusal("POST", f"{agency.path}/numbers", asking(client) | change)
    assert (problem.status, problem.name, problem.fields) == (422, "invalid", (field,))


async def test_an_owners_phone_is_not_taken_over(api, agency):
    client = await api.new_client(agency, personal_phone=OWN_NUMBER)
    assert (await api.refusal("POST", f"{agency.path}/numbers", asking(client))).fields == ("e164",)


async def test_a_carrier_that_fails_leaves_the_number_free(api, agency, sandbox):
    client = await api.new_client(agency)
    sandbox.state.faults.set("twilio", "500")
    problem = await api.refusal("POST", f"{agency.path}/numbers", asking(client))
    assert (problem.status, problem.name) == (503, "provider-unreachable")
    sandbox.state.faults.clear()
    await api.post(f"{agency.path}/numbers", asking(client))


async def test_a_carrier_that_fails_half_way_leaves_the_number_free(api, agency, sandbox):
    client = await api.new_client(agency)
    number = sandbox.state.twilio.accounts[OWN_SID].number_called(OWN_NUMBER)
    held = number["sid"]
    number["sid"] = "PN" + "9" * 32  # found by the search under an id that its own address does not know
    assert (await api.refusal("POST", f"{agency.path}/numbers", asking(client))).name == "provider-unreachable"
    assert (await api.get(f"{agency.path}/numbers"))["items"] == []
    number["sid"] = held
    await api.post(f"{agency.path}/numbers", asking(client))


async def test_a_number_that_a_crash_left_half_way_can_be_taken_over_a_minute_later(api, agency, services, clock):
    client = await api.new_client(agency)
    await api.post(f"{agency.path}/numbers", asking(client))
    await services.database.settings.execute("UPDATE numbers SET state = 'pending'")
    assert (await api.refusal("POST", f"{agency.path}/numbers", asking(client))).status == 409
    clock.move(seconds=61)
    assert (await api.post(f"{agency.path}/numbers", asking(client)))["state"] == "active"


async def test_a_revoked_token_is_called_that(api, agency, sandbox):
    client = await api.new_client(agency)
    sandbox.state.twilio.accounts[OWN_SID].auth_token = "rotated"
    problem = await api.refusal("POST", f"{agency.path}/numbers", asking(client))
    assert (problem.status, problem.name) == (422, "key-rejected")


async def test_a_number_is_given_to_another_client_with_its_fallback(api, agency, own_number, services):
    first = await api.new_client(agency, personal_phone="+442079460001", routing={"on_failure": "ring_through"})
    second = await api.new_client(agency, personal_phone="+442079460002", routing={"on_failure": "ring_through"})
    await api.post(f"{agency.path}/numbers", asking(first))
    path = number_path(agency, OWN_NUMBER)
    moved = await api.patch(path, {"client_id": second["id"]})
    assert (moved["client_id"], moved["fallback"]) == (second["id"], "ok")
    fallback = open_fallback(services.fallback_keyring, own_number["voice_fallback_url"].partition("?t=")[2])
    assert fallback.phone == "+442079460002"
    assert (await api.refusal("PATCH", path, {"client_id": "client_nobody"})).fields == ("client_id",)
    assert (await api.refusal("PATCH", path, {})).fields == ("client_id",)


async def test_a_number_moves_though_the_carrier_cannot_be_told_and_says_so(api, agency, sandbox):
    first, second = await api.new_client(agency), await api.new_client(agency)
    await api.post(f"{agency.path}/numbers", asking(first))
    sandbox.state.faults.set("twilio", "503")
    moved = await api.patch(number_path(agency, OWN_NUMBER), {"client_id": second["id"]})
    assert (moved["client_id"], moved["fallback"]) == (second["id"], "stale")


async def test_a_number_is_not_given_to_another_agencys_client(api, agency):
    await api.post(f"{agency.path}/numbers", asking(await api.new_client(agency)))
    stranger = await api.new_client(await api.new_agency())
    problem = await api.refusal("PATCH", number_path(agency, OWN_NUMBER), {"client_id": stranger["id"]})
    assert problem.fields == ("client_id",)


async def test_letting_go_of_a_number_clears_our_addresses_only(api, agency, own_number):
    await api.post(f"{agency.path}/numbers", asking(await api.new_client(agency)))
    own_number["status_callback"] = "https://agency.example/status"
    path = number_path(agency, OWN_NUMBER)
    await api.delete(path)
    assert (own_number["voice_url"], own_number["voice_fallback_url"]) == ("", "")
    assert own_number["status_callback"] == "https://agency.example/status"
    assert (await api.refusal("DELETE", path)).status == 404


async def test_a_number_that_was_pointed_elsewhere_meanwhile_is_left_as_it_is(api, agency, own_number):
    await api.post(f"{agency.path}/numbers", asking(await api.new_client(agency)))
    own_number["voice_url"] = "https://elsewhere.example/voice"
    await api.delete(number_path(agency, OWN_NUMBER))
    assert own_number["voice_url"] == "https://elsewhere.example/voice"
    assert own_number["voice_fallback_url"]


async def test_a_number_stays_while_the_carrier_cannot_be_asked_and_goes_when_the_account_is_closed(
    api, agency, sandbox
):
    await api.post(f"{agency.path}/numbers", asking(await api.new_client(agency)))
    path = number_path(agency, OWN_NUMBER)
    sandbox.state.faults.set("twilio", "503")
    assert (await api.refusal("DELETE", path)).name == "provider-unreachable"
    assert await api.get(path)
    sandbox.state.faults.clear()
    sandbox.state.twilio.accounts[OWN_SID].status = "closed"
    await api.delete(path)


async def test_registrations_stand_beside_the_number(api, agency):
    await api.post(f"{agency.path}/numbers", asking(await api.new_client(agency)))
    path = number_path(agency, OWN_NUMBER)
    assert await api.put(f"{path}/registrations/vapi", {"remote_id": "pn-1"}) == {"remote_id": "pn-1"}
    bland = await api.put(f"{path}/registrations/bland", {"remote_id": "+15005550199", "mode": "number"})
    assert bland == {"remote_id": "+15005550199", "mode": "number"}
    assert (await api.get(path))["registrations"] == {"vapi": {"remote_id": "pn-1"}, "bland": bland}
    await api.put(f"{path}/registrations/bland", {"remote_id": "+15005550199"})
    assert (await api.get(path))["registrations"]["bland"]["mode"] == "number"


@pytest.mark.parametrize(
    ("provider", "body", "field"),
    [
        ("vapi", {}, "remote_id"),
        ("vapi", {"remote_id": "a/b c"}, "remote_id"),
        ("vapi", {"remote_id": "x", "mode": "sip"}, "mode"),
        ("bland", {"remote_id": "bland-number"}, "remote_id"),
        ("bland", {"remote_id": "+15005550199", "mode": "fax"}, "mode"),
        ("bland", {"remote_id": OWN_NUMBER, "mode": "number"}, "remote_id"),
    ],
)
async def test_a_wrong_registration_is_named(api, agency, provider, body, field):
    await api.post(f"{agency.path}/numbers", asking(await api.new_client(agency)))
    path = f"{number_path(agency, OWN_NUMBER)}/registrations"
    assert (await api.refusal("PUT", f"{path}/{provider}", body)).fields == (field,)


async def test_another_agencys_number_is_registered_and_taken_over_with_the_answer_that_a_strangers_gets(api, agency):
    """Otherwise the answers would tell which numbers are set up here."""
    other = await api.new_agency("Other")
    await api.post(f"{other.path}/numbers", asking(await api.new_client(other), NUMBERS[0], "platform"))
    client = await api.new_client(agency)
    await api.post(f"{agency.path}/numbers", asking(client))
    theirs, nobodys = NUMBERS[0], "+15005550198"

    async def answers(method: str, path: str, body: Callable[[str], Any]) -> list[tuple[int, str]]:
        sent = [await api.send(method, path.format(e164), body(e164), token=agency.token) for e164 in (theirs, nobodys)]
        return [
            (each.status_code, each.text.replace(e164, "…").replace(each.headers.get("x-request-id", "…"), "…"))
            for each, e164 in zip(sent, (theirs, nobodys), strict=True)
        ]

    bland = f"{number_path(agency, OWN_NUMBER)}/registrations/bland"
    registered = await answers("PUT", bland, lambda e164: {"remote_id": e164, "mode": "number"})
    assert registered[0] == registered[1]
    assert registered[0][0] == 200
    for account in ("agency", "platform"):
        refused = await answers("POST", f"{agency.path}/numbers", lambda e164, at=account: asking(client, e164, at))
        assert refused[0] == refused[1]
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/drift")):
        body = {"client_id": client["id"]} if method == "PATCH" else None
        missing = await answers(method, f"{agency.path}/numbers/{{}}{path}", lambda _, body=body: body)
        assert missing[0] == missing[1]


async def test_a_provider_that_needs_no_registration_has_none(api, agency):
    await api.post(f"{agency.path}/numbers", asking(await api.new_client(agency)))
    path = f"{number_path(agency, OWN_NUMBER)}/registrations/retell"
    assert (await api.refusal("PUT", path, {"remote_id": "x"})).status == 404
