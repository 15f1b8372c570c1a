"""The service as a whole: what it serves, under which address, and what it leaves behind when it stops."""

from __future__ import annotations

import asyncpg
import pytest

from adapters.sandbox.carrier import Script
from tests.support.posting import PostedCall, action_of
from tests.support.signed_requests import VOICE, post_signed
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/metrics", "/openapi.json", "/docs"])
async def test_probes_api_and_console_are_served(world: World, path):
    response = await world.http.get(world.urls[0] + path)
    assert response.status_code == 200
    assert response.content


async def test_the_root_redirects_to_the_console(world: World):
    response = await world.http.get(world.urls[0], follow_redirects=True)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/nowhere", "/webhooks/nowhere", "/webhooks/twilio/nowhere"])
async def test_unknown_paths_are_not_found(world: World, path):
    response = await world.http.post(world.urls[0] + path)
    assert response.status_code == 404


async def test_twilio_webhooks_reject_get(world: World):
    response = await world.http.get(world.urls[0] + VOICE)
    assert response.status_code == 405


async def test_it_works_behind_a_path_prefix(database_dsn, tmp_path):
    public = "https://calls.example.com/router"
    async with open_world(database_dsn, tmp_path, public_url=public) as world:
        client = await world.add_client(providers=["retell"])
        form = PostedCall(world, client).parameters
        inside = await post_signed(world, VOICE, form, client.auth_token, signed_url=world.urls[0] + VOICE)
        outside = await post_signed(world, VOICE, form, client.auth_token, signed_url=public + VOICE)
        assert [inside.status_code, outside.status_code] == [403, 200]
        assert action_of(outside.text).startswith("/router/webhooks/twilio/calls/")


async def test_records_are_stored_when_it_stops(database_dsn, tmp_path):
    async with open_world(database_dsn, tmp_path) as world:
        client = await world.add_client(providers=["vapi"])
        timeline = await world.call(client, Script(caller="hangs-up-during-ai"))
    connection = await asyncpg.connect(database_dsn)
    call = await connection.fetchrow("SELECT outcome, ended_at FROM calls WHERE call_sid = $1", timeline.call_sid)
    await connection.close()
    assert call["outcome"] == "ai"
    assert call["ended_at"] is not None


async def test_it_stops_while_a_provider_has_not_answered(database_dsn, tmp_path):
    async with open_world(database_dsn, tmp_path, answer_deadline=3, handoff_timeout=0.3) as world:
        client = await world.add_client(providers=["vapi"])
        world.sandbox.state.faults.set("vapi", "hang")
        timeline = await world.call(client)
    assert timeline.answered_by == "voicemail"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "/livez/",
        "/readyz/",
        "/metrics/",
        "/docs/",
        "/docs/assets",
        "/openapi.json/",
        "/problems/invalid/",
        "/console/",
        "/console/sign-in/",
        "/v1/agencies/",
        "/webhooks/twilio/voice/",
        "/webhooks/vapi/agency_x/",
        "/webhooks/vapi/agency_x/transfer/",
        "/nowhere/",
        "//evil.example.com/",
    ],
)
async def test_a_slash_too_many_leads_nowhere_that_the_request_names(world: World, method: str, path: str):
    response = await world.http.request(method, world.urls[0] + path, headers={"Host": "evil.example.com"})
    assert response.status_code not in (301, 302, 307, 308)
    assert "evil.example.com" not in f"{response.headers}{response.text}"


async def test_twilio_is_served_at_an_address_with_a_slash_too_many(world: World):
    client = await world.add_client(providers=["retell"])
    with_slash = f"{VOICE}/"
    form = PostedCall(world, client).parameters
    answered = await post_signed(world, with_slash, form, client.auth_token)
    assert (answered.status_code, answered.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    action = action_of(answered.text)
    path, _, query = action.partition("?")
    ended = {**form, "DialCallStatus": "completed", "CallStatus": "completed"}
    assert (await post_signed(world, f"{path}/?{query}", ended, client.auth_token)).status_code == 200
    assert (await post_signed(world, "/webhooks/twilio/status/", ended, client.auth_token)).status_code in (200, 204)
    signed_without = await post_signed(world, with_slash, form, client.auth_token, signed_url=world.urls[0] + VOICE)
    assert signed_without.status_code == 403


async def test_the_static_fallback_is_served_at_an_address_with_a_slash_too_many(world: World):
    response = await world.http.post(f"{world.urls[0]}/fallback/voice/?t=unreadable")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/xml; charset=utf-8")
