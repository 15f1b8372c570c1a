from __future__ import annotations

import base64
import hashlib

import pytest

from adapters.sandbox.world import NUMBERS, VAPI_KEY
from router.errors import NotFoundError
from router.store.changes import Author
from router.tenants import tokens
from tests.router.api.client import number_path

pytestmark = pytest.mark.anyio


async def test_a_token_is_shown_once_and_opens_its_own_agency(api):
    agency = await api.new_agency()
    made = await api.post(f"{agency.path}/tokens", {"name": "Laptop"})
    assert made.keys() == {"id", "name", "role", "expires_at", "token"}
    assert made["id"].startswith("token_")
    assert len(made["token"]) > 43
    assert (await api.get(agency.path, token=made["token"]))["id"] == agency.id
    listed = (await api.get(f"{agency.path}/tokens"))["items"]
    assert {
        "id": made["id"],
        "name": "Laptop",
        "role": "full",
        "expires_at": None,
        "last_used_at": "2026-03-02T12:00:00Z",
        "made_by": "admin",
        "created_at": "2026-03-02T12:00:00Z",
    } in listed
    assert made["token"] not in str(listed)


async def test_only_a_hash_of_the_token_is_stored(api, services):
    agency = await api.new_agency()
    (row,) = await services.database.settings.fetch("SELECT id, hash, tokens::text AS text FROM tokens")
    assert row["hash"] == hashlib.sha256(agency.token.encode()).digest()
    assert agency.token not in row["text"]
    assert base64.b64encode(agency.token.encode()).decode() not in row["text"]


async def test_a_deleted_token_opens_nothing_and_the_others_go_on(api):
    agency = await api.new_agency()
    made = await api.post(f"{agency.path}/tokens", {"name": "Lost phone"}, token=agency.token)
    answer = await api.delete(f"{agency.path}/tokens/{made['id']}", 200, token=agency.token)
    assert answer == {"deleted": [made["id"]], "made": []}
    assert (await api.refusal("GET", agency.path, token=made["token"])).status == 401
    assert await api.get(agency.path, token=agency.token)
    assert (await api.refusal("DELETE", f"{agency.path}/tokens/{made['id']}")).status == 404


async def test_an_agency_cannot_delete_another_agencys_token(api):
    mine, theirs = await api.new_agency(), await api.new_agency()
    (token,) = (await api.get(f"{theirs.path}/tokens"))["items"]
    assert (await api.refusal("DELETE", f"{mine.path}/tokens/{token['id']}", token=mine.token)).status == 404
    assert await api.get(theirs.path, token=theirs.token)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"name": "a", "role": "admin"}, "role"),
        ({"name": "a", "role": None}, "role"),
        ({"name": "a", "expires_at": "2026-03-02T12:00:00Z"}, "expires_at"),  # now
        ({"name": "a", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "a", "expires_at": "2027-01-01T00:00:00"}, "expires_at"),
        ({"name": "a", "expires_at": 4102444800}, "expires_at"),
    ],
)
async def test_what_is_wrong_with_a_new_token_is_named(api, body, field):
    agency = await api.new_agency()
    assert (await api.refusal("POST", f"{agency.path}/tokens", body)).fields == (field,)


async def make(api, agency, token, name="made", **fields):
    return await api.post(f"{agency.path}/tokens", {"name": name, **fields}, token=token)


async def revoke(api, agency, token, **params):
    return await api.delete(f"{agency.path}/tokens/{token['id']}", 200, params=params)


async def test_a_token_gives_access_until_it_expires(api, clock):
    agency = await api.new_agency()
    made = await make(api, agency, agency.token, expires_at="2026-03-02T14:00:00+01:00")
    clock.move(minutes=59)
    assert (await api.get("/v1/token", token=made["token"]))["expires_at"] == "2026-03-02T13:00:00Z"
    clock.move(minutes=1)
    assert (await api.refusal("GET", "/v1/token", token=made["token"])).status == 401
    listed = {one["id"]: one for one in (await api.get(f"{agency.path}/tokens"))["items"]}
    assert listed[made["id"]]["expires_at"] == "2026-03-02T13:00:00Z"


async def test_a_token_makes_none_that_outlives_it(api):
    agency = await api.new_agency()
    short = await make(api, agency, agency.token, expires_at="2026-04-01T00:00:00Z")
    assert (await make(api, agency, short["token"]))["expires_at"] == "2026-04-01T00:00:00Z"
    body = {"name": "longer", "expires_at": "2026-04-01T00:00:01Z"}
    assert (await api.refusal("POST", f"{agency.path}/tokens", body, token=short["token"])).fields == ("expires_at",)


async def test_the_list_says_when_a_token_was_last_used_and_who_made_it(api, clock):
    agency = await api.new_agency()
    made = await make(api, agency, agency.token)

    async def shown():
        listed = {one["id"]: one for one in (await api.get(f"{agency.path}/tokens"))["items"]}
        return listed[made["id"]]

    (first,) = [one for one in (await api.get(f"{agency.path}/tokens"))["items"] if one["id"] != made["id"]]
    assert ((await shown())["last_used_at"], (await shown())["made_by"]) == (None, first["id"])
    clock.move(minutes=5)
    await api.get(agency.path, token=made["token"])
    assert (await shown())["last_used_at"] == "2026-03-02T12:05:00Z"


