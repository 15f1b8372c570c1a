"""Switching providers: the plan, the switch, the way back, and what is left over."""

from __future__ import annotations

import pytest

from tests.router.assistants.conftest import DEFINITION
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


def actions(plan):
    return {item["client_name"]: item["action"] for item in plan["items"]}


@pytest.mark.usefixtures("working")
async def test_a_plan_says_what_a_switch_would_do_to_each_client_and_does_nothing(bench, captured_events):
    agency = await bench.agency("vapi")
    await bench.client(agency, name="New", assistant=DEFINITION | {"voicemail_detection": True})
    linked = await bench.client(agency, name="Linked")
    await bench.api.new_client(agency, name="Without")
    await bench.client(agency, name="Own", provider="vapi")
    agent = bench.sandbox.state.retell.add_assistant(bench.org("retell"))
    await bench.save_key(agency, "retell", activate=False)
    await bench.api.put(f"{agency.path}/clients/{linked['id']}/assistants/retell", {"remote_id": agent})
    await bench.wait(agency, "retell")
    await bench.wait(agency, "vapi")
    asked = len(bench.asked("bland"))
    plan = await bench.api.get(f"{agency.path}/plan", params={"provider": "bland"})
    assert actions(plan) == {"New": "create", "Linked": "create", "Without": "none", "Own": "create"}
    by_name = {item["client_name"]: item for item in plan["items"]}
    assert by_name["New"]["lost"] == ["voicemail_detection"]
    assert by_name["Own"]["reason"] == "The client uses Vapi as its own provider; this one stands by."
    assert (plan["provider"], plan["orphans"], plan["staying_behind"]) == ("bland", [], [])
    plan = await bench.api.get(f"{agency.path}/plan", params={"provider": "retell"}, token=agency.token)
    assert actions(plan) == {"New": "keep", "Linked": "keep", "Without": "none", "Own": "keep"}
    assert {item["client_name"]: item["lost"] for item in plan["items"]}["Linked"] == ["events", "transfer"]
    assert (await bench.api.get(agency.path))["active_provider"] == "vapi"
    assert len(bench.asked("bland")) == asked
    assert "request.failed" not in captured_events.names()


async def test_a_plan_shows_what_is_outdated_what_exists_already_and_what_no_call_would_reach(bench):
    agency = await bench.agency("vapi")
    outdated = await bench.client(agency, name="Outdated")
    lost = await bench.client(agency, name="Lost and found")
    async with bench.jobs():
        await bench.wait(agency, "vapi")
        await bench.save_key(agency, "retell", activate=False)
        await bench.wait(agency, "retell")
    await bench.api.patch(f"{agency.path}/clients/{outdated['id']}", {"assistant": DEFINITION | {"greeting": "New."}})
    await bench.services.database.settings.execute(
        "UPDATE assistants SET remote_id = NULL, parts = '{}', state = 'pending', usable = false "
        "WHERE client_id = $1 AND provider = 'retell'",
        lost["id"],
    )
    plan = await bench.api.get(f"{agency.path}/plan", params={"provider": "retell"})
    assert actions(plan) == {"Outdated": "update", "Lost and found": "adopt"}
    assert plan["orphans"] == []
    await bench.api.patch(agency.path, {"fallback_providers": []})
    orphans = (await bench.api.get(f"{agency.path}/plan", params={"provider": "retell"}))["orphans"]
    assert [(one["provider"], one["client_id"]) for one in orphans] == [("vapi", outdated["id"]), ("vapi", lost["id"])]
    async with bench.jobs():
        await bench.wait(agency, "retell")
    assert len(bench.assistants_at("retell")) == 2


async def test_a_plan_is_for_a_provider_that_there_is(bench):
    agency = await bench.agency()
    for params in ({}, {"provider": "other"}):
        problem = await bench.api.refusal("GET", f"{agency.path}/plan", params=params)
        assert (problem.name, problem.fields) == ("invalid", ("provider",))
    plan = await bench.api.get(f"{agency.path}/plan", params={"provider": "vapi"})
    assert plan == {"provider": "vapi", "items": [], "orphans": [], "staying_behind": []}


@pytest.mark.usefixtures("working")
async def test_a_switch_can_be_reverted_at_once_because_the_former_assistants_stay(bench):
    agency = await bench.agency("vapi", clients=2)
    await bench.wait(agency, "vapi")
    there = {each["id"] for each in bench.assistants_at("vapi")}
    await bench.save_key(agency, "retell")
    await bench.wait(agency, "retell")
    asked = len(bench.asked("vapi"))
    await bench.api.patch(agency.path, {"active_provider": "vapi"})
    assert (await bench.progress(agency, "vapi"))["state"] == "done"
    assert {each["id"] for each in bench.assistants_at("vapi")} == there
    assert len(bench.asked("vapi")) == asked


@pytest.mark.usefixtures("working")
async def test_activating_a_provider_puts_there_only_what_is_missing_or_outdated(bench):
    agency = await bench.agency("vapi", clients=2)
    await bench.save_key(agency, "retell")
    await bench.wait(agency, "retell")
    await bench.wait(agency, "vapi")
    await bench.api.delete(f"{agency.path}/assistants/vapi")
    await wait_until(lambda: not bench.assistants_at("vapi"))
    newcomer = await bench.client(agency)
    await bench.wait(agency, "retell")
    assert (await bench.row(agency, newcomer, "vapi"))["state"] == "missing"  # no assistant is wanted there
    agents = bench.assistants_at("retell")
    asked = len(bench.asked("retell"))
    await bench.api.patch(agency.path, {"active_provider": "vapi"})
    assert (await bench.wait(agency, "vapi"))["done"] == 3
    assert (len(bench.assistants_at("vapi")), bench.assistants_at("retell")) == (3, agents)
    assert len(bench.asked("retell")) == asked


