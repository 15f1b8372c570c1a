"""Webhook addresses that are replaced, and from when on a provider's signature is required."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.support.provider_reports import TAKEN, end_report
from tests.support.provider_samples import as_sent, proof
from tests.support.world import ADMIN_TOKEN, PROVIDERS, Client, World

pytestmark = pytest.mark.anyio

HOUR = 3600


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world


async def add_client(world: World, **facts: Any) -> Client:
    """Its keys are versions that the service counts on from."""
    client = await world.add_client(**facts)
    count = "INSERT INTO key_versions SELECT agency_id, kind, max(version) FROM keys WHERE agency_id = $1 GROUP BY 1, 2"
    await world.db.execute(count, client.agency_id)
    return client


async def ask(world: World, method: str, client: Client, path: str, body: Any = None) -> Any:
    response = await world.http.request(
        method,
        f"{world.urls[0]}/v1/agencies/{client.agency_id}/keys/{path}",
        json=body,
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
    )
    assert response.status_code == 200, response.text
    return response.json()


async def renew(world: World, client: Client, provider: str, **body: Any) -> str:
    """The new token."""
    return token_in(await ask(world, "POST", client, f"{provider}/webhook-token", body or None))


def token_in(shown: dict[str, Any]) -> str:
    return parse_qs(urlsplit(shown["webhook_url"]).query)["token"][0]


async def report(
    world: World, client: Client, provider: str, token: str = "", *, by: str = "address", signed: bool = False
) -> int:
    """The status of a report's answer. `by` header: where Vapi sends the token."""
    body = as_sent(end_report(provider, "call_of_nobody"))
    headers = proof(world, provider, client, body) if signed else {}
    headers |= {"X-Vapi-Secret": token} if by == "header" else {}
    response: httpx.Response = await world.http.post(
        f"{world.urls[0]}/webhooks/{provider}/{client.agency_id}",
        params={"token": token} if by == "address" and token else {},
        content=body,
        headers=headers,
    )
    return response.status_code


@pytest.mark.parametrize(("provider", "by"), [*((provider, "address") for provider in PROVIDERS), ("vapi", "header")])
async def test_a_new_address_works_at_once_and_the_former_ones_for_an_hour(world: World, provider, by):
    client = await add_client(world, providers=[provider])
    first = f"token-{client.agency_id}"
    second = await renew(world, client, provider)
    third = await renew(world, client, provider)
    assert len({first, second, third}) == 3
    for token in (first, second, third):
        assert await report(world, client, provider, token, by=by) == TAKEN[provider]
    world.clock.advance(HOUR + 60)
    answers = [await report(world, client, provider, token, by=by) for token in (first, second, third)]
    assert answers == [401, 401, TAKEN[provider]]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_leaked_address_ends_at_once(world: World, provider):
    client = await add_client(world, providers=[provider])
    first = f"token-{client.agency_id}"
    second = await renew(world, client, provider)
    third = await renew(world, client, provider, compromised=True)
    answers = [await report(world, client, provider, token) for token in (first, second, third)]
    assert answers == [401, 401, TAKEN[provider]]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_leaked_key_takes_the_webhook_address_with_it(world: World, provider):
    client = await add_client(world, providers=[provider])
    former = [f"token-{client.agency_id}", await renew(world, client, provider)]
    kept = await ask(world, "PUT", client, provider, {"key": client.keys[provider]})
    assert token_in(kept) == former[1]
    new = await ask(world, "PUT", client, provider, {"key": client.keys[provider], "compromised": True})
    answers = [await report(world, client, provider, token) for token in (*former, token_in(new))]
    assert answers == [401, 401, TAKEN[provider]]


async def test_one_agencys_renewal_leaves_the_others_alone(world: World):
    client, other = await add_client(world, providers=["vapi"]), await add_client(world, providers=["vapi", "retell"])
    await renew(world, client, "vapi", compromised=True)
    await renew(world, other, "retell", compromised=True)
    assert await report(world, other, "vapi", f"token-{other.agency_id}") == 204


