"""The providers' webhooks: who is believed, what is noted of a call's end, and once only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import httpx
import pytest

from adapters import registry
from crypto import Secret
from router.store.sealed import webhook_secret_context
from tests.support.provider_reports import TAKEN, end_report
from tests.support.provider_samples import as_sent, proof
from tests.support.signed_requests import VOICE, call_form, post_signed
from tests.support.world import PROVIDERS, Client, World

pytestmark = pytest.mark.anyio

LIMIT = 4 * 1024 * 1024
SIGNING = [one.name for one in registry.PROVIDERS if one.webhooks is not None and one.webhooks.proof != "header"]


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.sandbox.state.requests.clear()
    return shared_world


def token_of(client: Client) -> str:
    return f"token-{client.agency_id}"


async def post(
    world: World, provider: str, agency_id: str, body: bytes, headers: Mapping[str, str] | None = None, query: str = ""
) -> httpx.Response:
    url = f"{world.urls[0]}/webhooks/{provider}/{agency_id}{query}"
    return await world.http.post(url, content=body, headers={"Content-Type": "application/json", **(headers or {})})


async def start_call(world: World, client: Client) -> str:
    """A call that the provider has now: our id of it."""
    form = call_form(client)
    await post_signed(world, VOICE, form, client.auth_token)
    return await world.db.fetchval("SELECT id FROM calls WHERE call_sid = $1", form["CallSid"])


async def said(world: World, call_id: str) -> list[tuple[str, str, str]]:
    """What providers said of a call: event, provider, reason."""
    rows = await world.db.fetch(
        "SELECT event, provider, reason FROM call_events WHERE call_id = $1 AND event LIKE 'ai.%'", call_id
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(("fault", "event"), [(False, "ai.ended"), (True, "ai.failed")])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_proven_report_of_an_end_is_noted_once(world: World, provider, fault, event):
    client = await world.add_client(providers=[provider])
    call_id = await start_call(world, client)
    body = as_sent(end_report(provider, call_id, fault=fault))
    for _ in range(3):
        response = await post(world, provider, client.agency_id, body, proof(world, provider, client, body))
        assert (response.status_code, response.content) == (TAKEN[provider], b"")
    assert [(name, by) for name, by, _ in await said(world, call_id)] == [(event, provider)]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_token_in_the_address_proves_a_report_too(world: World, provider):
    """It is what an agency gives to a provider by hand, for assistants that we only link to."""
    client = await world.add_client(providers=[provider])
    call_id = await start_call(world, client)
    body = as_sent(end_report(provider, call_id))
    response = await post(world, provider, client.agency_id, body, query=f"?token={token_of(client)}")
    assert response.status_code == TAKEN[provider]
    assert len(await said(world, call_id)) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_unproven_report_is_refused(world: World, provider):
    client, other = await world.add_client(providers=[provider]), await world.add_client(providers=[provider])
    call_id = await start_call(world, client)
    body = as_sent(end_report(provider, call_id, fault=True))
    for headers, query in (
        ({}, ""),
        ({}, "?token="),
        ({}, "?token=x"),
        ({}, f"?token={token_of(other)}"),
        ({}, f"?token={token_of(client)[:-1]}"),
        ({}, "?token=%FF%00"),
        (proof(world, provider, other, body), ""),
        ({"Authorization": "Bearer"}, ""),
        ({"Authorization": f"Bearer {client.keys[provider]}"}, ""),
        ({"X-Vapi-Secret": ""}, ""),
        ({"X-Vapi-Secret": "é".encode()}, ""),
        ({"X-Webhook-Signature": "0" * 64, "X-Retell-Signature": f"v=1,d={'0' * 64}"}, ""),
    ):
        assert (await post(world, provider, client.agency_id, body, headers, query)).status_code == 401
    assert await said(world, call_id) == []


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_wrong_tokens_in_an_address_are_limited_and_in_nobodys_way(world: World, provider):
    client, other = await world.add_client(providers=[provider]), await world.add_client(providers=[provider])
    body = as_sent(end_report(provider, await start_call(world, client)))
    statuses = [(await post(world, provider, client.agency_id, body, {}, "?token=x")).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    assert (await post(world, provider, client.agency_id, body, {}, f"?token={token_of(client)}")).status_code < 300
    assert (await post(world, provider, other.agency_id, body, {}, "?token=x")).status_code == 401


@pytest.mark.parametrize("provider", SIGNING)
async def test_a_signature_covers_the_body(world: World, provider):
    client = await world.add_client(providers=[provider])
    call_id = await start_call(world, client)
    body = as_sent(end_report(provider, call_id))
    headers = proof(world, provider, client, body)
    forged = as_sent(end_report(provider, call_id, fault=True))
    assert (await post(world, provider, client.agency_id, forged, headers)).status_code == 401
    assert await said(world, call_id) == []


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_an_old_signature_of_retell_is_refused(world: World, minutes):
    client = await world.add_client(providers=["retell"])
    call_id = await start_call(world, client)
    body = as_sent(end_report("retell", call_id))
    headers = proof(world, "retell", client, body, late=minutes * 60)
    assert (await post(world, "retell", client.agency_id, body, headers)).status_code == 401


async def test_accents_in_a_transcript_do_not_break_a_signature(world: World):
    client = await world.add_client(providers=["retell"])
    call_id = await start_call(world, client)
    report = end_report("retell", call_id)
    report["call"]["transcript"] = "Agent: Grüß Gott! 😀\nUser: čau"
    body = as_sent(report)
    response = await post(world, "retell", client.agency_id, body, proof(world, "retell", client, body))
    assert response.status_code == 204


@pytest.mark.parametrize("provider", SIGNING)
async def test_a_secret_of_its_own_for_webhooks_counts_in_place_of_the_key(world: World, provider):
    client = await world.add_client(providers=[provider])
    call_id = await start_call(world, client)
    sealed = world.keyring.seal(Secret("signing-secret"), *webhook_secret_context(client.agency_id, provider, 1))
    await world.db.execute(
        "UPDATE keys SET webhook_sealed = $3 WHERE agency_id = $1 AND kind = $2", client.agency_id, provider, sealed
    )
    body = as_sent(end_report(provider, call_id))
    by_key = proof(world, provider, client, body)
    client.keys[provider] = "signing-secret"
    by_secret = proof(world, provider, client, body)
    assert (await post(world, provider, client.agency_id, body, by_key)).status_code == 401
    assert (await post(world, provider, client.agency_id, body, by_secret)).status_code == TAKEN[provider]


@pytest.mark.parametrize("provider", SIGNING)
async def test_a_former_key_still_proves_reports_for_a_while(world: World, provider):
    """Calls that started before the key was changed end after it."""
    client = await world.add_client(providers=[provider])
    call_id = await start_call(world, client)
    body = as_sent(end_report(provider, call_id))
    await world.save_key(client.agency_id, provider, "a-new-key")
    assert (
        await post(world, provider, client.agency_id, body, proof(world, provider, client, body))
    ).status_code == TAKEN[provider]
    world.clock.advance(25 * 3600)
    later = proof(world, provider, client, body)
    assert (await post(world, provider, client.agency_id, body, later)).status_code == 401


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_deleted_key_proves_nothing(world: World, provider):
    client = await world.add_client(providers=[provider])
    call_id = await start_call(world, client)
    body = as_sent(end_report(provider, call_id))
    await world.db.execute("DELETE FROM keys WHERE agency_id = $1", client.agency_id)
    response = await post(
        world, provider, client.agency_id, body, proof(world, provider, client, body), f"?token={token_of(client)}"
    )
    assert response.status_code == 401


@pytest.mark.parametrize("agency_id", ["agency_unknown", "x" * 3000, "%00", "😀", "%FF"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_agency_that_is_not_there_is_not_found(world: World, provider, agency_id):
    assert (await post(world, provider, agency_id, b"{}", query="?token=x")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"null",
        b"1",
        b"\xff\xfe",
        b'{"a":',
        b"{}",
        b'{"message":{}}',
        b'{"event":1}',
        b"[" * 100_000,
        b'{"a":NaN}',
    ],
)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_proven_report_that_makes_no_sense_is_unreadable(world: World, provider, body):
    client = await world.add_client(providers=[provider])
    response = await post(world, provider, client.agency_id, body, query=f"?token={token_of(client)}")
    assert response.status_code == 400


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_report_that_is_too_large_is_not_read(world: World, provider):
    client = await world.add_client(providers=[provider])
    for body in (b"x" * (LIMIT + 1), b"[" * 200_001, b'{"call":{},' * 80_000):
        response = await post(world, provider, client.agency_id, body, query=f"?token={token_of(client)}")
        assert response.status_code == 413


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("agency", ["unknown", "without a key", "wrong token"])
async def test_a_body_that_nothing_can_prove_is_not_waited_for(world: World, provider, agency):
    """The answer comes before the body does."""
    client = await world.add_client(providers=[provider] if agency == "wrong token" and provider == "vapi" else [])
    agency_id = "agency_unknown" if agency == "unknown" else client.agency_id
    url = httpx.URL(world.urls[0])
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        f"POST /webhooks/{provider}/{agency_id}?token=x HTTP/1.1\r\nHost: x\r\nContent-Length: {LIMIT}\r\n\r\n".encode()
    )
    async with asyncio.timeout(10):
        status = await reader.readline()
    writer.close()
    assert status.split()[1] == (b"404" if agency == "unknown" else b"401")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_another_agency_s_call_is_not_touched(world: World, provider):
    """The report is proven, by an agency that the call does not belong to."""
    client, other = await world.add_client(providers=[provider]), await world.add_client(providers=[provider])
    call_id = await start_call(world, client)
    body = as_sent(end_report(provider, call_id, fault=True))
    response = await post(world, provider, other.agency_id, body, proof(world, provider, other, body))
    assert response.status_code == TAKEN[provider]
    assert await said(world, call_id) == []


@pytest.mark.parametrize("call_id", ["call_unknown", "", "a\0b", "\ud800", "x" * 100_000, "'; DROP TABLE calls; --"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_report_of_a_call_that_we_do_not_know_is_taken_and_changes_nothing(world: World, provider, call_id):
    client = await world.add_client(providers=[provider])
    body = json.dumps(end_report(provider, call_id)).encode()
    response = await post(world, provider, client.agency_id, body, query=f"?token={token_of(client)}")
    assert response.status_code == TAKEN[provider]
    assert await count_events(world, client) == 0


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_strange_words_for_the_reason_are_kept_as_far_as_they_can_be(world: World, provider):
    client = await world.add_client(providers=[provider])
    call_id = await start_call(world, client)
    report = end_report(provider, call_id)
    strange = "a\0b 😀 \ud800 c" + "x" * 10_000
    if provider == "vapi":
        report["message"]["endedReason"] = strange
    elif provider == "retell":
        report["call"]["disconnection_reason"] = strange
    elif provider == "elevenlabs":
        report["data"]["metadata"]["termination_reason"] = strange
    else:
        report["call_ended_by"] = strange
    response = await post(
        world, provider, client.agency_id, json.dumps(report).encode(), query=f"?token={token_of(client)}"
    )
    assert response.status_code == TAKEN[provider]
    assert [event for event, _, _ in await said(world, call_id)] == ["ai.ended"]


async def count_events(world: World, client: Client) -> int:
    return await world.db.fetchval(
        "SELECT count(*) FROM call_events e JOIN calls c ON c.id = e.call_id WHERE c.agency_id = $1", client.agency_id
    )


@pytest.mark.parametrize("provider", ["twilio", "acme", "%00"])
async def test_a_provider_that_there_is_not_is_not_found(world: World, provider):
    assert (await post(world, provider, "agency_1", b"{}")).status_code == 404


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_only_post_is_answered(world: World, provider):
    client = await world.add_client(providers=[provider])
    response = await world.http.get(
        f"{world.urls[0]}/webhooks/{provider}/{client.agency_id}", params={"token": token_of(client)}
    )
    assert response.status_code == 405
