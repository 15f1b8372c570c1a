"""Linked agents: made at Retell by others, checked here, and changed only as the agency allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from adapters.base import GoneError, ProviderError, bad_request
from adapters.facets import Managed
from adapters.portable import Registration, Wiring
from adapters.replies import find, is_id, list_of
from adapters.retell import definition
from adapters.retell.api import FORBIDDEN, Client
from adapters.retell.versions import Draft, list_versions, llm_of, number_of, read_draft, start_draft, version_of

_TITLE: Final = "Set by callrouter"
"""The title of our drafts there: one that was not published is continued."""


async def check_link(client: Client, remote_id: str) -> None:
    """Raises ProviderError(BAD_REQUEST) with what is missing; GoneError if that is the agent."""
    await _published_agent(client.about_agent(), remote_id)


async def manage_link(
    client: Client, remote_id: str, manage: Sequence[Managed], wiring: Wiring, _: Sequence[Registration] = ()
) -> bool:
    """Whether anything was missing. Raises as `check_link` does."""
    client = client.hiding(wiring.secret).about_agent()
    agent, versions = await _published_agent(client, remote_id)
    of_agent = _webhook_change(agent, wiring) if "webhook" in manage else None
    of_llm = await _transfer_change(client, agent, wiring) if "transfer" in manage else None
    if of_agent is None and of_llm is None:
        return False
    draft = await _draft(client, agent, versions)
    await draft.change_agent(client, {**(of_agent or {}), "version_title": _TITLE})
    if of_llm is not None:
        await draft.change_llm(client, of_llm)
    await draft.publish(client)
    return True


async def _published_agent(client: Client, remote_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The version that takes calls, and all versions. Raises ProviderError(BAD_REQUEST) with what is missing."""
    agent = await client.look("GET", f"/get-agent/{remote_id}", "agent_id") if is_id(remote_id) else None
    if agent is None:
        raise GoneError("Retell has no agent with this id under this key.")
    if await _is_suspended(client, remote_id):
        raise bad_request("The agent is suspended at Retell, so it takes no calls. Ask Retell's support why.")
    versions = await list_versions(client, remote_id)
    published = [version_of(one) for one in versions if one.get("is_published") is True]
    if not published:
        raise bad_request("The agent was never published at Retell. Publish it there, and link it again.")
    if version_of(agent) != max(published):
        agent = await client.ask("GET", f"/get-agent/{remote_id}", "agent_id", query={"version": max(published)})
    return agent, versions


async def _is_suspended(client: Client, remote_id: str) -> bool:
    """Only the list of agents says it. False if this key may not list them."""
    wanted = {"filter_criteria": {"query": remote_id}}
    try:
        async for item in client.list_all("POST", "/v2/list-agents", "agent_id", json=wanted):
            if item["agent_id"] == remote_id:
                return item.get("is_suspended") is True
    except ProviderError as error:
        if error.status != FORBIDDEN:
            raise
    return False


async def _draft(client: Client, agent: dict[str, Any], versions: Sequence[dict[str, Any]]) -> Draft:
    """Based on the published version, not on a draft that somebody is editing."""
    base = version_of(agent)
    begun = [
        version_of(one)
        for one in versions
        if one.get("is_published") is False
        and one.get("version_title") == _TITLE
        and number_of(one.get("base_version")) == base
    ]
    if not begun:
        return await start_draft(client, agent, base)
    path = f"/get-agent/{agent['agent_id']}"
    return read_draft(await client.ask("GET", path, "agent_id", query={"version": max(begun)}))


def _webhook_change(agent: dict[str, Any], wiring: Wiring) -> dict[str, Any] | None:
    """None if it is set already."""
    there = agent.get("webhook_url") == wiring.webhook_url and set(definition.EVENTS) <= _events(agent)
    return None if there else definition.webhook_fields(wiring)


def _events(agent: dict[str, Any]) -> set[str]:
    """An agent that names none sends all that we want."""
    named = agent.get("webhook_events")
    return {str(one) for one in named} if isinstance(named, list) else set(definition.EVENTS)


async def _transfer_change(client: Client, agent: dict[str, Any], wiring: Wiring) -> dict[str, Any] | None:
    """The LLM's tools with ours among them; None if it is there already."""
    llm_id = llm_of(agent)
    if llm_id is None:
        raise bad_request(
            "The agent does not speak with a Retell LLM, so no function can be added to it here. Link it without"
            ' "transfer", and add the transfer function in Retell.'
        )
    version = number_of(find(agent, "response_engine", "version"))
    query = {} if version is None else {"version": version}
    llm = await client.ask("GET", f"/get-retell-llm/{llm_id}", "llm_id", query=query)
    tools = list_of(llm.get("general_tools"))
    others = [tool for tool in tools if not definition.is_transfer_tool(tool, wiring)]
    ours = [tool for tool in tools if definition.is_transfer_tool(tool, wiring)]
    names = {str(tool.get("name")) for tool in others if isinstance(tool, dict)}
    if [tool["url"] for tool in ours] == [wiring.transfer_url]:
        return None
    return {"general_tools": [*others, definition.transfer_tool(wiring, names)]}
