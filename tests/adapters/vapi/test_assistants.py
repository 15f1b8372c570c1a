"""Copies of assistants at Vapi: made once, found again, brought up to date, and taken away with all their parts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.base import ErrorKind, ProviderError
from adapters.portable import Assistant, Copy, Knowledge
from adapters.provider import Provider
from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.vapi.org import VapiOrg
from tests.adapters.canary import assert_clean
from tests.adapters.conftest import Clock
from tests.adapters.refusals import error_of
from tests.adapters.vapi.examples import ACME, FUNCTION, KEY, LIMIT, PLAIN, PRICES, WEBHOOK_SECRET, WIRING, die_when

pytestmark = pytest.mark.anyio

HOURS = Knowledge("Hours", "Nine to five, Montag bis Freitag – außer Feiertagen.")


async def put(host: Provider[Any], assistant: Assistant, copy: Copy | None = None) -> Copy:
    return await host.assistants.put_copy(host.open(KEY, LIMIT), assistant, WIRING, copy, ())


def at_vapi(org: VapiOrg, copy: Copy) -> dict[str, Any]:
    assert copy.remote_id is not None
    return org.assistants[copy.remote_id]


def texts(org: VapiOrg) -> list[str]:
    return sorted(file["metadata"]["text"] for file in org.files.values())


async def test_an_assistant_is_made_with_its_knowledge(vapi: Provider[Any], org: VapiOrg):
    copy = await put(vapi, ACME)

    made = at_vapi(org, copy)
    assert (made["name"], made["maxDurationSeconds"]) == ("Acme Plumbing", 900)
    assert texts(org) == ["Prices\n\nA visit is $80.\n"]
    assert made["model"]["tools"][-1]["knowledgeBases"][0]["fileIds"] == list(org.files)
    assert set(copy.parts.values()) == set(org.files)


async def test_our_copy_is_found_by_its_marker_among_all_others(vapi: Provider[Any], org: VapiOrg, box: RunningSandbox):
    copy = await put(vapi, ACME)
    for each in range(3):
        box.state.vapi.add_assistant(
            org, f"Somebody else's {each}", metadata={"callrouter_marker": f"client_{each + 2}"}
        )

    assert await vapi.assistants.find_copy(vapi.open(KEY, LIMIT), "client_1") == copy
    assert await vapi.assistants.find_copy(vapi.open(KEY, LIMIT), "client_9") is None


@pytest.mark.parametrize("apart", [0.0, 0.0003, 60.0])
async def test_our_copy_is_found_on_the_last_of_many_pages(
    vapi: Provider[Any], org: VapiOrg, box: RunningSandbox, clock: Clock, apart: float
):
    """Also where many were made within the same millisecond, which is all that a record tells of its time."""
    first = await put(vapi, PLAIN)
    for each in range(240):
        if apart or each % 60 == 0:
            clock.now += timedelta(seconds=apart or 0.001)
        box.state.vapi.add_assistant(org, f"Number {each}")

    assert await vapi.assistants.find_copy(vapi.open(KEY, LIMIT), "client_1") == first
    assert len(box.state.requests_to("vapi", "/assistant", "assistants")) <= 6


async def test_a_key_that_was_replaced_by_another_orgs_finds_nothing_of_the_first(
    vapi: Provider[Any], org: VapiOrg, box: RunningSandbox
):
    await put(vapi, ACME)
    box.state.vapi.orgs.rotate(org.key, "elsewhere")
    box.state.vapi.add_org(KEY.reveal())

    assert await vapi.assistants.find_copy(vapi.open(KEY, LIMIT), "client_1") is None


async def test_a_changed_definition_changes_the_same_assistant(vapi: Provider[Any], org: VapiOrg):
    first = await put(vapi, ACME)
    second = await put(vapi, replace(ACME, prompt="You are Acme's night desk.", functions=(), greeting=None), first)

    assert second.remote_id == first.remote_id
    assert len(org.assistants) == 1
    changed = at_vapi(org, second)
    assert changed["model"]["messages"][0]["content"].startswith("You are Acme's night desk.")
    assert [tool["type"] for tool in changed["model"]["tools"]] == ["endCall", "function", "query"]
    assert changed["firstMessageMode"] == "assistant-speaks-first-with-model-generated-message"


async def test_what_a_definition_no_longer_asks_for_is_gone(vapi: Provider[Any], org: VapiOrg):
    copy = await put(vapi, PLAIN, await put(vapi, ACME))

    plain = at_vapi(org, copy)
    assert plain["model"]["tools"] == [{"type": "endCall"}]
    assert plain["voicemailDetection"] == "off"
    assert (org.files, dict(copy.parts)) == ({}, {})


async def test_knowledge_that_stayed_the_same_is_not_sent_again(vapi: Provider[Any], org: VapiOrg, box: RunningSandbox):
    first = await put(vapi, replace(ACME, knowledge=(PRICES, HOURS)))
    kept = dict(org.files)
    second = await put(vapi, replace(ACME, knowledge=(HOURS, PRICES)), first)

    assert org.files == kept
    assert set(second.parts.values()) == set(first.parts.values())
    assert len([asked for asked in box.state.requests_to("vapi", "/file") if asked.method == "POST"]) == 2


async def test_knowledge_that_changed_replaces_what_was_there(vapi: Provider[Any], org: VapiOrg):
    first = await put(vapi, replace(ACME, knowledge=(PRICES, HOURS)))
    second = await put(vapi, replace(ACME, knowledge=(replace(PRICES, text="A visit is $90."), HOURS)), first)

    assert texts(org) == sorted(["Prices\n\nA visit is $90.\n", f"Hours\n\n{HOURS.text}\n"])
    assert set(at_vapi(org, second)["model"]["tools"][-1]["knowledgeBases"][0]["fileIds"]) == set(org.files)


async def test_the_same_text_twice_is_one_file(vapi: Provider[Any], org: VapiOrg):
    copy = await put(vapi, replace(ACME, knowledge=(PRICES, PRICES)))

    assert len(org.files) == len(copy.parts) == 1


async def test_the_same_text_of_two_clients_is_two_files(vapi: Provider[Any], org: VapiOrg):
    """So that taking away one client's leaves the other's alone."""
    ours = await put(vapi, ACME)
    theirs = await put(vapi, replace(ACME, marker="client_2"))
    await vapi.assistants.delete_copy(vapi.open(KEY, LIMIT), ours, ())

    assert list(org.assistants) == [theirs.remote_id]
    assert list(org.files) == list(theirs.parts.values())


async def test_one_that_a_squad_holds_by_its_version_stays_with_what_it_knows_and_says_why(
    vapi: Provider[Any], org: VapiOrg
):
    copy = await put(vapi, ACME)
    org.pinned.add(str(copy.remote_id))
    error = await error_of(vapi.assistants.delete_copy(vapi.open(KEY, LIMIT), copy, ()))
    assert (error.kind, error.status) == (ErrorKind.BAD_REQUEST, 409)
    assert "squad" in error.said
    assert at_vapi(org, copy)
    assert set(org.files) == set(copy.parts.values())

    org.pinned.clear()
    await vapi.assistants.delete_copy(vapi.open(KEY, LIMIT), copy, ())
    assert not org.assistants
    assert not org.files


async def test_a_file_that_somebody_deleted_there_is_sent_again(vapi: Provider[Any], org: VapiOrg):
    first = await put(vapi, ACME)
    org.files.clear()
    second = await put(vapi, ACME, first)

    assert list(org.files) == list(second.parts.values())


async def test_a_worker_that_died_after_the_upload_leaves_no_second_file(
    vapi: Provider[Any], org: VapiOrg, box: RunningSandbox
):
    """The third request of a put is the one that makes the assistant: list files, upload, create."""
    box.state.faults.set(
        "vapi",
        [
            {"fault": "late", "operation": "assistants", "seconds": 0, "times": 2},
            {"fault": "500", "operation": "assistants", "times": 1},
        ],
    )
    assert (await error_of(put(vapi, ACME))).kind is ErrorKind.PROVIDER_ERROR
    assert (len(org.assistants), len(org.files)) == (0, 1)

    assert await vapi.assistants.find_copy(vapi.open(KEY, LIMIT), "client_1") is None
    await put(vapi, ACME)
    assert (len(org.assistants), len(org.files)) == (1, 1)


async def test_an_assistant_whose_answer_never_came_is_found_and_not_made_twice(
    vapi: Provider[Any], org: VapiOrg, box: RunningSandbox
):
    box.state.faults.set("vapi", {"fault": "late", "operation": "assistants", "seconds": 60, "times": 1})
    await die_when(put(vapi, PLAIN), lambda: org.assistants)

    found = await vapi.assistants.find_copy(vapi.open(KEY, LIMIT), "client_1")
    assert found is not None
    assert (await put(vapi, PLAIN, found)).remote_id == found.remote_id
    assert len(org.assistants) == 1


async def test_files_that_were_superseded_when_a_worker_died_go_with_the_next_one(
    vapi: Provider[Any], org: VapiOrg, box: RunningSandbox
):
    first = await put(vapi, ACME)
    changed = replace(ACME, knowledge=(HOURS,))
    faults = [
        {"fault": "late", "operation": "assistants", "seconds": 0, "times": 3},  # list files, upload, PATCH
        {"fault": "503", "operation": "assistants", "times": 1},  # DELETE
    ]
    box.state.faults.set("vapi", faults)
    assert (await error_of(put(vapi, changed, first))).kind is ErrorKind.PROVIDER_ERROR
    assert len(org.files) == 2

    found = await vapi.assistants.find_copy(vapi.open(KEY, LIMIT), "client_1")
    await put(vapi, changed, found)
    assert texts(org) == [f"Hours\n\n{HOURS.text}\n"]


async def test_a_copy_that_was_deleted_there_is_made_anew(vapi: Provider[Any], org: VapiOrg):
    first = await put(vapi, ACME)
    org.assistants.clear()
    second = await put(vapi, ACME, first)

    assert second.remote_id != first.remote_id
    assert list(org.assistants) == [second.remote_id]


async def test_a_copy_goes_with_all_its_parts_and_may_go_twice(vapi: Provider[Any], org: VapiOrg, box: RunningSandbox):
    other = box.state.vapi.add_assistant(org, "Somebody else's")
    copy = await put(vapi, replace(ACME, knowledge=(PRICES, HOURS)))

    for _ in range(2):
        await vapi.assistants.delete_copy(vapi.open(KEY, LIMIT), copy, ())
        assert (list(org.assistants), org.files) == ([other], {})


async def test_a_busy_vapi_says_when_to_come_back(vapi: Provider[Any], org: VapiOrg, box: RunningSandbox):
    box.state.faults.set("vapi", {"fault": "429", "operation": "assistants", "retry_after": 7})

    error = await error_of(put(vapi, ACME))
    assert (error.kind, error.retry_after) == (ErrorKind.RATE_LIMITED, 7)
    assert org.assistants == {}


async def test_a_definition_that_vapi_does_not_take_is_refused_in_its_words(vapi: Provider[Any], org: VapiOrg):
    error = await error_of(put(vapi, replace(PLAIN, voice={"provider": "gramophone", "voiceId": "His Master's"})))

    assert error.kind is ErrorKind.BAD_REQUEST
    assert "voice.provider must be one of" in error.said
    assert org.assistants == {}


@pytest.mark.usefixtures("org")
async def test_the_webhook_secret_is_in_no_address_of_ours_and_no_error(vapi: Provider[Any], box: RunningSandbox):
    await put(vapi, ACME)
    box.state.faults.set("vapi", {"fault": "500", "operation": "assistants"})
    error = await error_of(put(vapi, PLAIN))

    assert_clean(error)
    assert_clean(error, WEBHOOK_SECRET)
    assert all(WEBHOOK_SECRET not in asked.path + str(asked.query) for asked in box.state.requests_to("vapi"))


async def test_an_id_that_would_lead_elsewhere_is_never_asked_for(vapi: Provider[Any], box: RunningSandbox):
    for odd in ("../call", "a/b", "..", "a?limit=1", "", "a" * 129, "ä"):
        with pytest.raises(ProviderError) as caught:
            await vapi.assistants.check_link(vapi.open(KEY, LIMIT), odd)
        assert caught.value.kind is ErrorKind.BAD_REQUEST
        with pytest.raises(ProviderError):
            await vapi.assistants.delete_copy(vapi.open(KEY, LIMIT), Copy(odd), ())
    assert box.state.requests_to("vapi") == []


async def test_nothing_of_a_definition_is_lost_but_languages_that_nobody_there_understands(vapi: Provider[Any]):
    assert vapi.assistants.lost_features(ACME) == ()
    assert vapi.assistants.lost_features(replace(ACME, languages=("en-US", "ga-IE"), functions=(FUNCTION,))) == (
        "languages",
    )