async def test_without_a_key_there_is_no_address_to_renew(world: World):
    client = await add_client(world, providers=["vapi"])
    url = f"{world.urls[0]}/v1/agencies/{client.agency_id}/keys"
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    for kind in ("retell", "twilio"):
        assert (await world.http.post(f"{url}/{kind}/webhook-token", headers=headers)).status_code == 404


async def test_synced_and_managed_assistants_and_native_numbers_are_to_get_the_new_address(world: World):
    client = await add_client(world, providers=["retell"], assistant={"prompt": "You answer the phone."})
    form = "SELECT synced_hash FROM assistants WHERE client_id = $1"
    await world.db.execute(
        "UPDATE assistants SET state = 'synced', synced_hash = 'of the former address' WHERE client_id = $1",
        client.client_id,
    )
    native = "UPDATE numbers SET account = 'provider', carrier = 'retell' WHERE e164 = $1"
    await world.db.execute(native, client.number)
    await renew(world, client, "retell")
    assert await world.db.fetchval(form, client.client_id) == "of the former address"
    assert await world.db.fetchval("SELECT state FROM assistants WHERE client_id = $1", client.client_id) == "pending"
    state = "SELECT fallback_state FROM numbers WHERE e164 = $1"
    assert await world.db.fetchval(state, client.number) == "stale"


async def test_retells_signature_is_required_once_one_has_verified(world: World):
    client = await add_client(world, providers=["retell"])
    token = f"token-{client.agency_id}"
    assert await report(world, client, "retell", token) == 204
    assert (await ask(world, "GET", client, "retell"))["webhooks_signed"] is False
    assert await report(world, client, "retell", token, signed=True) == 204
    assert (await ask(world, "GET", client, "retell"))["webhooks_signed"] is True
    assert await report(world, client, "retell", token) == 401
    assert await report(world, client, "retell", signed=True) == 204


async def test_a_signature_by_another_key_requires_nothing(world: World):
    """Retell signs with the key that has the webhook badge, which may not be the one that the agency saved."""
    client, other = await add_client(world, providers=["retell"]), await add_client(world, providers=["retell"])
    token = f"token-{client.agency_id}"
    body = as_sent(end_report("retell", "call_of_nobody"))
    response = await world.http.post(
        f"{world.urls[0]}/webhooks/retell/{client.agency_id}?token={token}",
        content=body,
        headers=proof(world, "retell", other, body),
    )
    assert response.status_code == 204
    assert await report(world, client, "retell", token) == 204


async def test_with_another_key_the_token_proves_again_until_its_first_signature(world: World):
    client = await add_client(world, providers=["retell"])
    token = f"token-{client.agency_id}"
    await report(world, client, "retell", signed=True)
    assert await report(world, client, "retell", token) == 401
    saved = await ask(world, "PUT", client, "retell", {"key": client.keys["retell"]})
    assert saved["webhooks_signed"] is False
    assert await report(world, client, "retell", token) == 204


async def test_a_webhook_key_that_stays_keeps_the_signature_required(world: World):
    client = await add_client(world, providers=["retell"])
    key, client.keys["retell"] = client.keys["retell"], "key-with-the-webhook-badge"
    token = f"token-{client.agency_id}"
    await ask(world, "PUT", client, "retell", {"key": key, "webhook_key": "key-with-the-webhook-badge"})
    assert await report(world, client, "retell", signed=True) == 204
    assert (await ask(world, "PUT", client, "retell", {"key": key}))["webhooks_signed"] is True
    assert await report(world, client, "retell", token) == 401


@pytest.mark.parametrize("provider", ["vapi", "bland", "elevenlabs"])
async def test_where_not_every_request_is_signed_the_token_goes_on_proving(world: World, provider):
    client = await add_client(world, providers=[provider])
    assert await report(world, client, provider, signed=True) == TAKEN[provider]
    assert await report(world, client, provider, f"token-{client.agency_id}") == TAKEN[provider]
    assert (await ask(world, "GET", client, provider))["webhooks_signed"] is None
