"""Assistants that people made at a provider: looked at before they are linked, and left alone but for what we may set."""

from __future__ import annotations

import json

import pytest

from tests.support.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


async def test_what_does_not_exist_or_was_never_published_is_not_linked(bench):
    agency = await bench.agency("vapi", "retell")
    client = await bench.api.new_client(agency)
    draft = bench.sandbox.state.retell.add_assistant(bench.org("retell"), published=False)
    path = f"{agency.path}/clients/{client['id']}/assistants"
    for provider, remote_id in (("vapi", "fa62bf3d-0000-4000-8000-000000000000"), ("retell", draft)):
        problem = await bench.api.refusal("PUT", f"{path}/{provider}", {"remote_id": remote_id})
        assert (problem.status, problem.fields) == (422, ("remote_id",))
        assert (await bench.row(agency, client, provider))["state"] == "missing"


@pytest.mark.parametrize(("fault", "status"), [("503", 503), ("reset", 503), ("401", 422)])
async def test_a_provider_that_cannot_be_asked_or_refuses_the_key_is_told_apart(bench, fault, status):
    agency = await bench.agency("vapi")
    client = await bench.api.new_client(agency)
    remote_id = bench.sandbox.state.vapi.add_assistant(bench.org("vapi"))
    bench.fault("vapi", fault)
    path = f"{agency.path}/clients/{client['id']}/assistants/vapi"
    problem = await bench.api.refusal("PUT", path, {"remote_id": remote_id})
    assert problem.status == status
    assert problem.name == ("key-rejected" if status == 422 else "provider-unreachable")


async def test_a_linked_assistant_is_left_alone_and_what_it_does_without_is_said(bench):
    agency = await bench.agency("vapi")
    client = await bench.client(agency)
    remote_id = bench.sandbox.state.vapi.add_assistant(bench.org("vapi"))
    before = json.dumps(bench.org("vapi").assistants[remote_id])
    linked = await bench.api.put(f"{agency.path}/clients/{client['id']}/assistants/vapi", {"remote_id": remote_id})
    assert (linked["state"], linked["lost"]) == ("linked", ["events", "transfer"])
    async with bench.jobs():
        await bench.api.patch(f"{agency.path}/clients/{client['id']}", {"assistant": {"prompt": "Something else."}})
        await bench.save_key(agency, "vapi")
        await wait_until(lambda: idle(bench))
    assert json.dumps(bench.org("vapi").assistants[remote_id]) == before
    assert len(bench.assistants_at("vapi")) == 1


async def idle(bench):
    return not await bench.services.database.settings.fetchval("SELECT count(*) FROM pgqueuer")


async def test_what_we_may_manage_is_set_at_once_and_again_when_our_address_changes(bench):
    agency = await bench.agency("vapi")
    client = await bench.api.new_client(agency)
    org = bench.org("vapi")
    remote_id = bench.sandbox.state.vapi.add_assistant(org)
    path = f"{agency.path}/clients/{client['id']}/assistants/vapi"
    linked = await bench.api.put(path, {"remote_id": remote_id, "manage": ["webhook"]})
    assert linked["lost"] == ["transfer"]
    first = (await bench.api.get(f"{agency.path}/keys/vapi"))["webhook_url"]
    assert org.assistants[remote_id]["server"]["url"] == first
    await bench.api.delete(f"{agency.path}/keys/vapi")
    async with bench.jobs():
        second = (await bench.save_key(agency, "vapi"))["webhook_url"]
        assert second != first
        await wait_until(lambda: org.assistants[remote_id]["server"]["url"] == second)
    assert (await bench.row(agency, client, "vapi"))["state"] == "linked"


async def test_setting_something_takes_a_key(bench):
    agency = await bench.agency()
    client = await bench.api.new_client(agency)
    path = f"{agency.path}/clients/{client['id']}/assistants/vapi"
    assert (await bench.api.refusal("PUT", path, {"remote_id": "a", "manage": ["webhook"]})).name == "no-key"


@pytest.mark.usefixtures("working")
async def test_linking_takes_the_place_of_our_own_and_unlinking_brings_it_back(bench):
    agency = await bench.agency("vapi")
    client = await bench.client(agency)
    await bench.wait(agency, "vapi")
    remote_id = bench.sandbox.state.vapi.add_assistant(bench.org("vapi"))
    path = f"{agency.path}/clients/{client['id']}/assistants/vapi"
    await bench.api.put(path, {"remote_id": remote_id})
    await wait_until(lambda: list(bench.org("vapi").assistants) == [remote_id])
    await bench.api.delete(path)
    await bench.wait(agency, "vapi")
    assert (await bench.row(agency, client, "vapi"))["state"] == "synced"
    assert len(bench.assistants_at("vapi")) == 2
    assert (await bench.api.refusal("DELETE", path)).status == 404


@pytest.mark.usefixtures("working")
async def test_linking_our_own_copy_does_not_delete_it(bench):
    agency = await bench.agency("vapi")
    client = await bench.client(agency)
    await bench.wait(agency, "vapi")
    ours = (await bench.row(agency, client, "vapi"))["remote_id"]
    await bench.api.put(f"{agency.path}/clients/{client['id']}/assistants/vapi", {"remote_id": ours})
    await wait_until(lambda: idle(bench))
    assert list(bench.org("vapi").assistants) == [ours]
