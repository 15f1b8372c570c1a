"""Agents that somebody else made at Retell: used if they can take calls, and changed only as far as allowed."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any

import pytest

from adapters.base import ErrorKind
from adapters.http import Http
from adapters.portable import Wiring
from crypto.secret import Secret
from tests.adapters.loopback import Asked, reply, serving
from tests.adapters.mortal import Died, MortalHttp
from tests.adapters.refusals import error_of
from tests.adapters.retell.conftest import TRANSFER, WEBHOOK, WIRING, Account
from tests.support.adapters import retell_at

pytestmark = pytest.mark.anyio

LIMIT = 10.0


@pytest.fixture
async def agent_id(account: Account, box) -> str:
    return str(box.state.retell.add_assistant(account.org))


async def manage(account: Account, agent_id: str, *what: Any, wiring: Wiring = WIRING) -> None:
    await account.retell.assistants.manage_link(account.retell.open(account.key, LIMIT), agent_id, what, wiring)


def draft_of(account: Account, agent_id: str, **changes: Any) -> dict[str, Any]:
    """Somebody is at work on the agent in Retell's dashboard."""
    versions = account.org.agents[agent_id]
    llm = account.org.llms[versions[0]["response_engine"]["llm_id"]]
    llm.append({**llm[-1], "version": len(llm), "is_published": False})
    engine = {**versions[0]["response_engine"], "version": llm[-1]["version"]}
    versions.append(
        {**versions[-1], "version": len(versions), "is_published": False, "response_engine": engine, **changes}
    )
    return versions[-1]


async def test_a_published_agent_can_be_linked(account: Account, agent_id: str):
    await account.retell.assistants.check_link(account.retell.open(account.key, LIMIT), agent_id)


async def test_an_agent_with_a_draft_after_what_is_published_can_be_linked(account: Account, agent_id: str):
    draft_of(account, agent_id)
    await account.retell.assistants.check_link(account.retell.open(account.key, LIMIT), agent_id)


async def test_a_suspended_agent_cannot(account: Account, agent_id: str, box):
    other = box.state.retell.add_assistant(account.org)
    account.org.suspended.add(agent_id)
    retell = account.retell.open(account.key, LIMIT)
    for asking in (
        account.retell.assistants.check_link(retell, agent_id),
        account.retell.assistants.manage_link(retell, agent_id, ["webhook"], WIRING),
    ):
        error = await error_of(asking)
        assert (error.kind, "suspended" in error.said) == (ErrorKind.BAD_REQUEST, True)
    await account.retell.assistants.check_link(retell, other)


async def test_a_key_that_may_not_list_agents_can_still_link(http: Http):
    published = {"agent_id": "agent_1", "version": 0, "is_published": True}

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        listing = asked.target.startswith("/v2/list-agents")
        body = {"items": [published], "has_more": False} if "versions" in asked.target else published
        await (reply(403, {"message": "scope"}) if listing else reply(200, body))(asked, writer)

    async with serving(answer) as server:
        retell = retell_at(http, server.url, "")
        await retell.assistants.check_link(retell.open(Secret("key_of_the_tests"), LIMIT), "agent_1")


async def test_an_agent_that_was_never_published_cannot(account: Account, box):
    never = box.state.retell.add_assistant(account.org, published=False)
    error = await error_of(account.retell.assistants.check_link(account.retell.open(account.key, LIMIT), never))
    assert error.kind is ErrorKind.BAD_REQUEST
    assert "never published" in error.said


@pytest.mark.parametrize("unknown", ["agent_nobody", "../delete-agent/x", "a b", ""])
async def test_an_agent_that_does_not_exist_cannot_be_linked(account: Account, unknown: str):
    error = await error_of(account.retell.assistants.check_link(account.retell.open(account.key, LIMIT), unknown))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, "Retell has no agent with this id under this key.")


