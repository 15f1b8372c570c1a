"""Assistants that somebody else made at Vapi: looked at, given what of ours is wanted, and otherwise left alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from adapters.base import ErrorKind
from adapters.provider import Provider
from adapters.sandbox.server import RunningSandbox
from adapters.sandbox.vapi.org import VapiOrg
from tests.adapters.refusals import error_of
from tests.adapters.vapi.examples import KEY, LIMIT, WEBHOOK_SECRET, WIRING

pytestmark = pytest.mark.anyio

THEIRS: dict[str, Any] = {
    "name": "Made by hand",
    "firstMessage": "Hello!",
    "serverMessages": ["transcript"],
    "model": {
        "provider": "anthropic",
        "model": "claude-sonnet-4",
        "temperature": 0.4,
        "messages": [{"role": "system", "content": "Be kind."}],
        "toolIds": ["5e3f"],
        "tools": [
            {"type": "transferCall", "destinations": [{"type": "number", "number": "+14155550111"}]},
            {
                "type": "function",
                "function": {"name": "book", "parameters": {"type": "object", "properties": {}}},
                "server": {"url": "https://theirs.example/book"},
            },
        ],
    },
}


@pytest.fixture
def theirs(box: RunningSandbox, org: VapiOrg) -> dict[str, Any]:
    assistant_id = box.state.vapi.add_assistant(org, **copy.deepcopy(THEIRS))
    return org.assistants[assistant_id]


def settings(assistant: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in assistant.items() if name not in {"id", "orgId", "createdAt", "updatedAt"}}


async def test_one_that_is_there_can_be_linked(vapi: Provider[Any], theirs: dict[str, Any]):
    await vapi.assistants.check_link(vapi.open(KEY, LIMIT), theirs["id"])
    assert settings(theirs) == THEIRS


@pytest.mark.usefixtures("org")
async def test_one_that_is_not_there_or_another_orgs_is_refused_with_a_reason(vapi: Provider[Any], box: RunningSandbox):
    foreign = box.state.vapi.add_assistant(box.state.vapi.add_org())
    for remote_id in (foreign, "00000000-0000-4000-8000-000000000000"):
        error = await error_of(vapi.assistants.check_link(vapi.open(KEY, LIMIT), remote_id))
        assert error.kind is ErrorKind.BAD_REQUEST
        assert "no assistant with this id" in error.said
        assert "A squad cannot be linked" in error.said


async def test_our_webhook_changes_where_events_go_and_nothing_else(vapi: Provider[Any], theirs: dict[str, Any]):
    await vapi.assistants.manage_link(vapi.open(KEY, LIMIT), theirs["id"], ("webhook",), WIRING)

    now = settings(theirs)
    server = now.pop("server")
    assert (server["url"], server["headers"]) == (WIRING.webhook_url, {"x-vapi-secret": WEBHOOK_SECRET})
    assert "end-of-call-report" in now.pop("serverMessages")
    assert now == {name: value for name, value in THEIRS.items() if name != "serverMessages"}


async def test_our_transfer_is_one_tool_more_however_often_it_is_set(vapi: Provider[Any], theirs: dict[str, Any]):
    for _ in range(2):
        await vapi.assistants.manage_link(vapi.open(KEY, LIMIT), theirs["id"], ("transfer",), WIRING)

    now = settings(theirs)
    *kept, ours = now["model"].pop("tools")
    assert kept == THEIRS["model"]["tools"]
    assert (ours["function"]["name"], ours["server"]["url"]) == ("transfer", WIRING.transfer_url)
    assert now == {**THEIRS, "model": {name: value for name, value in THEIRS["model"].items() if name != "tools"}}


async def test_both_at_once(vapi: Provider[Any], theirs: dict[str, Any]):
    await vapi.assistants.manage_link(vapi.open(KEY, LIMIT), theirs["id"], ("webhook", "transfer"), WIRING)
    assert theirs["server"]["url"] == WIRING.webhook_url
    assert theirs["model"]["tools"][-1]["function"]["name"] == "transfer"


async def test_a_function_that_would_be_cut_off_keeps_us_from_taking_the_address(
    vapi: Provider[Any], theirs: dict[str, Any]
):
    """It is asked at the assistant's server as long as it has none of its own."""
    theirs["server"] = {"url": "https://theirs.example/vapi"}
    del theirs["model"]["tools"][1]["server"]

    error = await error_of(vapi.assistants.manage_link(vapi.open(KEY, LIMIT), theirs["id"], ("webhook",), WIRING))

    assert error.kind is ErrorKind.BAD_REQUEST
    assert "(book)" in error.said
    assert theirs["server"] == {"url": "https://theirs.example/vapi"}
    await vapi.assistants.manage_link(vapi.open(KEY, LIMIT), theirs["id"], ("transfer",), WIRING)


async def test_an_assistant_without_a_model_gets_no_transfer(vapi: Provider[Any], org: VapiOrg, box: RunningSandbox):
    bare = box.state.vapi.add_assistant(org, "Bare")
    error = await error_of(vapi.assistants.manage_link(vapi.open(KEY, LIMIT), bare, ("transfer",), WIRING))
    assert error.kind is ErrorKind.BAD_REQUEST
    assert "no model" in error.said
