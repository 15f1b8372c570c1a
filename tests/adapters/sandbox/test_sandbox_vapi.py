from __future__ import annotations

import uuid
from xml.etree import ElementTree as ET

import httpx
import pytest

from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.vapi.numbers import INBOUND_URL, STATUS_URL
from adapters.sandbox.world import DemoWorld

pytestmark = pytest.mark.anyio

INVALID_KEY = "Invalid Key. Hot tip, you may be using the private key instead of the public key, or vice versa."


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def bypass(world: DemoWorld, **changes: object) -> dict[str, object]:
    call = {
        "phoneNumberId": world.vapi.registration,
        "phoneCallProviderBypassEnabled": True,
        "customer": {"number": "+15550001111"},
        "assistantId": world.vapi.assistant_id,
        "assistantOverrides": {"variableValues": {"business": "Acme"}, "metadata": {"call_id": "call_1"}},
    }
    return call | changes


async def place(client: httpx.AsyncClient, world: DemoWorld, **changes: object) -> httpx.Response:
    return await client.post("/vapi/call", headers=bearer(world.vapi.key), json=bypass(world, **changes))


def twiml_of(answer: dict) -> ET.Element:
    return ET.fromstring(answer["phoneCallProviderDetails"]["twiml"])  # noqa: S314  the sandbox's own


def stream_of(answer: dict) -> tuple[str, dict[str, str]]:
    stream = twiml_of(answer).find("Connect/Stream")
    return stream.attrib["url"], {item.attrib["name"]: item.attrib["value"] for item in stream.findall("Parameter")}


async def test_a_bypass_call_brings_twiml_for_a_stream_that_is_answered_once(client, box: RunningSandbox, world):
    response = await place(client, world)
    answer = response.json()
    url, parameters = stream_of(answer)

    assert response.status_code == 201
    assert answer["subscriptionLimits"]["concurrencyBlocked"] is False
    first = box.state.answer_leg("stream", url, parameters)
    assert (first.result, first.provider, first.provider_call_id) == ("answered", "vapi", answer["id"])
    assert box.state.answer_leg("stream", url, parameters).result == "rejected"


async def test_a_stream_that_lost_a_parameter_is_not_answered(client, box, world):
    url, parameters = stream_of((await place(client, world)).json())

    leg = box.state.answer_leg("stream", url, {"region": parameters["region"]})

    assert (leg.result, leg.sip_code) == ("rejected", 403)
    assert "callToken" in leg.reason


@pytest.mark.parametrize("mended", [lambda url: url.replace("wss:", "ws:"), lambda url: f"{url}?a=b"])
async def test_a_stream_is_wss_and_has_no_query(client, box, world, mended):
    url, parameters = stream_of((await place(client, world)).json())

    assert box.state.answer_leg("stream", mended(url), parameters).sip_code == 403


async def test_the_stream_of_a_call_that_was_never_created_is_rejected(box):
    leg = box.state.answer_leg("stream", f"wss://api.vapi.ai/{uuid.uuid4()}/transport", {})

    assert (leg.result, leg.sip_code) == ("rejected", 404)


async def test_a_deleted_call_is_gone(client, box, world):
    answer = (await place(client, world)).json()

    deleted = await client.delete(f"/vapi/call/{answer['id']}", headers=bearer(world.vapi.key))

    assert deleted.status_code == 200
    assert box.state.answer_leg("stream", *stream_of(answer)).result == "rejected"


async def test_a_call_over_the_limit_says_so_and_its_stream_is_not_answered(client, box, world):
    box.state.vapi.orgs.of(world.vapi.key).concurrency_used = 10

    answer = (await place(client, world)).json()

    assert answer["subscriptionLimits"]["concurrencyBlocked"] is True
    assert box.state.answer_leg("stream", *stream_of(answer)).sip_code == 480


async def test_an_org_may_be_served_by_sip(client, box, world):
    box.state.vapi.orgs.of(world.vapi.key).handoff_form = "sip"

    answer = (await place(client, world)).json()
    uri = twiml_of(answer).findtext("Dial/Sip")

    assert box.state.answer_leg("sip", uri).provider_call_id == answer["id"]


async def test_without_the_bypass_there_is_no_twiml(client, world):
    answer = (await place(client, world, phoneCallProviderBypassEnabled=False)).json()

    assert "phoneCallProviderDetails" not in answer


