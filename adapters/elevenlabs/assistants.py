"""Our copies at ElevenLabs: an agent, its tools and its documents, all with the client's marker.

Each is looked for before it is created, so that work which a process left half done is finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from adapters.elevenlabs import definition, hooks, links
from adapters.elevenlabs.api import Client, agent_path
from adapters.elevenlabs.knowledge import delete_documents, is_searched, keep_knowledge, list_documents
from adapters.elevenlabs.tools import delete_tools, keep_tools, list_tools
from adapters.portable import Assistant, Copy, Registration, Wiring

_MARKER: Final = "marker"
_WEBHOOK: Final = "webhook"


class Assistants:
    """A copy's parts: the marker, by which tools and documents are found, and the webhook that it reports to."""

    lives_on_numbers: Final = False
    lost_features = staticmethod(definition.lost_features)
    check_link = staticmethod(links.check_link)
    manage_link = staticmethod(links.manage_link)

    async def find_copy(self, client: Client, marker: str) -> Copy | None:
        """Also an unfinished one: without an agent its `remote_id` is None."""
        agent_id = await _find_agent(client, marker)
        if agent_id is None and not (await list_tools(client, marker) or await list_documents(client, marker)):
            return None
        return Copy(agent_id, {_MARKER: marker})

    async def put_copy(
        self,
        client: Client,
        assistant: Assistant,
        wiring: Wiring,
        copy: Copy | None,
        _: Sequence[Registration],  # calls name their agent; numbers don't exist here
    ) -> Copy:
        client, marker = client.hiding(wiring.secret), assistant.marker
        agent_id = copy.remote_id if copy is not None else None
        if agent_id is None:
            agent_id = await _find_agent(client, marker)
        webhook = await hooks.keep_webhook(client, wiring)
        tools = await keep_tools(client, assistant, wiring)
        knowledge = await keep_knowledge(client, assistant)
        body = definition.agent_body(
            assistant, webhook, tools.current, knowledge.current, searched=is_searched(assistant)
        )
        agent_id = await _put_agent(client, agent_id, body)
        await delete_tools(client, tools.superseded)
        await delete_documents(client, knowledge.superseded)
        former = None if copy is None else copy.parts.get(_WEBHOOK)
        if former not in (None, webhook):
            await hooks.delete_unused_webhook(client, former)
        return Copy(agent_id, {_MARKER: marker, _WEBHOOK: webhook})

    async def delete_copy(self, client: Client, copy: Copy, _: Sequence[Registration]) -> None:
        if copy.remote_id is not None:
            await client.remove(agent_path(copy.remote_id))
        if _MARKER in copy.parts:
            marker = copy.parts[_MARKER]
            await delete_tools(client, [one["id"] for one in await list_tools(client, marker)])
            await delete_documents(client, [one["id"] for one in await list_documents(client, marker)])
        if _WEBHOOK in copy.parts:
            await hooks.delete_unused_webhook(client, copy.parts[_WEBHOOK])


async def _find_agent(client: Client, marker: str) -> str | None:
    tag = definition.tag(marker)
    async for item in client.list_all("/v1/convai/agents", "agents", "agent_id", search=marker):
        if str(item.get("name")).endswith(tag):
            return str(item["agent_id"])
    return None


async def _put_agent(client: Client, agent_id: str | None, body: dict[str, Any]) -> str:
    """One that was deleted at ElevenLabs is created again."""
    put = None
    if agent_id is not None:
        put = await client.look("PATCH", agent_path(agent_id), "agent_id", json=body)
    if put is None:
        put = await client.ask("POST", "/v1/convai/agents/create", "agent_id", json=body)
    return str(put["agent_id"])
