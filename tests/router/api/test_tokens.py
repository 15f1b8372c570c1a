from __future__ import annotations

import base64
import hashlib

import pytest

pytestmark = pytest.mark.anyio


async def test_a_token_is_shown_once_and_opens_its_own_agency(api):
    agency = await api.new_agency()
    made = await api.post(f"{agency.path}/tokens", {"name": "Laptop"})
    assert made.keys() == {"id", "name", "token"}
    assert made["id"].startswith("token_")
    assert len(made["token"]) > 43
    assert (await api.get(agency.path, token=made["token"]))["id"] == agency.id
    listed = (await api.get(f"{agency.path}/tokens"))["items"]
    assert {"id": made["id"], "name": "Laptop", "created_at": "2026-03-02T12:00:00Z"} in listed
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
    await api.delete(f"{agency.path}/tokens/{made['id']}", token=agency.token)
    assert (await api.refusal("GET", agency.path, token=made["token"])).status == 401
    assert await api.get(agency.path, token=agency.token)
    assert (await api.refusal("DELETE", f"{agency.path}/tokens/{made['id']}")).status == 404


async def test_an_agency_cannot_delete_another_agencys_token(api):
    mine, theirs = await api.new_agency(), await api.new_agency()
    (token,) = (await api.get(f"{theirs.path}/tokens"))["items"]
    assert (await api.refusal("DELETE", f"{mine.path}/tokens/{token['id']}", token=mine.token)).status == 404
    assert await api.get(theirs.path, token=theirs.token)


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": 7}])
async def test_a_token_needs_a_name(api, body):
    agency = await api.new_agency()
    assert (await api.refusal("POST", f"{agency.path}/tokens", body)).fields == ("name",)
