from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from adapters.sandbox.world import DemoWorld

pytestmark = pytest.mark.anyio

EDGE = "us2.sip.bland.ai:5061;transport=tls;secure=true"


async def open_session(client: httpx.AsyncClient, world: DemoWorld, **changes: object) -> httpx.Response:
    body = {"phone_number": world.bland.registration, "request_data": {"call_id": "call_1"}}
    return await client.post(
        "/bland/v1/inbound/session", headers={"authorization": world.bland.key}, json=body | changes
    )


async def test_a_session_is_answered_at_the_sip_edge(client, box, world):
    token = (await open_session(client, world)).json()["token"]

    leg = box.state.answer_leg("sip", f"sip:{world.bland.registration}@{EDGE}?x-bland-session-id={token}")

    assert (leg.result, leg.provider) == ("answered", "bland")
    org = box.state.bland.orgs.of(world.bland.key)
    assert org.calls[leg.provider_call_id]["request_data"] == {"call_id": "call_1"}


async def test_the_token_may_come_as_a_header_apart_from_the_address(client, box, world):
    token = (await open_session(client, world)).json()["token"]

    leg = box.state.answer_leg("sip", f"sip:{world.bland.registration}@{EDGE}", {"X-Bland-Session-Id": token})

    assert leg.result == "answered"


@pytest.mark.parametrize(
    ("address", "sip_code"),
    [
        ("sip:{number}@us2.sip.bland.ai:5061;transport=tls?x-bland-session-id={token}", 488),
        ("sip:{number}@us2.sip.bland.ai;transport=tls;secure=true?x-bland-session-id={token}", 480),
        ("sip:{number}@us2.sip.bland.ai:5061;transport=tcp;secure=true?x-bland-session-id={token}", 480),
        ("sip:{number}@us2.sip.bland.ai:5061;transport=tls;secure=true", 403),
        ("sip:{number}@us2.sip.bland.ai:5061;transport=tls;secure=true?x-bland-session-id=other", 403),
        ("sip:+15005550111@us2.sip.bland.ai:5061;transport=tls;secure=true?x-bland-session-id={token}", 404),
        ("tel:{number}", 404),
    ],
)
async def test_a_sip_leg_that_is_not_as_bland_asks_is_refused(client, box, world, address, sip_code):
    token = (await open_session(client, world)).json()["token"]

    leg = box.state.answer_leg("sip", address.format(number=world.bland.registration, token=token))

    assert (leg.result, leg.sip_code) == ("rejected", sip_code)


async def test_a_session_lasts_an_hour(client, box, world, clock):
    token = (await open_session(client, world)).json()["token"]
    clock.advance(hours=1, seconds=1)

    leg = box.state.answer_leg("sip", f"sip:{world.bland.registration}@{EDGE}?x-bland-session-id={token}")

    assert leg.reason == "the session has expired"


async def test_a_session_is_good_for_its_own_number_only(client, box, world):
    org = box.state.bland.orgs.of(world.bland.key)
    other = box.state.bland.add_number(org, "+15005550166")
    token = (await open_session(client, world)).json()["token"]

    assert box.state.answer_leg("sip", f"sip:{other}@{EDGE}?x-bland-session-id={token}").sip_code == 403


async def test_a_number_of_blands_answers_a_plain_call_and_others_do_not(box, world):
    assert box.state.answer_leg("number", world.bland.registration).result == "answered"
    assert box.state.answer_leg("number", "+15005550111").sip_code == 404


async def test_a_number_is_read_with_or_without_its_plus(client, world):
    headers = {"authorization": world.bland.key}
    for written in (quote(world.bland.registration), world.bland.registration[1:], world.bland.registration[2:]):
        response = await client.get(f"/bland/v1/inbound/{written}", headers=headers)
        assert response.json()["phone_number"] == world.bland.registration


async def test_a_pathway_resets_the_prompt(client, world):
    headers = {"authorization": world.bland.key}
    number = f"/bland/v1/inbound/{quote(world.bland.registration)}"

    refused = await client.post(number, headers=headers, json={"voice": "maya"})
    assert (refused.status_code, refused.json()["status"]) == (400, "error")
    await client.post(number, headers=headers, json={"prompt": "You answer for Acme."})
    assert (await client.get(number, headers=headers)).json()["prompt"] == "You answer for Acme."
    await client.post(number, headers=headers, json={"pathway_id": "p1"})
    assert (await client.get(number, headers=headers)).json()["prompt"] is None


async def test_the_key_is_bare_and_refusals_have_two_shapes(client, world):
    for authorization in (f"Bearer {world.bland.key}", "org_nobody", ""):
        response = await client.get("/bland/v1/me", headers={"authorization": authorization})
        assert response.status_code == 401
        assert response.json() == {"data": None, "errors": [{"error": "AUTH_FAILURE", "message": "Unauthorized"}]}
    broke = world.broke[2]
    body = {"phone_number": broke.registration}
    poor = await client.post("/bland/v1/inbound/session", headers={"authorization": broke.key}, json=body)
    assert (poor.status_code, poor.json()) == (402, {"status": "error", "message": "Insufficient balance."})


async def test_the_account_tells_its_balance(client, world):
    for customer, balance in ((world.bland, 25.0), (world.broke[2], 0.0)):
        me = await client.get("/bland/v1/me", headers={"authorization": customer.key})
        assert me.json()["billing"]["current_balance"] == balance


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"phone_number": "+15005550111"}, 404),
        ({"phone_number": "15005550199"}, 400),
        ({"request_data": "text"}, 400),
        ({"metadata": {}}, 400),
    ],
)
async def test_a_session_of_the_wrong_shape_is_refused(client, world, changes, status):
    assert (await open_session(client, world, **changes)).status_code == status
