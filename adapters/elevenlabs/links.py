"""Linked agents: made at ElevenLabs by others, checked here, and changed only as the agency allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapters.base import GoneError, bad_request
from adapters.elevenlabs import definition, hooks, tools
from adapters.elevenlabs.api import Client, agent_path
from adapters.facets import Managed
from adapters.portable import Registration, Wiring
from adapters.replies import find, is_id, list_of


async def check_link(client: Client, remote_id: str) -> None:
    """Raises ProviderError(BAD_REQUEST) with what keeps it from taking calls; GoneError if it does not exist."""
    await _agent_fit_for_calls(client, remote_id)


async def manage_link(
    client: Client, remote_id: str, manage: Sequence[Managed], wiring: Wiring, _: Sequence[Registration] = ()
) -> bool:
    """Whether anything was missing. Raises as `check_link` does."""
    client = client.hiding(wiring.secret)
    agent = await _agent_fit_for_calls(client, remote_id)
    change: dict[str, Any] = {}
    was_missing = False
    former = definition.webhook_of(agent)
    if "webhook" in manage and not definition.reports_to(agent, await hooks.find_webhook(client, wiring)):
        webhook = await hooks.keep_webhook(client, wiring)
        others = find(agent, "platform_settings", "workspace_overrides")
        override = definition.webhook_override(webhook, others if isinstance(others, dict) else {})
        change["platform_settings"] = {"workspace_overrides": override}
    if "transfer" in manage:
        was_missing, tool_ids = await _with_transfer(client, agent, wiring)
        if tool_ids is not None:
            change["conversation_config"] = {"agent": {"prompt": {"tool_ids": tool_ids}}}
    if change:
        await client.ask("PATCH", agent_path(remote_id), "agent_id", json=change)
    if former is not None and "platform_settings" in change:
        await hooks.delete_unused_webhook(client, former)
    return bool(change) or was_missing


async def _agent_fit_for_calls(client: Client, remote_id: str) -> dict[str, Any]:
    agent = await client.look("GET", agent_path(remote_id), "agent_id") if is_id(remote_id) else None
    if agent is None:
        raise GoneError("ElevenLabs has no agent with this id in the workspace that the key belongs to.")
    config = agent.get("conversation_config")
    if find(config, "conversation", "text_only") is True:
        raise bad_request(
            "The agent is set to text only at ElevenLabs, so it cannot speak. Change that, and link it again."
        )
    wrong = [
        place
        for place, given in (
            ("Voice, output format", find(config, "tts", "agent_output_audio_format")),
            ("Advanced, input format", find(config, "asr", "user_input_audio_format")),
        )
        if given != definition.AUDIO
    ]
    if wrong:
        raise bad_request(
            f"The agent does not use the telephone's audio format. At ElevenLabs, choose μ-law 8000 Hz under"
            f" {' and '.join(wrong)}, and link it again."
        )
    return agent


async def _with_transfer(client: Client, agent: dict[str, Any], wiring: Wiring) -> tuple[bool, list[str] | None]:
    """Whether its transfer tool had to be changed, and the ids of its tools if ours was not among them."""
    ids = [one for one in list_of(find(agent, "conversation_config", "agent", "prompt", "tool_ids")) if is_id(one)]
    mark = f"link_{agent['agent_id']}"
    there = await tools.all_tools(client)
    ours = next((one for one in there if one["id"] in ids and tools.leads_to(one, wiring)), None)
    if ours is not None:
        if tools.address_of(ours) == wiring.transfer_url:
            return False, None
        await tools.put_tool(client, tools.transfer_tool(wiring, mark, tools.name_of(ours)), str(ours["id"]))
        return True, None
    left = next((one for one in await tools.list_tools(client, mark)), None)  # by a process that died
    name = tools.free_name({tools.name_of(one) for one in there if one["id"] in ids})
    tool_id = await tools.put_tool(
        client, tools.transfer_tool(wiring, mark, name), None if left is None else str(left["id"])
    )
    return True, [*ids, tool_id]
