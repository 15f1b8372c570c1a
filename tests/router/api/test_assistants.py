from __future__ import annotations

import pytest

pytestmark = pytest.mark.anyio


async def test_a_client_without_links_is_missing_everywhere(api):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    missing = {"remote_id": None, "state": "missing", "error": None, "lost": []}
    listed = await api.get(f"{agency.path}/clients/{client['id']}/assistants")
    assert listed["items"] == [{"provider": name} | missing for name in ("vapi", "retell", "bland", "elevenlabs")]


async def test_an_assistant_that_exists_at_a_provider_is_linked_relinked_and_unlinked(api, captured_events):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    path = f"{agency.path}/clients/{client['id']}/assistants"
    linked = await api.put(f"{path}/retell", {"remote_id": "agent_1"}, token=agency.token)
    lost = ["events", "transfer"]
    assert linked == {"provider": "retell", "remote_id": "agent_1", "state": "linked", "error": None, "lost": lost}
    assert (await api.get(path))["items"][1] == linked
    again = await api.put(f"{path}/retell", {"remote_id": "agent_2", "manage": []})
    assert again == linked | {"remote_id": "agent_2"}
    await api.delete(f"{path}/retell")
    assert (await api.get(path))["items"][1]["state"] == "missing"
    assert (await api.refusal("DELETE", f"{path}/retell")).status == 404
    assert captured_events.named("assistant.synced")[0]["client_id"] == client["id"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"manage": []}, "remote_id"),
        ({"remote_id": "", "manage": []}, "remote_id"),
        ({"remote_id": "a b", "manage": []}, "remote_id"),
        ({"remote_id": "a", "manage": ["prompt"]}, "manage.0"),
        ({"remote_id": "a", "manage": ["webhook", "webhook"]}, "manage"),
    ],
)
async def test_a_wrong_link_is_named(api, body, field):
    agency = await api.new_agency()
    client = await api.new_client(agency)
    problem = await api.refusal("PUT", f"{agency.path}/clients/{client['id']}/assistants/vapi", body)
    assert problem.fields == (field,)


async def test_another_agencys_client_cannot_be_linked_or_seen(api):
    mine, theirs = await api.new_agency(), await api.new_agency()
    client = await api.new_client(theirs)
    path = f"{mine.path}/clients/{client['id']}/assistants"
    body = {"remote_id": "a", "manage": []}
    assert (await api.refusal("PUT", f"{path}/vapi", body, token=mine.token)).status == 404
    assert (await api.refusal("GET", path, token=mine.token)).status == 404
    await api.put(f"{theirs.path}/clients/{client['id']}/assistants/vapi", body)
    assert (await api.refusal("DELETE", f"{path}/vapi", token=mine.token)).status == 404