async def test_assistants_are_not_deleted_where_calls_go_first(bench):
    agency = await bench.agency("vapi", "retell")
    client = await bench.client(agency, name="Bella", provider="retell")
    for provider, word in (("vapi", "active"), ("retell", "Bella")):
        problem = await bench.api.refusal("DELETE", f"{agency.path}/assistants/{provider}")
        assert (problem.status, problem.name) == (409, "conflict")
        assert word in problem.detail
    assert (await bench.api.refusal("DELETE", f"{agency.path}/assistants/bland")).name == "no-key"
    await bench.api.patch(f"{agency.path}/clients/{client['id']}", {"provider": None})
    await bench.api.delete(f"{agency.path}/assistants/retell")
    await bench.api.delete(f"{agency.path}/assistants/retell")
    audit = (await bench.api.get(f"{agency.path}/audit"))["items"]
    assert [entry["target"] for entry in audit if entry["action"] == "assistants.deleted"] == ["retell", "retell"]


@pytest.mark.usefixtures("working")
async def test_a_client_with_a_provider_of_its_own_has_its_assistant_there(bench):
    agency = await bench.agency("vapi")
    await bench.save_key(agency, "retell", activate=False)
    await bench.wait(agency, "vapi", "idle")
    await bench.api.patch(agency.path, {"fallback_providers": []})
    plain, own = await bench.client(agency), await bench.client(agency, provider="retell")
    await bench.wait(agency, "vapi", "idle")
    assert (await bench.row(agency, plain, "vapi"))["state"] == "synced"
    await wait_until(lambda: bench.assistants_at("retell"))
    assert (await bench.row(agency, own, "vapi"))["state"] == "missing"
    await bench.api.patch(f"{agency.path}/clients/{plain['id']}", {"provider": "retell"})
    await wait_until(lambda: len(bench.assistants_at("retell")) == 2)


@pytest.mark.usefixtures("working")
async def test_a_deleted_agency_leaves_no_assistants_at_its_providers(bench, captured_events):
    agency = await bench.agency("vapi", "retell", clients=2)
    await bench.wait(agency, "vapi")
    await bench.wait(agency, "retell")
    await bench.api.delete(agency.path)
    assert bench.assistants_at("vapi") == bench.assistants_at("retell") == []
    assert len(captured_events.named("assistant.removed")) == 4


@pytest.mark.usefixtures("working")
async def test_an_agency_can_be_deleted_while_a_provider_is_away(bench, monkeypatch):
    monkeypatch.setattr("router.tenants.agencies._REMOVE_SECONDS", 0.5)
    agency = await bench.agency("vapi", clients=1)
    await bench.wait(agency, "vapi")
    bench.fault("vapi", "hang")
    await bench.api.delete(agency.path)
    assert (await bench.api.refusal("GET", agency.path)).status == 404


async def test_without_a_key_nothing_is_pending_and_nothing_can_be_retried(bench):
    agency = await bench.agency("vapi", clients=2)
    await bench.api.delete(f"{agency.path}/keys/vapi")
    progress = await bench.progress(agency, "vapi")
    assert (progress["state"], progress["failed"]) == ("failed", 2)
    assert (await bench.api.refusal("POST", f"{agency.path}/sync/vapi")).name == "no-key"


@pytest.mark.usefixtures("working")
async def test_when_a_key_is_deleted_the_next_provider_is_given_what_is_missing_there(bench):
    agency = await bench.agency("retell", "vapi", clients=1)
    await bench.wait(agency, "vapi")
    await bench.wait(agency, "retell")
    await bench.api.patch(agency.path, {"fallback_providers": []})
    client = await bench.client(agency)
    await bench.wait(agency, "retell")
    await bench.api.delete(f"{agency.path}/keys/retell")
    await bench.wait(agency, "vapi")
    assert (await bench.row(agency, client, "vapi"))["state"] == "synced"


async def test_providers_can_be_compared_by_anybody_with_a_token(bench):
    agency = await bench.agency()
    offers = (await bench.api.get("/v1/providers", token=agency.token))["items"]
    assert [offer["name"] for offer in offers] == ["vapi", "retell", "bland", "elevenlabs"]
    for offer in offers:
        for feature in ("functions", "knowledge", "transfer", "voicemail_detection", "languages", "greeting", "voice"):
            assert offer["features"][feature] in {"yes", "partly", "no"}
    assert (await bench.api.refusal("GET", "/v1/providers", token="nonsense")).status == 401


async def test_another_agencys_syncs_are_not_seen(bench):
    mine, theirs = await bench.agency(), await bench.agency("vapi")
    for method, path in (
        ("GET", "plan?provider=vapi"),
        ("GET", "sync/vapi"),
        ("POST", "sync/vapi"),
        ("DELETE", "assistants/vapi"),
    ):
        response = await bench.api.http.request(
            method, f"{theirs.path}/{path}", headers={"authorization": f"Bearer {mine.token}"}
        )
        assert response.status_code == 404