async def test_the_webhook_is_set_in_a_new_version_and_nothing_else(account: Account, agent_id: str):
    before = deepcopy(account.org.agents[agent_id][0])
    await manage(account, agent_id, "webhook")
    first, second = account.org.agents[agent_id]
    assert first == before
    assert (second["webhook_url"], second["is_published"]) == (WEBHOOK, True)
    assert second["webhook_events"] == ["call_started", "call_ended", "call_analyzed"]
    assert {name for name in second if second[name] != first.get(name)} <= {
        "webhook_url",
        "webhook_events",
        "version",
        "base_version",
        "version_title",
        "response_engine",
        "last_modification_timestamp",
    }
    old, new = account.org.llms[first["response_engine"]["llm_id"]]
    assert {name for name in new if new[name] != old[name]} <= {"version", "last_modification_timestamp"}


async def test_the_transfer_joins_the_tools_that_are_there(account: Account, agent_id: str):
    llm = account.org.llms[account.org.agents[agent_id][0]["response_engine"]["llm_id"]]
    theirs = {"type": "transfer_call", "name": "transfer", "transfer_destination": {"type": "predefined"}}
    llm[0]["general_tools"] = [theirs]
    await manage(account, agent_id, "transfer")
    kept, ours = llm[1]["general_tools"]
    assert kept == theirs
    assert (ours["type"], ours["name"], ours["url"]) == ("custom", "callrouter_transfer", TRANSFER)
    assert llm[1]["is_published"]
    assert account.org.agents[agent_id][1].get("webhook_url") is None


async def test_what_is_there_already_makes_no_new_version(account: Account, agent_id: str):
    for _ in range(2):
        await manage(account, agent_id, "webhook", "transfer")
    assert len(account.org.agents[agent_id]) == 2


async def test_a_new_token_replaces_the_old_one(account: Account, agent_id: str):
    await manage(account, agent_id, "webhook", "transfer")
    fresh = Wiring(WEBHOOK + "x", TRANSFER + "x", Secret("new-token-1b2c3d4e5f60"))
    await manage(account, agent_id, "webhook", "transfer", wiring=fresh)
    agent = account.org.agents[agent_id][2]
    llm = account.org.llms[agent["response_engine"]["llm_id"]][2]
    assert agent["webhook_url"] == WEBHOOK + "x"
    assert [tool["url"] for tool in llm["general_tools"]] == [TRANSFER + "x"]


async def test_somebodys_unfinished_draft_is_neither_published_nor_changed(account: Account, agent_id: str):
    draft = draft_of(account, agent_id, agent_name="Half way")
    await manage(account, agent_id, "webhook")
    published = account.org.agents[agent_id][2]
    assert (draft["is_published"], draft.get("webhook_url")) == (False, None)
    assert (published["agent_name"], published["base_version"], published["is_published"]) == ("Front desk", 0, True)


@pytest.mark.parametrize(
    "engine",
    [
        {"type": "conversation-flow", "conversation_flow_id": "flow_1", "version": 0},
        {"type": "custom-llm", "llm_websocket_url": "wss://acme.example"},
    ],
)
async def test_only_an_llm_at_retell_can_be_given_a_transfer(account: Account, agent_id: str, engine: dict[str, Any]):
    account.org.agents[agent_id][0]["response_engine"] = engine
    error = await error_of(manage(account, agent_id, "webhook", "transfer"))
    assert error.kind is ErrorKind.BAD_REQUEST
    assert "does not speak with a Retell LLM" in error.said
    assert len(account.org.agents[agent_id]) == 1
    await manage(account, agent_id, "webhook")
    assert account.org.agents[agent_id][1]["response_engine"] == engine


async def test_work_that_broke_off_anywhere_is_continued(account: Account, box):
    for requests in range(1, 99):
        agent_id = box.state.retell.add_assistant(account.org)
        http = MortalHttp(requests)
        mortal = retell_at(http, account.url, "sip.example.com")
        try:
            await mortal.assistants.manage_link(
                mortal.open(account.key, LIMIT), agent_id, ["webhook", "transfer"], WIRING
            )
            break
        except Died:
            await manage(account, agent_id, "webhook", "transfer")
        finally:
            await http.aclose()
        published = [one for one in account.org.agents[agent_id] if one["is_published"]]
        llm = account.org.llms[published[-1]["response_engine"]["llm_id"]][published[-1]["response_engine"]["version"]]
        assert (len(published), published[-1]["webhook_url"]) == (2, WEBHOOK)
        assert [tool["url"] for tool in llm["general_tools"]] == [TRANSFER]
        assert len(account.org.agents[agent_id]) <= 3
    assert requests > 5