async def test_revoking_a_token_lists_those_that_it_led_to_and_that_live_on(api, clock):
    agency = await api.new_agency()
    one = await make(api, agency, agency.token, "one")
    two = await make(api, agency, one["token"], "two")
    three = await make(api, agency, two["token"], "three")
    over = await make(api, agency, two["token"], "over", expires_at="2026-03-02T12:01:00Z")
    clock.move(minutes=1)
    answer = await revoke(api, agency, two)
    assert ([made["name"] for made in answer["made"]], answer["deleted"]) == (["three"], [two["id"]])
    answer = await revoke(api, agency, one)
    assert [made["name"] for made in answer["made"]] == ["three"], "through one that is gone"
    assert (await api.get("/v1/token", token=three["token"]))["name"] == three["id"]
    assert over["id"] not in str(answer)


async def test_revoking_a_token_with_those_that_it_led_to(api):
    agency = await api.new_agency()
    one = await make(api, agency, agency.token)
    two = await make(api, agency, one["token"])
    three = await make(api, agency, two["token"])
    sister = await make(api, agency, agency.token)
    answer = await revoke(api, agency, one, made="true")
    assert answer["made"] == []
    assert {*answer["deleted"]} == {one["id"], two["id"], three["id"]}
    for gone in (one, two, three):
        assert (await api.refusal("GET", "/v1/token", token=gone["token"])).status == 401
    assert await api.get("/v1/token", token=sister["token"])
    actions = [(entry["action"], entry["target"]) for entry in (await api.get(f"{agency.path}/audit"))["items"]]
    assert {("token.deleted", gone["id"]) for gone in (one, two, three)} <= {*actions}


async def test_a_token_that_is_being_revoked_makes_no_other(api, services):
    agency = await api.new_agency()
    made = await make(api, agency, agency.token)
    author = Author(made["id"])
    await revoke(api, agency, made)
    with pytest.raises(NotFoundError):
        await services.areas.tokens.create(agency.id, "late", "full", None, author)


async def test_an_agency_has_a_bounded_number_of_tokens(api, monkeypatch):
    monkeypatch.setattr(tokens, "MOST_OF_AGENCY", 2)
    agency = await api.new_agency()
    await make(api, agency, agency.token)
    refused = await api.refusal("POST", f"{agency.path}/tokens", {"name": "third"})
    assert (refused.status, refused.name) == (409, "conflict")


async def test_a_read_token_sees_no_address_that_carries_a_token(api):
    agency = await api.new_agency()
    canary = "hidden-from-readers"
    functions = [
        {
            "name": "book",
            "description": "Books",
            "parameters": {"type": "object"},
            "url": f"https://u:{canary}@book.example/{canary}",
        }
    ]
    assistant = {"prompt": f"See https://help.example/?t={canary} and http://[", "functions": functions}
    client = await api.new_client(agency, assistant=assistant)
    number = {"e164": NUMBERS[0], "client_id": client["id"], "account": "platform"}
    await api.post(f"{agency.path}/numbers", number)
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    url = f"http://127.0.0.1:9/{canary}?token={canary}"
    await api.post(f"{agency.path}/endpoints", {"url": url})
    reading = (await make(api, agency, agency.token, role="read"))["token"]
    paths = [f"{agency.path}/{path}" for path in ("keys", "keys/vapi", "numbers", "endpoints", "clients")]
    paths += [f"{agency.path}/clients/{client['id']}", number_path(agency, NUMBERS[0])]
    for path in paths:
        whole, seen = [str(await api.get(path, token=token)) for token in (agency.token, reading)]
        assert canary in whole or "token=" in whole or "fallback.example.com" in whole
        assert not any(secret in seen for secret in (canary, "token=", "fallback.example.com"))
    seen = await api.get(f"{agency.path}/clients/{client['id']}", token=reading)
    assert seen["assistant"]["functions"][0]["url"] == "https://book.example/…"
    (endpoint,) = (await api.get(f"{agency.path}/endpoints", token=reading))["items"]
    assert endpoint["url"] == "http://127.0.0.1:9"


async def test_a_read_token_reads_and_changes_nothing(api):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    reading = (await make(api, agency, agency.token, role="read"))["token"]
    assert (await api.get("/v1/token", token=reading))["role"] == "read"
    for path in ("", "/clients", f"/clients/{client['id']}", "/keys", "/numbers", "/calls", "/audit", "/tokens"):
        assert await api.get(agency.path + path, token=reading)
    for method, path, body in (
        ("POST", "/tokens", {"name": "mine", "role": "full"}),
        ("PATCH", "", {"name": "Mine"}),
        ("PUT", "/keys/vapi", {"key": "key"}),
        ("DELETE", "/keys/vapi", None),
        ("POST", "/clients", {"name": "Mine"}),
        ("DELETE", f"/clients/{client['id']}", None),
        ("POST", "/endpoints", {"url": "https://example.com"}),
    ):
        refused = await api.refusal(method, agency.path + path, body, token=reading)
        assert (refused.status, refused.name) == (403, "read-only")
    other = await api.new_agency()
    assert (await api.refusal("PATCH", other.path, {"name": "Mine"}, token=reading)).status == 404
    assert (await api.refusal("POST", "/v1/agencies", {"name": "Mine"}, token=reading)).status == 404
