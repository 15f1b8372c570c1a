"""Agents that others made at ElevenLabs: checked, and changed only as the agency allows."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from adapters.base import ErrorKind, GoneError
from adapters.elevenlabs.api import Client
from adapters.provider import Provider
from adapters.sandbox.elevenlabs.org import ElevenLabsOrg
from adapters.sandbox.server import RunningSandbox
from tests.adapters.elevenlabs.conftest import WEBHOOK, wiring
from tests.adapters.refusals import error_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def agent_id(box: RunningSandbox, org: ElevenLabsOrg) -> str:
    return box.state.elevenlabs.add_assistant(org)


async def test_an_agent_that_speaks_the_telephones_format_may_be_linked(
    elevenlabs: Provider[Any], client: Client, agent_id: str
):
    await elevenlabs.assistants.check_link(client, agent_id)


@pytest.mark.parametrize(
    ("part", "field", "value", "said"),
    [
        ("tts", "agent_output_audio_format", "pcm_16000", "μ-law 8000 Hz under Voice, output format, and"),
        ("asr", "user_input_audio_format", None, "μ-law 8000 Hz under Advanced, input format, and"),
        ("conversation", "text_only", True, "text only"),
    ],
)
async def test_one_that_callers_could_not_hear_is_refused(
    elevenlabs: Provider[Any],
    client: Client,
    org: ElevenLabsOrg,
    agent_id: str,
    part: str,
    field: str,
    value: Any,
    said: str,
):
    org.agents[agent_id]["conversation_config"][part][field] = value
    error = await error_of(elevenlabs.assistants.check_link(client, agent_id))
    assert (error.kind, said in error.said) == (ErrorKind.BAD_REQUEST, True)
    assert await error_of(elevenlabs.assistants.manage_link(client, agent_id, ["webhook"], wiring()))


@pytest.mark.parametrize("remote_id", ["agent_none", "../tools", ""])
async def test_one_that_is_not_there_is_gone(elevenlabs: Provider[Any], client: Client, remote_id: str):
    assert isinstance(await error_of(elevenlabs.assistants.check_link(client, remote_id)), GoneError)


async def test_webhook_and_transfer_are_set_once_and_nothing_else(
    elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg, agent_id: str
):
    agent = org.agents[agent_id]
    agent["platform_settings"]["workspace_overrides"] = {
        "conversation_initiation_client_data_webhook": {"url": "https://a.example"}
    }
    before = deepcopy(agent)
    manage = ["webhook", "transfer"]
    assert await elevenlabs.assistants.manage_link(client, agent_id, manage, wiring()) is True
    (tool_id,), (webhook_id,) = org.tools, org.webhooks
    assert agent["conversation_config"]["agent"]["prompt"].pop("tool_ids") == [tool_id]
    webhooks = agent["platform_settings"]["workspace_overrides"].pop("webhooks")
    assert webhooks["post_call_webhook_id"] == webhook_id
    before["conversation_config"]["agent"]["prompt"].pop("tool_ids")
    assert agent | {"metadata": None} == before | {"metadata": None}
    agent["conversation_config"]["agent"]["prompt"]["tool_ids"] = [tool_id]
    agent["platform_settings"]["workspace_overrides"]["webhooks"] = webhooks
    assert await elevenlabs.assistants.manage_link(client, agent_id, manage, wiring()) is False
    assert (len(org.tools), len(org.webhooks)) == (1, 1)


async def test_a_new_token_changes_both(elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg, agent_id: str):
    for token in ("one", "two"):
        assert await elevenlabs.assistants.manage_link(client, agent_id, ["webhook", "transfer"], wiring(token)) is True
    (tool,) = org.tools.values()
    assert len(org.webhooks) == 1
    assert tool["tool_config"]["api_schema"]["url"] == f"{WEBHOOK}/transfer?token=two"
    override = org.agents[agent_id]["platform_settings"]["workspace_overrides"]["webhooks"]
    assert org.webhooks[override["post_call_webhook_id"]]["webhook_url"] == f"{WEBHOOK}?token=two"


async def test_a_name_that_is_taken_is_left_to_its_tool(
    elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg, agent_id: str
):
    config = {
        "type": "webhook",
        "name": "transfer",
        "description": "Theirs",
        "api_schema": {"url": "https://a.example"},
    }
    theirs = await client.ask("POST", "/v1/convai/tools", "id", json={"tool_config": config})
    org.agents[agent_id]["conversation_config"]["agent"]["prompt"]["tool_ids"] = [theirs["id"]]
    await elevenlabs.assistants.manage_link(client, agent_id, ["transfer"], wiring())
    names = [
        org.tools[one]["tool_config"]["name"]
        for one in org.agents[agent_id]["conversation_config"]["agent"]["prompt"]["tool_ids"]
    ]
    assert names == ["transfer", "transfer_2"]


async def test_a_tool_that_a_process_left_is_used(
    elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg, agent_id: str
):
    await elevenlabs.assistants.manage_link(client, agent_id, ["transfer"], wiring())
    org.agents[agent_id]["conversation_config"]["agent"]["prompt"]["tool_ids"] = []
    await elevenlabs.assistants.manage_link(client, agent_id, ["transfer"], wiring())
    assert len(org.tools) == 1
