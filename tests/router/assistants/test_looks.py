"""What people do to assistants at the provider itself: they delete them, publish older drafts, and get them suspended."""

from __future__ import annotations

import pytest

from tests.router.api.client import number_path
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300), pytest.mark.usefixtures("working")]

SF, LA = "+14155550100", "+14155550101"
HOSTS = ("vapi", "retell")


def make_one(bench, provider):
    """An assistant that somebody makes at the provider: its id."""
    side, org = getattr(bench.sandbox.state, provider), bench.org(provider)
    match provider:
        case "vapi":
            return side.add_assistant(org, model={"provider": "openai", "model": "gpt-4o", "tools": []})
        case "retell":
            return side.add_assistant(org)
        case _:
            return side.add_number(org, f"+1415556{len(org.numbers) + 1000:04d}")


def shelf(bench, provider):
    org = bench.org(provider)
    return {"vapi": "assistants", "retell": "agents", "bland": "numbers"}[provider], org


def delete(bench, provider, remote_id):
    name, org = shelf(bench, provider)
    return getattr(org, name).pop(remote_id)


def wiring_of(bench, provider, remote_id):
    """Webhook address, and how many tools, of what takes calls."""
    name, org = shelf(bench, provider)
    there = getattr(org, name)[remote_id]
    match provider:
        case "vapi":
            return there.get("server", {}).get("url"), len(there["model"]["tools"])
        case "retell":
            agent = next(one for one in reversed(there) if one["is_published"])
            engine = agent["response_engine"]
            llm = org.llms[engine["llm_id"]][engine["version"]]
            return agent.get("webhook_url"), len(llm.get("general_tools") or [])
        case _:
            return there["webhook"], len(there["tools"])


def publish_older_draft(bench, provider, remote_id):
    """What takes calls is as it was before we set anything."""
    name, org = shelf(bench, provider)
    there = getattr(org, name)[remote_id]
    match provider:
        case "vapi":
            there["server"] = {"url": "https://theirs.example/vapi"}
            there["model"]["tools"] = []
        case "retell":
            first = {**there[0], "version": len(there), "is_published": True}
            there.append(first)
        case _:
            there |= {"webhook": None, "tools": []}


async def look(bench, clock):
    """An hour passes."""
    clock.advance(3601)
    await bench.services.areas.sync_work.nudge_unattended()


async def link(bench, agency, client, provider, manage=()):
    remote_id = make_one(bench, provider)
    path = f"{agency.path}/clients/{client['id']}/assistants/{provider}"
    await bench.api.put(path, {"remote_id": remote_id, "manage": list(manage)})
    return remote_id


async def wait_for_row(bench, agency, client, provider, is_so):
    async def looked():
        return is_so(await bench.row(agency, client, provider))

    await wait_until(looked)
    return await bench.row(agency, client, provider)


@pytest.mark.parametrize("manage", [(), ("webhook", "transfer")], ids=["left alone", "managed"])
@pytest.mark.parametrize("provider", [*HOSTS, "bland"])
async def test_a_linked_assistant_that_is_deleted_is_said_to_be_gone_and_what_to_do(bench, clock, provider, manage):
    agency = await bench.agency(provider)
    client = await bench.client(agency)
    remote_id = await link(bench, agency, client, provider, manage)
    kept = delete(bench, provider, remote_id)
    await look(bench, clock)
    row = await wait_for_row(bench, agency, client, provider, lambda row: row["state"] == "gone")
    assert "does not exist" in row["error"]
    assert "Link another one, or unlink it" in row["error"]
    progress = await bench.progress(agency, provider)
    assert (progress["state"], progress["failed"]) == ("failed", 1)
    (plan,) = (await bench.api.get(f"{agency.path}/plan", params={"provider": provider}))["items"]
    assert (plan["action"], "does not exist" in plan["reason"]) == ("none", True)
    if provider == "bland":  # where nothing else changes what a number says
        getattr(bench.org(provider), shelf(bench, provider)[0])[remote_id] = kept
        await look(bench, clock)
        await wait_for_row(
            bench, agency, client, provider, lambda row: (row["state"], row["error"]) == ("linked", None)
        )
        return
    await bench.api.delete(f"{agency.path}/clients/{client['id']}/assistants/{provider}")
    assert (await bench.wait(agency, provider))["done"] == 1
    assert (await bench.row(agency, client, provider))["state"] == "synced"


