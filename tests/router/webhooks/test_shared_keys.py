"""Requests that a webhook rule of the Twilio account has signed with a shared key instead of the account's token."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.sandbox.carrier import Quirks, SharedKey
from router.store.sealed import webhook_secret_context
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.signed_requests import VOICE, call_form, count_writes, post_signed
from tests.support.waiting import wait_until
from tests.support.world import ADMIN_TOKEN, Client, World, open_world

__all__ = ["captured_events"]

pytestmark = pytest.mark.anyio

SETTINGS = "X-Twilio-Webhooks-Signature-Settings"
SHARED = SharedKey("sh4red-canary-6d1f0b93c2a7")
OTHER = SharedKey("0ther-canary-8e20b1d4f5c9", id="webhooks_sharedkey_2")


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world


async def save_shared_keys(world: World, client: Client, *keys: SharedKey) -> None:
    """With the newest version of the agency's Twilio key."""
    version = await world.db.fetchval(
        "SELECT max(version) FROM keys WHERE agency_id = $1 AND kind = 'twilio'", client.agency_id
    )
    await world.db.execute(
        """
        UPDATE keys SET webhook_sealed = $3, shared_key_ids = $4
         WHERE agency_id = $1 AND kind = 'twilio' AND version = $2
        """,
        client.agency_id,
        version,
        world.keyring.seal(
            json.dumps({key.id: key.secret for key in keys}),
            *webhook_secret_context(client.agency_id, "twilio", version),
        ),
        [key.id for key in keys],
    )


async def key_of(world: World, client: Client) -> dict[str, Any]:
    reply = await world.http.get(
        f"{world.urls[0]}/v1/agencies/{client.agency_id}/keys/twilio",
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
    )
    found: dict[str, Any] = reply.json()
    return found


@pytest.mark.parametrize("algorithm", ["HMAC_SHA256", "HMAC_SHA1"])
async def test_a_call_signed_with_the_saved_shared_key_goes_its_way(world: World, algorithm):
    client = await world.add_client(own_account=True)
    await save_shared_keys(world, client, SHARED)
    timeline = await world.call(client, quirks=Quirks(shared_key=SharedKey(SHARED.secret, algorithm)))
    assert (timeline.answered_by, timeline.failures) == ("ai", [])
    assert (await world.find_ended_call(timeline))["outcome"] == "ai"


async def test_while_shared_keys_are_rotated_both_prove(world: World):
    client = await world.add_client(own_account=True)
    await save_shared_keys(world, client, SHARED)
    await world.save_key(client.agency_id, "twilio", client.auth_token, account_sid=client.account_sid)
    await save_shared_keys(world, client, SharedKey("the-next-shared-key"))
    for secret in (SHARED.secret, "the-next-shared-key"):
        timeline = await world.call(client, quirks=Quirks(shared_key=SharedKey(secret)))
        assert timeline.answered_by == "ai"


async def test_of_several_shared_keys_the_one_that_the_request_names_proves_it(world: World):
    client = await world.add_client(own_account=True)
    await save_shared_keys(world, client, SHARED, OTHER)
    for key in (SHARED, OTHER):
        assert (await world.call(client, quirks=Quirks(shared_key=key))).answered_by == "ai"
    swapped = SharedKey(OTHER.secret, id=SHARED.id)
    assert (await world.call(client, quirks=Quirks(shared_key=swapped))).answered_by != "ai"


async def test_without_a_rule_the_token_still_signs(world: World):
    client = await world.add_client(own_account=True)
    await save_shared_keys(world, client, SHARED)
    assert (await world.call(client)).answered_by == "ai"


@pytest.mark.parametrize("saved", [None, SharedKey("another-shared-key"), SharedKey(SHARED.secret, id="another")])
async def test_a_shared_key_that_is_not_saved_is_named_in_log_and_key_until_it_is(
    world: World, captured_events: CapturedEvents, saved
):
    client = await world.add_client(own_account=True)
    await world.set_alert_email(client, "alerts@example.com")
    if saved is not None:
        await save_shared_keys(world, client, saved)
    before = await count_writes(world)
    await world.call(client, quirks=Quirks(shared_key=SHARED))
    assert await count_writes(world) == before
    assert {line["reason"] for line in captured_events.named("webhook.rejected")} == {"unknown_shared_key"}
    await wait_until(lambda: captured_events.named("key.failing"))
    line = captured_events.only("key.failing")
    assert (line["agency_id"], line["reason"]) == (client.agency_id, "unknown_shared_key")
    key = await key_of(world, client)
    assert key["status"] == "failing"
    assert "shared key" in key["problem"]
    assert SHARED.secret not in captured_events.text()

    await save_shared_keys(world, client, SHARED)
    assert (await world.call(client, quirks=Quirks(shared_key=SHARED))).answered_by == "ai"

    async def works() -> bool:
        return bool((await key_of(world, client))["status"] == "valid")

    await wait_until(works)


async def test_forged_requests_mark_no_key(world: World, captured_events: CapturedEvents):
    """Twilio does not know the call that they name."""
    client = await world.add_client(own_account=True)
    account, form = f"/2010-04-01/Accounts/{client.account_sid}", call_form(client)
    for _ in range(4):
        refused = await post_signed(world, VOICE, form, "forged", headers={SETTINGS: "key=webhooks_sharedkey_1"})
        assert refused.status_code == 403
        assert "shared key" in refused.text
    await wait_until(lambda: world.sandbox.state.requests_to("twilio", f"{account}/Calls/{form['CallSid']}.json"))
    assert captured_events.named("key.failing") == []
    assert (await key_of(world, client))["status"] == "valid"


@pytest.mark.parametrize("settings", ["key=k,algorithm=HMAC_SHA512", "algorithm=none", "key=k,algorithm=HMAC_MD5"])
async def test_an_algorithm_that_we_do_not_know_is_refused_whatever_signed(
    world: World, captured_events: CapturedEvents, settings
):
    client = await world.add_client(own_account=True)
    await save_shared_keys(world, client, SHARED)
    refused = await post_signed(world, VOICE, call_form(client), SHARED.secret, headers={SETTINGS: settings})
    assert refused.status_code == 403
    assert captured_events.only("webhook.rejected")["reason"] == "unknown_algorithm"


@pytest.mark.parametrize("settings", ["", "key=k", "key=k,algorithm=HMAC_SHA256", ",,=,", "algorithm"])
async def test_the_header_alone_proves_nothing(world: World, settings):
    client = await world.add_client(own_account=True)
    await save_shared_keys(world, client, SHARED)
    for secret in ("", "forged", client.agency_id):
        refused = await post_signed(world, VOICE, call_form(client), secret, headers={SETTINGS: settings})
        assert refused.status_code == 403


async def test_the_platforms_account_signs_with_the_shared_key_of_the_settings(
    database_dsn, tmp_path, captured_events: CapturedEvents
):
    async with open_world(
        database_dsn, tmp_path, twilio_shared_keys=SecretStr(f"another:0ther,{SHARED.id}:{SHARED.secret}")
    ) as world:
        client = await world.add_client()
        assert (await world.call(client, quirks=Quirks(shared_key=SHARED))).answered_by == "ai"
        assert (await world.call(client)).answered_by == "ai"
        await world.call(client, quirks=Quirks(shared_key=SharedKey(SHARED.secret, id="another")))
        await wait_until(lambda: captured_events.named("settings.warning"))
        line = captured_events.only("settings.warning")
        assert line["setting"] == "CALLROUTER_TWILIO_SHARED_KEYS"
        assert world.account_sid in line["message"]
