"""From a purchase over the API to a caller who talks to the client's assistant, on the subaccount of the agency."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.world import ADMIN_TOKEN, Client, World, open_world

pytestmark = pytest.mark.anyio

OWNER = "+14155550188"


async def send(world: World, method: str, path: str, body: Any = None) -> Any:
    headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    answer = await world.http.request(method, f"{world.urls[0]}{path}", json=body, headers=headers)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


async def buy(world: World) -> Client:
    """An agency without a Twilio account buys a number; its assistant at Retell is linked."""
    key = "key_of_the_agency_0001"
    agent = world.sandbox.state.retell.add_assistant(world.sandbox.state.retell.add_org(key, "Agency", balance=10.0))
    agency = (await send(world, "POST", "/v1/agencies", {"name": "Agency"}))["id"]
    body = {"name": "Acme Plumbing", "personal_phone": OWNER, "routing": {"on_failure": "ring_through"}}
    client = (await send(world, "POST", f"/v1/agencies/{agency}/clients", body))["id"]
    await send(world, "PUT", f"/v1/agencies/{agency}/keys/retell", {"key": key})
    link = {"remote_id": agent, "manage": []}
    await send(world, "PUT", f"/v1/agencies/{agency}/clients/{client}/assistants/retell", link)
    order = {"country": "US", "client_id": client, "carrier": "twilio"}
    number = await send(world, "POST", f"/v1/agencies/{agency}/numbers", order)
    account = world.sandbox.state.twilio.accounts[number["account_sid"]]
    assert account.parent == world.account_sid
    return Client(agency, client, number["e164"], account.sid, account.auth_token, {"retell": key})


async def test_a_call_to_a_bought_number_reaches_the_clients_assistant(database_dsn, tmp_path):
    async with open_world(database_dsn, tmp_path) as world:
        client = await buy(world)
        timeline = await world.call(client)
        call = await world.find_call(timeline)
        assert (call["outcome"], call["provider"], call["account_sid"]) == ("ai", "retell", client.account_sid)
        world.sandbox.state.faults.set("retell", "503")
        timeline = await world.call(client)
        assert (await world.find_call(timeline))["outcome"] in ("owner", "voicemail")


async def test_the_main_accounts_signature_is_no_proof_for_a_subaccounts_number(database_dsn, tmp_path):
    async with open_world(database_dsn, tmp_path) as world:
        client = await buy(world)
        client.auth_token = world.auth_token
        await world.call(client)
        assert world.asked("retell") == 0
        assert await world.db.fetchval("SELECT count(*) FROM calls") == 0
