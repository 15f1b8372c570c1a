"""Failures while assistants are synced: nothing is lost or made twice, and no provider is pressed."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import replace

import pytest

from router.jobs import Again, Job
from router.wanted import SYNC
from tests.router.assistants.conftest import DEFINITION
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

HOSTS = ("vapi", "retell")
OTHER_KEY = {"vapi": "vapi-key-of-another-account-04", "retell": "key_of_another_account_05"}


@pytest.mark.usefixtures("working")
async def test_many_clients_are_synced_through_refusals_that_say_when_to_come_back(bench):
    bench.sandbox.state.requests = deque()  # all of them are looked at in the end
    agency = await bench.agency()
    await bench.many_clients(agency, 30)
    await bench.save_key(agency, "vapi")
    refused_after = []
    for done in (1, 11, 21):

        async def so_far(done: int = done) -> bool:
            return (await bench.progress(agency, "vapi"))["done"] >= done

        await wait_until(so_far)
        refused_after.append(bench.sandbox.state.clock())
        bench.fault("vapi", "429", retry_after=1, times=1)
    await bench.wait(agency, "vapi")
    for at in refused_after:
        refused, next_one, *_ = (asked.at for asked in bench.asked("vapi") if asked.at > at)
        assert (next_one - refused).total_seconds() >= 1
    made = [assistant["metadata"] for assistant in bench.assistants_at("vapi")]
    assert len(made) == len({str(each) for each in made}) == 30


@pytest.mark.usefixtures("working")
async def test_a_paused_key_is_not_used(bench, clock):
    agency = await bench.agency()
    await bench.client(agency)
    bench.fault("vapi", "429", retry_after=600)
    await bench.save_key(agency, "vapi")
    await wait_until(lambda: bench.asked("vapi"))
    bench.fault("vapi", None)
    before = len(bench.asked("vapi"))
    await bench.api.post(f"{agency.path}/sync/vapi", None, status=200)
    await bench.client(agency)
    progress = await bench.progress(agency, "vapi")
    assert (progress["state"], progress["done"], len(bench.asked("vapi"))) == ("running", 0, before)
    clock.advance(601)
    await bench.api.post(f"{agency.path}/sync/vapi", None, status=200)  # or half a minute later by itself
    assert (await bench.wait(agency, "vapi"))["done"] == 2


async def test_a_worker_that_is_killed_leaves_no_second_assistant(bench, clock, external_worker):
    agency = await bench.agency()
    client = await bench.client(agency)
    await bench.save_key(agency, "retell")
    bench.fault("retell", "late", seconds=1)
    worker = await external_worker()
    await wait_until(lambda: bench.assistants_at("retell"))
    worker.kill()
    bench.fault("retell", None)
    assert (await bench.row(agency, client, "retell"))["remote_id"] is None
    clock.advance(130)
    async with bench.jobs():
        await bench.wait(agency, "retell")
    assert len(bench.assistants_at("retell")) == 1
    assert (await bench.row(agency, client, "retell"))["state"] == "synced"


@pytest.mark.usefixtures("working")
async def test_one_clients_mistake_fails_that_client_with_the_providers_words_and_no_other(bench):
    agency = await bench.agency()
    fine = await bench.client(agency)
    broken = await bench.client(agency, assistant=DEFINITION | {"voice": {"vapi": {"provider": "nobody-has-this"}}})
    await bench.save_key(agency, "vapi")
    progress = await bench.wait(agency, "vapi", "failed")
    assert (progress["done"], progress["total"], progress["failed"]) == (1, 2, 1)
    (failure,) = progress["failures"]
    assert (failure["client_id"], failure["client_name"]) == (broken["id"], broken["name"])
    assert failure["error"].startswith("Vapi refused the assistant: ")
    assert (await bench.row(agency, fine, "vapi"))["state"] == "synced"
    asked = len(bench.asked("vapi"))
    await bench.api.patch(f"{agency.path}/clients/{fine['id']}", {"notify_email": "fine@example.com"})
    await bench.client(agency)
    await wait_until(lambda: len(bench.assistants_at("vapi")) == 2)
    assert all(b"nobody-has-this" not in each.raw for each in bench.asked("vapi")[asked:])
    await bench.api.patch(f"{agency.path}/clients/{broken['id']}", {"assistant": DEFINITION})
    assert (await bench.wait(agency, "vapi"))["failures"] == []


@pytest.mark.usefixtures("working")
async def test_a_provider_in_trouble_is_tried_again_until_the_sync_fails_and_is_retried_by_hand(
    bench,
    clock,
):
    agency = await bench.agency()
    client = await bench.client(agency)
    bench.fault("retell", "503")
    await bench.save_key(agency, "retell")
    for attempt in range(1, 7):
        await wait_until(lambda: tried(bench, attempt))  # noqa: B023 - waited for at once
        assert "could not be reached or failed" in (await bench.row(agency, client, "retell"))["error"]
        clock.advance(3600)
        await bench.services.areas.sync_work.nudge_unattended()
    await bench.wait(agency, "retell", "failed")
    bench.fault("retell", None)
    answer = await bench.api.post(f"{agency.path}/sync/retell", None, status=200)
    assert answer["state"] == "running"
    assert (await bench.wait(agency, "retell"))["done"] == 1


async def tried(bench, attempts):
    found = await bench.services.database.settings.fetchrow("SELECT tried, state FROM assistants")
    return found["tried"] >= attempts or found["state"] == "failed"


@pytest.mark.parametrize(("fault", "word"), [("401", "refused the key"), ("402", "no credit")])
@pytest.mark.usefixtures("working")
async def test_a_key_that_stops_working_fails_all_that_wait_at_once_and_a_new_one_mends_it(bench, fault, word):
    agency = await bench.agency(clients=4)
    bench.fault("vapi", fault)
    await bench.save_key(agency, "vapi")
    progress = await bench.wait(agency, "vapi", "failed")
    assert progress["failed"] == 4
    assert all(word in failure["error"] for failure in progress["failures"])
    assert len(bench.asked("vapi")) == 1
    bench.fault("vapi", None)
    await bench.save_key(agency, "vapi")
    assert (await bench.wait(agency, "vapi"))["done"] == 4


@pytest.mark.usefixtures("working")
async def test_when_a_key_works_again_failed_assistants_are_synced(bench, clock, captured_events):
    agency = await bench.agency("vapi")
    bench.sandbox.state.faults.set("vapi", {"fault": "402", "operation": "all"})
    clock.advance(120)
    await bench.client(agency)
    await bench.wait(agency, "vapi", "failed")
    for _ in range(2):  # a bad finding counts once it was found twice
        await bench.services.areas.key_rounds.check_due("vapi")
        clock.advance(120)
    assert (await bench.api.get(f"{agency.path}/keys/vapi"))["status"] == "out_of_credit"
    bench.sandbox.state.faults.clear()
    clock.advance(3600)
    await bench.services.areas.key_rounds.check_due("vapi")
    assert (await bench.wait(agency, "vapi"))["done"] == 1
    assert captured_events.named("key.recovered")


@pytest.mark.parametrize("provider", HOSTS)
@pytest.mark.usefixtures("working")
async def test_a_key_of_another_account_creates_assistants_there_and_the_former_key_finds_the_old_ones(bench, provider):
    agency = await bench.agency(clients=2)
    await bench.save_key(agency, provider)
    await bench.wait(agency, provider)
    await bench.save_key(agency, provider, OTHER_KEY[provider])
    await bench.wait(agency, provider)
    await bench.save_key(agency, provider)
    await bench.wait(agency, provider)
    assert len(bench.assistants_at(provider)) == len(bench.assistants_at(provider, OTHER_KEY[provider])) == 2


@pytest.mark.usefixtures("working")
async def test_a_key_that_is_replaced_during_a_sync_is_the_one_the_work_goes_on_with(bench):
    agency = await bench.agency()
    await bench.many_clients(agency, 10)
    bench.fault("vapi", "late", seconds=1, times=1)
    await bench.save_key(agency, "vapi")
    await wait_until(lambda: bench.asked("vapi"))
    await bench.save_key(agency, "vapi", OTHER_KEY["vapi"])
    await bench.wait(agency, "vapi")
    assert len(bench.assistants_at("vapi", OTHER_KEY["vapi"])) == 10
    assert len(bench.assistants_at("vapi")) <= 1


@pytest.mark.usefixtures("working")
async def test_a_change_made_during_a_sync_is_synced_afterwards(bench):
    agency = await bench.agency("vapi")
    bench.fault("vapi", "late", seconds=2, times=2)
    client = await bench.client(agency)
    await wait_until(lambda: bench.assistants_at("vapi"))
    path = f"{agency.path}/clients/{client['id']}"
    await bench.api.patch(path, {"assistant": DEFINITION | {"greeting": "The newest one."}})
    await bench.wait(agency, "vapi")
    (there,) = bench.assistants_at("vapi")
    assert there["firstMessage"] == "The newest one."


@pytest.mark.parametrize("end", ["deleted", "emptied", "linked"])
@pytest.mark.usefixtures("working")
async def test_what_is_made_for_a_client_who_has_no_place_for_it_any_more_is_deleted(bench, end):
    agency = await bench.agency("vapi")
    mine = bench.sandbox.state.vapi.add_assistant(bench.org("vapi"))
    bench.fault("vapi", "late", seconds=2, times=2)
    client = await bench.client(agency)
    await wait_until(lambda: len(bench.assistants_at("vapi")) == 2)
    bench.fault("vapi", None)
    path = f"{agency.path}/clients/{client['id']}"
    match end:
        case "deleted":
            await bench.api.delete(path)
        case "emptied":
            await bench.api.patch(path, {"assistant": None})
        case "linked":
            await bench.api.put(f"{path}/assistants/vapi", {"remote_id": mine})
    await wait_until(lambda: len(bench.assistants_at("vapi")) == 1)
    assert bench.assistants_at("vapi")[0]["id"] == mine
    await wait_until(lambda: nothing_left(bench))


async def nothing_left(bench):
    return not await bench.services.database.settings.fetchval("SELECT count(*) FROM leftovers")


async def test_a_new_public_address_is_sent_to_the_providers(bench):
    agency = await bench.agency("vapi", clients=1)
    async with bench.jobs():
        await bench.wait(agency, "vapi")
    moved = replace(bench.services, public_url="https://moved.example.com")
    await bench.services.areas.sync_work.compare_all()
    assert (await bench.progress(agency, "vapi"))["state"] == "done"
    await moved.areas.sync_work.compare_all()
    assert (await bench.progress(agency, "vapi"))["state"] == "running"
    with suppress(Again):
        await moved.areas.sync_work.sync_assistants(Job(SYNC, {"agency_id": agency.id, "provider": "vapi"}, 1))
    (there,) = bench.assistants_at("vapi")
    assert there["server"]["url"].startswith("https://moved.example.com/webhooks/vapi/")


async def test_work_whose_job_was_lost_is_found_by_the_clock(bench):
    agency = await bench.agency("retell", clients=1)
    await bench.services.database.settings.execute("DELETE FROM pgqueuer")
    async with bench.jobs():
        await bench.services.areas.sync_work.nudge_unattended()
        await bench.wait(agency, "retell")


@pytest.mark.usefixtures("working")
async def test_neither_key_nor_webhook_token_shows_where_people_or_logs_look(bench, captured_events):
    agency = await bench.agency(clients=2)
    key = "vapi-canary-5e1f0c93b7a2"
    saved = await bench.save_key(agency, "vapi", key)
    token = saved["webhook_url"].rpartition("token=")[2]
    await bench.wait(agency, "vapi")
    bench.fault("vapi", "echo-key")
    client = await bench.client(agency)
    await wait_until(lambda: tried_of(bench, client))
    rows = await bench.services.database.settings.fetch(
        "SELECT a::text AS text FROM assistants a UNION ALL SELECT j::text FROM pgqueuer j UNION ALL "
        "SELECT convert_from(payload, 'UTF8') FROM pgqueuer UNION ALL SELECT l::text FROM pgqueuer_log l"
    )
    shown = [captured_events.text(), str(await bench.progress(agency, "vapi")), *(row["text"] for row in rows)]
    assert not [text for text in shown if key in text or token in text]


async def tried_of(bench, client):
    return await bench.services.database.settings.fetchval(
        "SELECT tried FROM assistants WHERE client_id = $1", client["id"]
    )
