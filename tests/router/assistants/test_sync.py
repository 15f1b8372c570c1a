"""Saving a key, changing what is said, removing it: what becomes of assistants at real adapters' providers."""

from __future__ import annotations

import pytest

from tests.router.assistants.conftest import DEFINITION, PROVIDERS
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("working")]

HOSTS = tuple(name for name in PROVIDERS if name != "bland")  # where an assistant needs a number


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_saving_a_key_puts_all_the_agencys_assistants_there(bench, provider, captured_events):
    agency = await bench.agency(clients=3)
    await bench.api.new_client(agency, name="No assistant yet")
    saved = await bench.save_key(agency, provider)
    assert saved["sync"] == {"state": "running", "done": 0, "total": 3, "failed": 0}
    progress = await bench.wait(agency, provider)
    assert progress == {
        "provider": provider, "state": "done", "done": 3, "total": 3, "failed": 0, "failures": [],
    }  # fmt: skip
    assert (await bench.api.get(f"{agency.path}/keys/{provider}"))["sync"]["state"] == "done"
    assert len(captured_events.named("assistant.synced")) == 3
    if provider in HOSTS:
        assert len(bench.assistants_at(provider)) == 3


@pytest.mark.parametrize("provider", HOSTS)
async def test_a_new_definition_is_there_soon_and_the_old_one_answers_until_then(bench, provider):
    agency = await bench.agency(provider, clients=0)
    client = await bench.client(agency)
    await bench.wait(agency, provider)
    before = await bench.row(agency, client, provider)
    path = f"{agency.path}/clients/{client['id']}"
    await bench.api.patch(path, {"assistant": DEFINITION | {"greeting": "Acme, good evening."}})
    await bench.wait(agency, provider)
    assert (await bench.row(agency, client, provider))["remote_id"] == before["remote_id"]
    assert "good evening" in str(bench.org(provider))
    assert len(bench.assistants_at(provider)) == 1


@pytest.mark.parametrize("provider", HOSTS)
async def test_a_client_without_a_definition_any_more_and_a_deleted_one_leave_nothing_behind(bench, provider):
    agency = await bench.agency(provider)
    kept, emptied, deleted = [await bench.client(agency) for _ in range(3)]
    await bench.wait(agency, provider)
    await bench.api.patch(f"{agency.path}/clients/{emptied['id']}", {"assistant": None})
    await bench.api.delete(f"{agency.path}/clients/{deleted['id']}")

    await wait_until(lambda: len(bench.assistants_at(provider)) == 1)
    assert (await bench.row(agency, kept, provider))["state"] == "synced"
    assert (await bench.row(agency, emptied, provider))["state"] == "missing"


async def test_what_an_assistant_is_made_of_is_told_and_nothing_else(bench):
    agency = await bench.agency("retell")
    client = await bench.client(agency)
    await bench.wait(agency, "retell")
    asked = len(bench.asked("retell"))
    path = f"{agency.path}/clients/{client['id']}"
    await bench.api.patch(path, {"notify_email": "bella@example.com", "personal_phone": "+14155550188"})
    assert (await bench.progress(agency, "retell"))["state"] == "done"
    hours = {"timezone": "Europe/London", "open": [{"days": ["mon"], "from": "09:00", "to": "17:00"}]}
    await bench.api.patch(path, {"routing": {"hours": hours}})
    await bench.wait(agency, "retell")
    (versions,) = bench.assistants_at("retell")
    assert versions[-1]["timezone"] == "Europe/London"
    assert len(bench.asked("retell")) > asked
    await bench.api.patch(path, {"assistant": DEFINITION | {"languages": ["es-ES"]}})
    await bench.wait(agency, "retell")
    assert "es-ES" in str(bench.assistants_at("retell")[0][-1]["language"])