@pytest.mark.parametrize("provider", HOSTS)
async def test_a_copy_of_ours_that_is_deleted_is_put_there_again_each_time(bench, clock, provider):
    agency = await bench.agency(provider, clients=1)
    await bench.wait(agency, provider)
    (client,) = (await bench.api.get(f"{agency.path}/clients"))["items"]
    for _ in range(2):
        before = (await bench.row(agency, client, provider))["remote_id"]
        delete(bench, provider, before)
        await look(bench, clock)
        row = await wait_for_row(
            bench,
            agency,
            client,
            provider,
            lambda row: row["state"] == "synced" and row["remote_id"] != before,  # noqa: B023 - waited for at once
        )
        assert row["error"] is None
        assert list(getattr(bench.org(provider), shelf(bench, provider)[0])) == [row["remote_id"]]


@pytest.mark.parametrize("provider", [*HOSTS, "bland"])
async def test_an_older_draft_that_drops_our_webhook_and_transfer_is_repaired(bench, clock, captured_events, provider):
    agency = await bench.agency(provider)
    client = await bench.api.new_client(agency)
    remote_id = await link(bench, agency, client, provider, ["webhook", "transfer"])
    wired = wiring_of(bench, provider, remote_id)
    publish_older_draft(bench, provider, remote_id)
    assert wiring_of(bench, provider, remote_id) != wired
    before = len(captured_events.named("assistant.synced"))
    await look(bench, clock)
    await wait_until(lambda: wiring_of(bench, provider, remote_id) == wired)
    await wait_until(lambda: len(captured_events.named("assistant.synced")) == before + 1)
    asked = len(bench.asked(provider))
    await look(bench, clock)
    await wait_until(lambda: len(bench.asked(provider)) > asked)
    assert (await bench.row(agency, client, provider))["state"] == "linked"
    assert wiring_of(bench, provider, remote_id) == wired


async def test_a_link_that_we_may_not_change_is_only_looked_at(bench, clock):
    agency = await bench.agency("vapi")
    client = await bench.api.new_client(agency)
    remote_id = await link(bench, agency, client, "vapi")
    publish_older_draft(bench, "vapi", remote_id)
    asked = len(bench.asked("vapi"))
    await look(bench, clock)
    await wait_until(lambda: len(bench.asked("vapi")) > asked)
    assert {each.method for each in bench.asked("vapi")[asked:]} == {"GET"}
    assert wiring_of(bench, "vapi", remote_id)[0] == "https://theirs.example/vapi"


async def test_what_cannot_be_repaired_is_told(bench, clock):
    """A function of the agency's own would lose its address."""
    agency = await bench.agency("vapi")
    client = await bench.api.new_client(agency)
    remote_id = await link(bench, agency, client, "vapi", ["webhook"])
    publish_older_draft(bench, "vapi", remote_id)
    tool = {"type": "function", "function": {"name": "book", "parameters": {"type": "object", "properties": {}}}}
    bench.org("vapi").assistants[remote_id]["model"]["tools"] = [tool]
    await look(bench, clock)
    row = await wait_for_row(bench, agency, client, "vapi", lambda row: row["error"] is not None)
    assert (row["state"], "(book)" in row["error"]) == ("linked", True)


async def test_a_suspended_agent_is_told_until_it_is_suspended_no_more(bench, clock):
    agency = await bench.agency("retell")
    client = await bench.api.new_client(agency)
    remote_id = await link(bench, agency, client, "retell")
    bench.org("retell").suspended.add(remote_id)
    await look(bench, clock)
    row = await wait_for_row(bench, agency, client, "retell", lambda row: row["error"] is not None)
    assert (row["state"], "suspended" in row["error"]) == ("linked", True)
    bench.org("retell").suspended.clear()
    await look(bench, clock)
    await wait_for_row(bench, agency, client, "retell", lambda row: row["error"] is None)


@pytest.mark.parametrize("fault", ["503", "reset", "401"])
async def test_a_provider_in_trouble_says_nothing_about_its_assistants(bench, clock, fault):
    agency = await bench.agency("vapi")
    client = await bench.api.new_client(agency)
    await link(bench, agency, client, "vapi")
    bench.fault("vapi", fault)
    asked = len(bench.asked("vapi"))
    await look(bench, clock)
    await wait_until(lambda: len(bench.asked("vapi")) > asked)
    row = await bench.row(agency, client, "vapi")
    assert (row["state"], row["error"]) == ("linked", None)
    bench.fault("vapi", None)
    await look(bench, clock)
    await wait_until(lambda: len(bench.asked("vapi")) > asked + 1)