async def test_an_unknown_key_gets_the_hot_tip(client):
    response = await client.get("/vapi/assistant?limit=1", headers=bearer("nobody's"))

    assert (response.status_code, response.json()["message"]) == (401, INVALID_KEY)


async def test_a_wallet_without_money_is_a_400_in_words(client, world):
    broke = world.broke[0]
    call = bypass(world, phoneNumberId=broke.registration, assistantId=broke.assistant_id)

    response = await client.post("/vapi/call", headers=bearer(broke.key), json=call)

    assert response.status_code == 400
    assert "Wallet" in response.json()["message"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"customer": {"number": "anonymous"}}, "E.164"),
        ({"customer": {}}, "customer.number"),
        ({"customer": None}, "customer must be an object"),
        ({"customer": {"number": "+15550001111", "name": "x" * 41}}, "customer.name"),
        ({"metadata": {"a": 1}}, "property metadata should not exist"),
        ({"assistantId": "front-desk"}, "assistantId must be a UUID"),
        ({"assistantOverrides": {"metadata": "a"}}, "assistantOverrides.metadata must be an object"),
        ({"assistantOverrides": {"variables": {}}}, "assistantOverrides.property variables should not exist"),
        ({"name": "x" * 41}, "name must be shorter"),
    ],
)
async def test_a_call_of_the_wrong_shape_is_refused_with_a_list(client, world, changes, complaint):
    response = await place(client, world, **changes)

    assert (response.status_code, response.json()["error"]) == (400, "Bad Request")
    assert complaint in "; ".join(response.json()["message"])


async def test_a_withheld_caller_passes_when_the_check_is_off(client, world):
    customer = {"number": "anonymous", "numberE164CheckEnabled": False}

    assert (await place(client, world, customer=customer)).status_code == 201


@pytest.mark.parametrize("field", ["assistantId", "phoneNumberId"])
async def test_what_belongs_to_another_org_does_not_exist(client, box, world, field):
    other = box.state.vapi.add_org()
    foreign = {
        "assistantId": box.state.vapi.add_assistant(other),
        "phoneNumberId": box.state.vapi.add_phone_number(other, "+15005550177"),
    }

    response = await place(client, world, **{field: foreign[field]})

    assert response.status_code == 400
    assert "Does Not Exist" in response.json()["message"]


async def test_an_import_points_the_twilio_number_at_vapi(client, box, world):
    account = box.state.twilio.add_account()
    number = box.state.twilio.add_number(account, "+15005550155", voice_url="https://router.example/voice")
    body = {"provider": "twilio", "number": "+15005550155", "twilioAccountSid": account.sid}

    refused = await client.post("/vapi/phone-number", headers=bearer(world.vapi.key), json=body)
    wrong = await client.post(
        "/vapi/phone-number", headers=bearer(world.vapi.key), json=body | {"twilioAuthToken": "wrong"}
    )
    assert (refused.status_code, wrong.status_code, number["voice_url"]) == (400, 400, "https://router.example/voice")

    imported = await client.post(
        "/vapi/phone-number", headers=bearer(world.vapi.key), json=body | {"twilioAuthToken": account.auth_token}
    )
    assert imported.status_code == 201
    assert (number["voice_url"], number["status_callback"]) == (INBOUND_URL, STATUS_URL)


async def test_an_assistant_lives_and_dies(client, world):
    headers = bearer(world.vapi.key)
    created = (await client.post("/vapi/assistant", headers=headers, json={"name": "Night desk"})).json()
    address = f"/vapi/assistant/{created['id']}"

    changed = await client.patch(address, headers=headers, json={"firstMessage": "Good evening"})
    assert changed.json()["firstMessage"] == "Good evening"
    assert (await client.get(address, headers=headers)).json()["name"] == "Night desk"
    assert (await client.delete(address, headers=headers)).status_code == 200
    assert (await client.get(address, headers=headers)).status_code == 404


async def test_a_rotated_key_keeps_the_org_and_the_old_one_is_refused(client, box, world):
    box.state.vapi.orgs.rotate(world.vapi.key, "a-new-key")

    assert (await place(client, world)).status_code == 401
    assert (await client.post("/vapi/call", headers=bearer("a-new-key"), json=bypass(world))).status_code == 201
