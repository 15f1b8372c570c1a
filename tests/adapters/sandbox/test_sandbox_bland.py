from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest

from adapters.sandbox.world import DemoWorld

pytestmark = pytest.mark.anyio

EDGE = "us2.sip.bland.ai:5061;transport=tls;secure=true"


@pytest.fixture(autouse=True)
def attached(box, world):
    """The number is attached for SIP."""
    box.state.bland.attach(box.state.bland.orgs.of(world.bland.key), world.bland.registration)


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


@pytest.mark.parametrize(("attached", "why"), [(False, "not attached"), (True, "SIP_NOT_ENABLED")])
async def test_sip_is_refused_without_an_attachment_or_where_it_is_not_enabled(client, box, world, attached, why):
    token = (await open_session(client, world)).json()["token"]
    org = box.state.bland.orgs.of(world.bland.key)
    org.attached = {world.bland.registration: "ip"} if attached else {}
    org.sip_enabled = not attached

    leg = box.state.answer_leg("sip", f"sip:{world.bland.registration}@{EDGE}?x-bland-session-id={token}")

    assert (leg.result, leg.sip_code) == ("rejected", 403)
    assert why in leg.reason


async def test_only_imported_numbers_can_be_attached(client, box, world, headers):
    org = box.state.bland.orgs.of(world.bland.key)
    imported = world.numbers[0]
    box.state.bland.import_number(org, box.state.twilio.accounts[world.account_sid], imported)
    body = {"phone_number": imported, "service": "sip", "directions": [{"type": "inbound", "auth_mode": "ip"}]}

    attached = await client.post("/bland/v1/sip/attach", headers=headers, json=body)
    bought = box.state.bland.add_number(org, "+15005550166")
    refused = await client.post("/bland/v1/sip/attach", headers=headers, json=body | {"phone_number": bought})
    shown = [
        (await client.get(f"/bland/v1/sip?phone_number={quote(e164)}", headers=headers)).json()["data"]["inbound"]
        for e164 in (imported, bought)
    ]

    assert attached.json()["data"] == {"configured": [imported], "failed": []}
    assert refused.json()["data"] == {"configured": [], "failed": [bought]}
    assert shown[0]["options"] == {"auth_mode": "ip"}
    assert shown[1] is None


async def test_a_redirected_call_needs_the_key_of_the_account_that_its_number_is_on(box, world):
    org = box.state.bland.orgs.of(world.bland.key)
    e164 = world.numbers[0]
    address = box.state.bland.import_number(org, box.state.twilio.accounts[world.account_sid], e164)

    def redirected(url, to=e164):
        return box.state.answer_leg("redirect", url, {"To": to})

    taken = redirected(f"{address}&router_call_id=call_1")
    assert (taken.result, taken.provider) == ("answered", "bland")
    assert org.calls[taken.provider_call_id]["request_data"]["router_call_id"] == "call_1"
    assert redirected(address.partition("?")[0]).sip_code == 401
    assert redirected(address.replace("enc-", "enc-x")).sip_code == 401
    assert redirected(address, world.numbers[1]).sip_code == 404
    assert redirected(address.replace("server.", "elsewhere.")).sip_code == 404
    org.balance = 0
    assert redirected(address).sip_code == 402


@pytest.mark.parametrize("when", ["at once", "late", "never"])
async def test_an_import_writes_its_address_sooner_or_later(box, world, when):
    account = box.state.twilio.accounts[world.account_sid]
    box.state.bland.numbers.import_writes = when
    org = box.state.bland.orgs.of(world.bland.key)
    address = box.state.bland.import_number(org, account, world.numbers[0])
    at_twilio = account.number_called(world.numbers[0])

    assert (at_twilio["voice_url"] == address) == (when == "at once")
    box.state.bland.numbers.write_late()
    assert (at_twilio["voice_url"] == address) == (when != "never")


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


@pytest.fixture
def headers(world: DemoWorld) -> dict[str, str]:
    return {"authorization": world.bland.key}


