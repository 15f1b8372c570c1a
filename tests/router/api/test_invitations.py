"""Invitations over the API."""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest

from router.tenants import invitations, tokens
from tests.support.log_capture import CapturedEvents

pytestmark = pytest.mark.anyio


async def test_the_link_is_shown_once_and_stored_as_a_hash(api, services, captured_events: CapturedEvents):
    agency = await api.new_agency()
    path = f"{agency.path}/invitations"
    headers = {"Idempotency-Key": "once"}
    made, again = [
        await api.post(path, {"name": "Anna", "role": "read"}, token=agency.token, headers=headers) for _ in range(2)
    ]
    secret = parse_qs(urlsplit(made["url"]).query)["t"][0]
    assert (again["url"], made["until"], made["expires_at"]) == (made["url"], "2026-03-03T12:00:00Z", None)
    row = await services.database.settings.fetchrow("SELECT hash, invitations::text AS text FROM invitations")
    assert row["hash"] == hashlib.sha256(secret.encode()).digest()
    for place in (row["text"], str(await api.get(path, token=agency.token)), captured_events.text()):
        assert secret not in place
    assert (await api.refusal("GET", agency.path, token=secret)).status == 401


async def test_an_invitation_is_bound_as_the_token_that_makes_it_is(api, monkeypatch):
    agency, other = await api.new_agency(), await api.new_agency()
    path = f"{agency.path}/invitations"
    soon, later = "2026-03-05T12:00:00Z", "2026-03-06T12:00:00Z"
    maker = await api.post(f"{agency.path}/tokens", {"name": "Guest", "expires_at": soon})
    reader = await api.post(f"{agency.path}/tokens", {"name": "Reader", "role": "read"})
    made = await api.post(path, {"name": "Anna"}, token=maker["token"])
    assert made["expires_at"] == soon
    refused = await api.refusal("POST", path, {"name": "Anna", "expires_at": later}, token=maker["token"])
    assert refused.fields == ("expires_at",)
    assert (await api.refusal("POST", path, {"name": "Anna"}, token=reader["token"])).status == 403
    foreign = f"{other.path}/invitations/{made['id']}"
    assert (await api.refusal("DELETE", foreign, token=other.token)).status == 404
    monkeypatch.setattr(invitations, "MOST_OPEN", 1)
    assert (await api.refusal("POST", path, {"name": "Ben"}, token=agency.token)).status == 409


async def test_an_invitation_that_has_run_out_takes_no_place_of_a_token(api, clock, monkeypatch):
    agency = await api.new_agency()
    await api.post(f"{agency.path}/invitations", {"name": "Anna"}, token=agency.token)
    monkeypatch.setattr(tokens, "MOST_OF_AGENCY", 2)
    assert (await api.refusal("POST", f"{agency.path}/tokens", {"name": "Ben"}, token=agency.token)).status == 409
    clock.move(days=1)
    await api.post(f"{agency.path}/tokens", {"name": "Ben"}, token=agency.token)
