"""An agency's assistants stand at Retell as they were written, published, and once."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from adapters.base import ErrorKind, ProviderError
from adapters.http import Http
from adapters.portable import Copy, Knowledge
from adapters.provider import Provider
from tests.adapters.canary import assert_clean, shows
from tests.adapters.refusals import error_of
from tests.adapters.retell.conftest import ACME, TOKEN, TRANSFER, WEBHOOK, WIRING, Account
from tests.support.adapters import retell_at

pytestmark = pytest.mark.anyio

LIMIT = 10.0


async def put(account: Account, assistant=ACME, copy: Copy | None = None) -> Copy:
    host: Provider[Any] = account.retell
    return await host.assistants.put_copy(host.open(account.key, LIMIT), assistant, WIRING, copy, [])


async def test_a_definition_becomes_a_published_agent_with_its_llm(account: Account):
    copy = await put(account)
    agent, llm = account.published
    assert (copy.remote_id, copy.version) == (agent["agent_id"], "0")
    assert (llm["is_published"], llm["start_speaker"]) == (True, "agent")
    assert (llm["general_prompt"], llm["begin_message"]) == (ACME.prompt, ACME.greeting)
    assert llm["knowledge_base_ids"] == list(account.org.knowledge_bases)
    assert account.knowledge == [
        [{"title": "Prices", "text": "A visit is $80."}, {"title": "Hours", "text": "Nine to five."}]
    ]
    assert agent["agent_name"] == "Acme Plumbing [client_7x3k9]"
    assert (agent["voice_id"], agent["voice_speed"], agent["voice_model"]) == ("11labs-Adrian", 1.1, None)
    assert (agent["language"], agent["timezone"]) == (["en-GB", "es-419"], "Europe/London")
    assert (agent["webhook_url"], agent["max_call_duration_ms"]) == (WEBHOOK, 900_000)
    assert agent["webhook_events"] == ["call_started", "call_ended", "call_analyzed"]
    assert agent["voicemail_option"] == {"action": {"type": "hangup"}}
    assert agent["contact_memory_config"]["enable_read"] is False


async def test_its_tools_end_the_call_ask_the_agency_and_reach_us_for_a_transfer(account: Account):
    await put(account)
    end, book, transfer = account.published[1]["general_tools"]
    assert (end["type"], end["name"]) == ("end_call", "end_call")
    assert (book["type"], book["name"], book["url"]) == ("custom", "book", "https://acme.example/book")
    assert book["parameters"] == {
        "type": "object",
        "properties": {"day": {"type": "string"}},
        "required": ["day"],
    }
    assert (transfer["type"], transfer["name"], transfer["url"]) == ("custom", "callrouter_transfer", TRANSFER)
    assert transfer["speak_after_execution"] is True


async def test_functions_keep_their_names_and_ours_step_aside(account: Account):
    functions = tuple(replace(ACME.functions[0], name=name) for name in ("transfer", "end_call", "end_call_2"))
    await put(account, replace(ACME, functions=functions))
    names = [tool["name"] for tool in account.published[1]["general_tools"]]
    assert names == ["end_call_3", "transfer", "end_call", "end_call_2", "callrouter_transfer"]


async def test_the_plainest_definition_is_enough(account: Account):
    plain = replace(
        ACME,
        greeting=None,
        languages=("en-US",),
        timezone=None,
        voice={},
        transfer_to=None,
        functions=(),
        knowledge=(),
        voicemail_detection=False,
        max_seconds=None,
    )
    copy = await put(account, plain)
    agent, llm = account.published
    assert "knowledge_base" not in copy.parts
    assert (llm["begin_message"], llm["knowledge_base_ids"]) == (None, [])
    assert [tool["name"] for tool in llm["general_tools"]] == ["end_call"]
    assert (agent["timezone"], agent["language"], agent["voice_id"]) == ("UTC", "en-US", "retell-Cimo")
    assert (agent["max_call_duration_ms"], agent["voicemail_option"]) == (3_600_000, None)


async def test_a_new_definition_is_a_new_version_of_the_same_agent(account: Account):
    first = await put(account)
    changed = replace(
        ACME,
        name="Acme & Sons",
        prompt="You are kind.",
        greeting=None,
        voice={},
        voicemail_detection=False,
        transfer_to=None,
        knowledge=(Knowledge("Prices", "A visit is $90."),),
    )
    second = await put(account, changed, first)
    agent, llm = account.published
    assert (second.remote_id, second.version, second.parts["llm"]) == (first.remote_id, "1", first.parts["llm"])
    assert (agent["agent_name"], llm["general_prompt"]) == ("Acme & Sons [client_7x3k9]", "You are kind.")
    assert (llm["begin_message"], agent["voice_speed"], agent["voicemail_option"]) == (None, 1, None)
    assert [tool["name"] for tool in llm["general_tools"]] == ["end_call", "book"]
    assert account.knowledge == [[{"title": "Prices", "text": "A visit is $90."}]]
    assert llm["knowledge_base_ids"] == [second.parts["knowledge_base"]]
    assert account.agents[0][0]["agent_name"] == "Acme Plumbing [client_7x3k9]"
    assert account.llms[0][0]["general_prompt"] == ACME.prompt


async def test_the_same_knowledge_is_not_read_in_twice(account: Account):
    first = await put(account)
    second = await put(account, replace(ACME, prompt="Other"), first)
    assert second.parts["knowledge_base"] == first.parts["knowledge_base"]


async def test_knowledge_that_is_taken_away_is_deleted(account: Account):
    copy = await put(account, replace(ACME, knowledge=()), await put(account))
    assert account.knowledge == []
    assert set(copy.parts) == {"marker", "llm"}


async def test_an_update_waits_until_its_knowledge_is_read_in(account: Account):
    account.org.knowledge_looks = 2
    await put(account)
    assert account.pauses == [0.5, 1]


async def test_knowledge_that_takes_for_ever_does_not_keep_the_assistant_back(account: Account):
    account.org.knowledge_looks = 99
    await put(account)
    assert sum(account.pauses) == 15.5
    assert account.published[0]["is_published"]


async def test_knowledge_that_cannot_be_read_in_is_a_failure_that_can_be_tried_again(account: Account):
    account.org.knowledge_outcome = "error"
    error = await error_of(put(account))
    assert (error.kind, error.said.split(".")[0]) == (
        ErrorKind.BAD_REQUEST,
        "Retell could not read the knowledge",
    )
    assert not account.agents[0][-1]["is_published"]
    account.org.knowledge_outcome = "complete"
    await put(account)
    assert (len(account.agents), len(account.llms), len(account.knowledge)) == (1, 1, 1)
    assert account.published[0]["version"] == 0


async def test_an_agent_that_was_deleted_there_is_made_anew(account: Account):
    first = await put(account)
    account.org.agents.clear()
    second = await put(account, ACME, first)
    assert second.remote_id != first.remote_id
    assert (len(account.agents), len(account.llms), len(account.knowledge)) == (1, 1, 1)
    assert account.published[0]["agent_id"] == second.remote_id


async def test_an_agent_whose_llm_was_deleted_there_is_replaced(account: Account):
    first = await put(account)
    account.org.llms.clear()
    second = await put(account, ACME, first)
    assert second.remote_id != first.remote_id
    assert (len(account.agents), len(account.llms), len(account.knowledge)) == (1, 1, 1)


async def test_a_copy_that_somebody_renamed_stays_the_same_copy(account: Account):
    first = await put(account)
    account.agents[0][0]["agent_name"] = "Mine now"
    second = await put(account, ACME, first)
    assert second.remote_id == first.remote_id
    assert account.published[0]["agent_name"] == "Acme Plumbing [client_7x3k9]"


async def test_a_copy_is_found_by_its_marker_among_many(account: Account, box):
    for place in range(120):
        box.state.retell.add_assistant(account.org, f"Front desk {place} client_7x3k9")
    assert await account.retell.assistants.find_copy(account.retell.open(account.key, LIMIT), ACME.marker) is None
    copy = await put(account)
    for place in range(120):
        box.state.retell.add_assistant(account.org, f"Desk {place} [client_7x3k9] no more")
    assert await account.retell.assistants.find_copy(account.retell.open(account.key, LIMIT), ACME.marker) == copy
    assert await account.retell.assistants.find_copy(account.retell.open(account.key, LIMIT), "client_7x3k") is None


async def test_another_clients_copy_is_left_alone(account: Account):
    other = await put(account, replace(ACME, marker="client_7x3k", name="Beta"))
    mine = await put(account)
    await account.retell.assistants.delete_copy(account.retell.open(account.key, LIMIT), mine, [])
    assert [versions[0]["agent_id"] for versions in account.agents] == [other.remote_id]
    assert (len(account.llms), len(account.knowledge)) == (1, 1)


async def test_a_deleted_copy_leaves_nothing_behind(account: Account):
    copy = await put(account)
    await account.retell.assistants.delete_copy(account.retell.open(account.key, LIMIT), copy, [])
    assert (account.agents, account.llms, account.knowledge) == ([], [], [])
    await account.retell.assistants.delete_copy(account.retell.open(account.key, LIMIT), copy, [])


async def test_an_llm_that_another_agent_there_speaks_with_stays(account: Account):
    copy = await put(account)
    agent = account.agents[0][0]
    account.org.agents["agent_theirs"] = [{**agent, "agent_id": "agent_theirs", "agent_name": "Theirs"}]
    await account.retell.assistants.delete_copy(account.retell.open(account.key, LIMIT), copy, [])
    assert list(account.org.agents) == ["agent_theirs"]
    assert list(account.org.llms) == [copy.parts["llm"]]


async def test_neither_key_nor_token_is_seen_outside_of_requests(account: Account, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    copy = await put(account)
    assert not shows(caplog.text + repr(copy))
    assert TOKEN not in caplog.text + repr(copy)


async def test_what_retell_refuses_is_told_in_its_own_words(account: Account):
    error = await error_of(put(account, replace(ACME, voice={"voice_id": "nobody-Knows"})))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, "Cannot find requested voice nobody-Knows.")
    assert_clean(error)


async def test_a_limit_on_requests_is_told_with_its_wait(account: Account, box):
    box.state.faults.set("retell", {"fault": "429", "retry_after": 7, "operation": "assistants", "times": 1})
    error = await error_of(put(account))
    assert (error.kind, error.retry_after) == (ErrorKind.RATE_LIMITED, 7)
    assert isinstance(error, ProviderError)


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({}, ()),
        ({"voice": {"voice_id": "a", "accent": "b"}}, ("voice",)),
        ({"languages": ("en-US", "eu-ES")}, ("languages",)),
        ({"max_seconds": 30}, ("max_seconds",)),
        ({"max_seconds": 7201, "languages": ("eu",)}, ("languages", "max_seconds")),
    ],
)
def test_what_retell_cannot_do_is_said(changes: dict[str, Any], lost: tuple[str, ...]):
    assert retell_at(Http(), "", "").assistants.lost_features(replace(ACME, **changes)) == lost