async def connect(client: httpx.AsyncClient, headers: dict[str, str], sid: str, token: str) -> httpx.Response:
    return await client.post("/bland/v1/accounts", headers=headers, json={"account_sid": sid, "auth_token": token})


async def test_a_twilio_number_is_uploaded_and_taken_over(client, box, world, headers):
    encrypted_key = (await connect(client, headers, world.account_sid, world.auth_token)).json()["encrypted_key"]
    owned = headers | {"encrypted_key": encrypted_key}
    e164 = world.numbers[0]

    inserted = await client.post("/bland/v1/inbound/insert", headers=owned, json={"numbers": [e164, "+15005550188"]})

    assert inserted.json()["inserted"] == [e164], "the other is not on that account"
    at_twilio = box.state.twilio.accounts[world.account_sid].number_called(e164)
    assert encrypted_key in at_twilio["voice_url"]
    assert world.auth_token not in encrypted_key
    again = await client.post("/bland/v1/inbound/insert", headers=owned, json={"numbers": [e164]})
    assert again.json()["inserted"] == [], "it is there already"

    number = f"/bland/v1/inbound/{quote(e164)}"
    for changing in (headers, headers | {"encrypted_key": "another"}):
        assert (await client.post(number, headers=changing, json={"prompt": "Hello"})).status_code == 400
        assert (await client.post(f"{number}/delete", headers=changing)).status_code == 400
    assert (await client.post(number, headers=owned, json={"prompt": "Hello"})).json()["status"] == "success"
    assert (await client.delete(number, headers=headers)).status_code == 400, "it was not bought there"
    assert (await client.post(f"{number}/delete", headers=owned)).status_code == 200
    assert (await client.get(number, headers=headers)).status_code == 404


async def test_a_number_is_taken_by_one_org_only(client, box, world, headers):
    stranger = box.state.bland.add_org()
    theirs = {"authorization": stranger.key}
    encrypted_key = (await connect(client, theirs, world.account_sid, world.auth_token)).json()["encrypted_key"]
    body = {"numbers": [world.numbers[0]]}
    await client.post("/bland/v1/inbound/insert", headers=theirs | {"encrypted_key": encrypted_key}, json=body)
    foreign = await client.post(
        "/bland/v1/inbound/insert", headers=headers | {"encrypted_key": encrypted_key}, json=body
    )
    assert foreign.status_code == 400, "another org's encrypted key opens nothing"
    own = (await connect(client, headers, world.account_sid, world.auth_token)).json()["encrypted_key"]
    late = await client.post("/bland/v1/inbound/insert", headers=headers | {"encrypted_key": own}, json=body)
    assert late.json()["inserted"] == []


async def test_an_account_is_looked_at_before_it_is_connected(client, box, world, headers):
    account = box.state.twilio.accounts[world.account_sid]
    assert (await connect(client, headers, "AC1", "x")).json()["message"] == "Invalid Account SID"
    assert (await connect(client, headers, account.sid, "x")).json()["message"] == "Invalid Twilio credentials"
    account.status = "suspended"
    suspended = await connect(client, headers, account.sid, account.auth_token)
    assert (suspended.status_code, suspended.json()["message"]) == (400, "Twilio account is not active")


async def test_a_disconnected_account_opens_no_number(client, world, headers):
    encrypted_key = (await connect(client, headers, world.account_sid, world.auth_token)).json()["encrypted_key"]
    owned = headers | {"encrypted_key": encrypted_key}
    assert (await client.post("/bland/v1/accounts/delete", headers=owned)).json() == {"status": "success"}
    assert (await client.post("/bland/v1/accounts/delete", headers=owned)).status_code == 400
    body = {"numbers": [world.numbers[0]]}
    assert (await client.post("/bland/v1/inbound/insert", headers=owned, json=body)).status_code == 400


