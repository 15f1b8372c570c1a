"""The whole service: calls go where a client's assistant is, and move with the next call once it is elsewhere."""

from __future__ import annotations

import secrets

import pytest

from tests.support.waiting import wait_until
from tests.support.world import ADMIN_TOKEN, Client, open_world

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

NUMBER = "+14155550100"


@pytest.fixture
async def world(database_dsn, tmp_path):
    async with open_world(database_dsn, tmp_path, jobs=True) as world:
        yield world


async def ask(world, method, path, body=None):
    headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    answer = await world.http.request(method, f"{world.urls[0]}/v1{path}", json=body, headers=headers)
    assert answer.is_success, answer.text
    return answer.json()


async def set_up(world):
    """An agency on its own Twilio account, with a client that has a definition and a number."""
    account = world.sandbox.state.twilio.add_account("AC" + secrets.token_hex(16), secrets.token_hex(16))
    world.sandbox.state.twilio.add_number(account, NUMBER)
    agency = f"/agencies/{(await ask(world, 'POST', '/agencies', {'name': 'Acme Voice'}))['id']}"
    await ask(world, "PUT", f"{agency}/keys/twilio", {"account_sid": account.sid, "auth_token": account.auth_token})
    client = await ask(world, "POST", f"{agency}/clients", {"name": "Acme", "assistant": {"prompt": "You are Acme."}})
    await ask(world, "POST", f"{agency}/numbers", {"e164": NUMBER, "client_id": client["id"], "account": "agency"})
    return agency, Client(agency.rpartition("/")[2], client["id"], NUMBER, account.sid, account.auth_token)


async def save_key(world, agency, provider):
    org = getattr(world.sandbox.state, provider).add_org(f"{provider}-{secrets.token_hex(8)}", "Acme Voice")
    await ask(world, "PUT", f"{agency}/keys/{provider}", {"key": org.key})


async def synced(world, agency, provider):
    return (await ask(world, "GET", f"{agency}/sync/{provider}"))["state"] == "done"


async def taken_by(world, client):
    call = await world.find_call(await world.call(client))
    return call["outcome"], call["provider"]


async def assistant_at(world, agency, client, provider):
    shown = (await ask(world, "GET", f"{agency}/clients/{client.client_id}/assistants"))["items"]
    return next(one for one in shown if one["provider"] == provider)


async def reasons(world, timeline):
    return [reason for event, _, reason in await world.events(timeline) if event.startswith("handoff.") and reason]


@pytest.mark.parametrize("provider", ["vapi", "retell"])
async def test_a_call_that_finds_the_assistant_deleted_has_it_put_there_again(world, provider):
    agency, client = await set_up(world)
    await save_key(world, agency, provider)
    await wait_until(lambda: synced(world, agency, provider))
    for _ in range(2):
        assert await taken_by(world, client) == ("ai", provider)
        before = (await assistant_at(world, agency, client, provider))["remote_id"]
        (org,) = getattr(world.sandbox.state, provider).orgs
        del (org.assistants if provider == "vapi" else org.agents)[before]
        assert await taken_by(world, client) == ("voicemail", None)

        async def is_back(before=before):
            there = await assistant_at(world, agency, client, provider)
            return there["state"] == "synced" and there["remote_id"] != before

        await wait_until(is_back)
    assert await taken_by(world, client) == ("ai", provider)


async def test_a_call_that_finds_the_linked_assistant_deleted_says_so_from_then_on(world):
    agency, client = await set_up(world)
    await save_key(world, agency, "vapi")
    await wait_until(lambda: synced(world, agency, "vapi"))
    (org,) = world.sandbox.state.vapi.orgs
    linked = world.sandbox.state.vapi.add_assistant(org)
    path = f"{agency}/clients/{client.client_id}/assistants/vapi"
    await ask(world, "PUT", path, {"remote_id": linked})
    assert await taken_by(world, client) == ("ai", "vapi")
    del org.assistants[linked]
    assert await reasons(world, await world.call(client)) == ["bad_request"]

    async def is_gone():
        return (await assistant_at(world, agency, client, "vapi"))["state"] == "gone"

    await wait_until(is_gone)
    asked = world.asked("vapi")
    assert await reasons(world, await world.call(client)) == ["assistant_gone"]
    assert world.asked("vapi") == asked
    (rung, *_) = (await ask(world, "GET", f"{agency}/explain?to=%2B{client.number[1:]}"))["rungs"]
    assert (rung["step"], rung["reason"], rung["would_take"]) == ("ai", "assistant_gone", False)


async def test_each_call_goes_to_the_newest_provider_that_has_the_assistant(world):
    agency, client = await set_up(world)
    former = ("voicemail", None)
    for provider in ("retell", "vapi", "bland"):
        await save_key(world, agency, provider)
        assert await taken_by(world, client) in {former, ("ai", provider)}  # where it was, or there already
        await wait_until(lambda: synced(world, agency, provider))  # noqa: B023 - waited for at once
        former = ("ai", provider)
        assert await taken_by(world, client) == former
    await ask(world, "PATCH", agency, {"active_provider": "retell"})
    assert await taken_by(world, client) == ("ai", "retell")