async def test_a_new_key_of_another_account_shows_at_once_that_a_link_is_gone_and_the_former_that_it_is_back(bench):
    agency = await bench.agency("vapi")
    client = await bench.api.new_client(agency)
    await link(bench, agency, client, "vapi")
    await bench.save_key(agency, "vapi", "vapi-key-of-another-account-04")
    await wait_for_row(bench, agency, client, "vapi", lambda row: row["state"] == "gone")
    await bench.save_key(agency, "vapi")
    await wait_for_row(bench, agency, client, "vapi", lambda row: (row["state"], row["error"]) == ("linked", None))


async def buy(bench, agency, client, e164, **fields):
    return await bench.api.post(
        f"{agency.path}/numbers", {"country": "US", "client_id": client["id"], "e164": e164, **fields}
    )


async def test_one_number_that_cannot_be_registered_fails_neither_the_client_nor_its_other_numbers(bench):
    """Somebody else has it at Bland already."""
    agency = await bench.agency()
    client = await bench.client(agency)
    for e164 in (SF, LA):
        await buy(bench, agency, client, e164)
    other = bench.sandbox.state.bland.add_org("org_of_somebody_else", "Somebody else")
    bench.sandbox.state.bland.add_number(other, SF)
    await bench.save_key(agency, "bland")
    progress = await bench.wait(agency, "bland")
    assert (progress["done"], progress["failed"]) == (1, 0)
    row = await bench.row(agency, client, "bland")
    assert (row["state"], SF in row["error"]) == ("synced", True)
    assert "You answer for Acme." in bench.org("bland").numbers[LA]["prompt"]
    assert SF not in bench.org("bland").numbers
    explained = {
        e164: (await bench.api.get(f"{agency.path}/explain", params={"to": e164}))["rungs"][0]["reason"]
        for e164 in (SF, LA)
    }
    assert explained == {SF: "not_registered", LA: "ready"}
    problems = [(await bench.api.get(number_path(agency, e164)))["problems"] for e164 in (SF, LA)]
    assert [bool(each) for each in problems] == [True, False]
    del other.numbers[SF]
    await bench.api.post(f"{agency.path}/sync/bland", None, status=200)
    await wait_for_row(bench, agency, client, "bland", lambda row: (row["state"], row["error"]) == ("synced", None))
    assert "You answer for Acme." in bench.org("bland").numbers[SF]["prompt"]


async def test_a_number_that_was_deleted_at_bland_is_registered_again_with_its_assistant(bench):
    agency = await bench.agency("bland")
    client = await bench.client(agency)
    for e164 in (SF, LA):
        await buy(bench, agency, client, e164)
    bland = bench.org("bland")
    await wait_until(lambda: len([one for one in bland.numbers.values() if "Acme" in (one["prompt"] or "")]) == 2)
    del bland.numbers[SF], bland.uploaded[SF]
    await bench.api.patch(f"{agency.path}/clients/{client['id']}", {"assistant": {"prompt": "You are new."}})
    await wait_until(lambda: [bland.numbers.get(one, {}).get("prompt") for one in (SF, LA)] == ["You are new."] * 2)
    await wait_for_row(bench, agency, client, "bland", lambda row: (row["state"], row["error"]) == ("synced", None))


async def test_a_number_with_a_pathway_of_its_own_is_left_out_and_told(bench):
    agency = await bench.agency("bland")
    client = await bench.client(agency)
    for e164 in (SF, LA):
        await buy(bench, agency, client, e164)
    bland = bench.org("bland")
    await wait_until(lambda: len([one for one in bland.numbers.values() if "Acme" in (one["prompt"] or "")]) == 2)
    bland.numbers[SF] |= {"pathway_id": "p1", "metadata": None}
    await bench.api.patch(f"{agency.path}/clients/{client['id']}", {"assistant": {"prompt": "You are new."}})
    await wait_until(lambda: bland.numbers[LA]["prompt"] == "You are new.")
    row = await wait_for_row(bench, agency, client, "bland", lambda row: row["state"] == "synced" and row["error"])
    assert f"pathway or persona answers {SF}" in row["error"]
    assert bland.numbers[SF]["pathway_id"] == "p1"