async def test_a_number_costs_what_it_costs(client, box, world, headers):
    body = {"country_code": "CA", "area_code": "604"}
    bought = await client.post("/bland/numbers/purchase", headers=headers, json=body)
    e164 = bought.json()["phone_number"]
    org = box.state.bland.orgs.of(world.bland.key)
    assert (e164[:5], org.balance) == ("+1604", 10.0)
    assert (await client.post("/bland/numbers/purchase", headers=headers, json=body)).status_code == 402
    assert (await client.post("/bland/v1/inbound/purchase", headers=headers, json=body)).status_code == 404
    wrong = await client.post("/bland/numbers/purchase", headers=headers, json={"country_code": "GB"})
    assert wrong.status_code == 400
    assert (await client.delete(f"/bland/v1/inbound/{quote(e164)}", headers=headers)).status_code == 200
    assert e164 not in org.numbers


@pytest.mark.parametrize(
    "settings",
    [
        {"tools": ["TL-nobody"]},
        {"timezone": "Mars/Olympus"},
        {"language": "english"},
        {"max_duration": 0},
        {"max_duration": "30"},
        {"max_duration": True},
        {"model": "enhanced"},
        {"webhook": "http://insecure.example"},
        {"webhook_events": ["everything"]},
        {"metadata": "text"},
        {"song": "la"},
    ],
)
async def test_settings_that_bland_does_not_know_are_refused(client, world, headers, settings):
    number = f"/bland/v1/inbound/{quote(world.bland.registration)}"
    response = await client.post(number, headers=headers, json={"prompt": "Hello"} | settings)
    assert (response.status_code, response.json()["status"]) == (400, "error")


TOOL = {"name": "book_visit", "description": "Books a visit", "url": "https://acme.example/book", "method": "POST"}


async def test_a_tool_is_listed_used_and_deleted(client, world, headers):
    tool_id = (await client.post("/bland/v1/tools", headers=headers, json=TOOL | {"label": "Book"})).json()["tool_id"]
    (listed,) = (await client.get("/bland/v1/tools", headers=headers)).json()["tools"]
    assert listed == {"tool_id": tool_id, "label": "Book", "public": False, "tool": TOOL}
    number = f"/bland/v1/inbound/{quote(world.bland.registration)}"
    assert (await client.post(number, headers=headers, json={"prompt": "Hello", "tools": [tool_id]})).status_code == 200
    assert (await client.delete(f"/bland/v1/tools/{tool_id}", headers=headers)).status_code == 200
    assert (await client.delete(f"/bland/v1/tools/{tool_id}", headers=headers)).status_code == 404
    broke = {"authorization": world.broke[2].key}
    assert (await client.get("/bland/v1/tools", headers=broke)).json()["tools"] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "record_lead"},
        {"name": ""},
        {"description": ""},
        {"url": "http://acme.example"},
        {"method": "PATCH"},
        {"headers": "x"},
        {"song": "la"},
    ],
)
async def test_a_tool_that_bland_would_refuse_is_refused(client, headers, changes):
    assert (await client.post("/bland/v1/tools", headers=headers, json=TOOL | changes)).status_code == 400


async def test_a_knowledge_base_is_learnt_paged_and_kept_as_deleted(client, box, headers, clock):
    box.state.bland.knowledge.pause = timedelta(seconds=10)
    body = {"type": "text", "name": "Prices", "text": "A visit is $80."}
    learnt = (await client.post("/bland/v1/knowledge/learn", headers=headers, json=body)).json()["data"]
    assert learnt["status"] == "PROCESSING"
    assert (await client.post("/bland/v1/knowledge/learn", headers=headers, json=body)).status_code == 429
    clock.advance(seconds=10)
    assert (await client.post("/bland/v1/knowledge/learn", headers=headers, json=body)).status_code == 200
    second = (await client.get("/bland/v1/knowledge?page=2&limit=1", headers=headers)).json()["data"]
    assert (second["total"], len(second["kbs"]), second["kbs"][0]["id"] != learnt["id"]) == (2, 1, True)
    assert (await client.delete(f"/bland/v1/knowledge/{learnt['id']}", headers=headers)).status_code == 200
    assert (await client.delete(f"/bland/v1/knowledge/{learnt['id']}", headers=headers)).status_code == 404
    listed = (await client.get("/bland/v1/knowledge", headers=headers)).json()["data"]["kbs"]
    assert [base["status"] for base in listed] == ["DELETED", "COMPLETED"]
