"""Our copies at Retell: an LLM, the agent that speaks with it, and a knowledge base, all with the client's marker.

Each is looked for before it is created, so that work which a process left half done is finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from adapters.base import ProviderError
from adapters.portable import Assistant, Copy, Registration, Wiring
from adapters.replies import find, is_id
from adapters.retell import definition, links
from adapters.retell.api import Client
from adapters.retell.knowledge import delete_knowledge, ids_of, keep_knowledge, list_knowledge, wait_for_knowledge
from adapters.retell.versions import Draft, llm_of, read_draft, start_draft, version_of

_LLM: Final = "llm"
_KNOWLEDGE: Final = "knowledge_base"
_MARKER: Final = "marker"
_REFUSED: Final = 400


class Assistants:
    """A copy's parts: LLM, knowledge base, and the marker."""

    lives_on_numbers: Final = False
    lost_features = staticmethod(definition.lost_features)
    check_link = staticmethod(links.check_link)
    manage_link = staticmethod(links.manage_link)

    async def find_copy(self, client: Client, marker: str) -> Copy | None:
        """Also an unfinished one: without an agent its `remote_id` is None."""
        agent = await _find_agent(client, marker)
        llm = None if agent is not None else await _find_llm(client, marker)
        llm_id = llm_of(agent) if agent is not None else None if llm is None else str(llm["llm_id"])
        knowledge = ids_of(await list_knowledge(client, marker))
        if agent is None and llm_id is None and not knowledge:
            return None
        remote_id = None if agent is None else str(agent["agent_id"])
        published = agent is not None and agent.get("is_published") is True
        return _copy(marker, remote_id, llm_id, next(iter(knowledge), None), version_of(agent) if published else None)

    async def put_copy(
        self,
        client: Client,
        assistant: Assistant,
        wiring: Wiring,
        copy: Copy | None,
        _: Sequence[Registration],  # calls and numbers name their agent, not vice versa
    ) -> Copy:
        client = client.hiding(wiring.secret)
        agent = await _find_usable_agent(client, assistant.marker, copy)
        knowledge = await keep_knowledge(client, assistant)
        llm_fields = definition.llm_body(assistant, wiring, knowledge.current)
        agent_fields = definition.agent_body(assistant, wiring)
        if agent is None:
            draft = await _create(client, assistant.marker, llm_fields, agent_fields)
        else:
            draft = await _change(client.about_agent(), agent, llm_fields, agent_fields)
        if knowledge.current is not None:
            await wait_for_knowledge(client, knowledge.current)
        await draft.publish(client.about_agent())
        await delete_knowledge(client, knowledge.superseded)
        return _copy(assistant.marker, draft.agent_id, draft.llm_id, knowledge.current, draft.version)

    async def delete_copy(self, client: Client, copy: Copy, _: Sequence[Registration]) -> None:
        parts = dict(copy.parts)
        knowledge = {parts[_KNOWLEDGE]} if _KNOWLEDGE in parts else set()
        if _MARKER in parts:
            knowledge.update(ids_of(await list_knowledge(client, parts[_MARKER])))
        if copy.remote_id is not None:
            await client.remove(f"/delete-agent/{copy.remote_id}")
        if _LLM in parts:
            await _delete_llm(client, parts[_LLM])
        await delete_knowledge(client, sorted(knowledge))


async def _find_usable_agent(client: Client, marker: str, copy: Copy | None) -> dict[str, Any] | None:
    """The agent that we created earlier, newest version. One whose LLM was deleted cannot work and is deleted too."""
    agent = None
    if copy is not None and copy.remote_id is not None:
        agent = await client.about_agent().look("GET", f"/get-agent/{copy.remote_id}", "agent_id")
    if agent is None:
        agent = await _find_agent(client, marker)
    if agent is None:
        return None
    llm_id = llm_of(agent)
    if llm_id is not None and await client.look("GET", f"/get-retell-llm/{llm_id}", "llm_id") is not None:
        return agent
    await client.remove(f"/delete-agent/{agent['agent_id']}")
    return None


async def _find_agent(client: Client, marker: str) -> dict[str, Any] | None:
    tag = definition.tag(marker)
    wanted = {"filter_criteria": {"query": tag}}
    async for item in client.list_all("POST", "/v2/list-agents", "agent_id", json=wanted):
        if str(item.get("agent_name")).endswith(tag):
            return await client.look("GET", f"/get-agent/{item['agent_id']}", "agent_id")
    return None


async def _find_llm(client: Client, marker: str) -> dict[str, Any] | None:
    async for item in client.list_all("GET", "/v2/list-retell-llms", "llm_id"):
        if find(item, "default_dynamic_variables", definition.MARKER) == marker:
            return item
    return None


async def _create(client: Client, marker: str, llm_fields: object, agent_fields: dict[str, Any]) -> Draft:
    """A new agent, with the LLM that an earlier attempt left, if any."""
    llm = await _find_llm(client, marker)
    if llm is not None and llm.get("is_published") is True:  # its agent is gone, and a published LLM cannot change
        await _delete_llm(client, str(llm["llm_id"]))
        llm = None
    if llm is None:
        llm = await client.ask("POST", "/create-retell-llm", "llm_id", json=llm_fields)
    else:
        await client.ask("PATCH", f"/update-retell-llm/{llm['llm_id']}", json=llm_fields)
    engine = {"type": "retell-llm", "llm_id": llm["llm_id"]}
    made = await client.ask("POST", "/create-agent", "agent_id", json={**agent_fields, "response_engine": engine})
    return read_draft({**made, "response_engine": engine})


async def _change(client: Client, agent: dict[str, Any], llm_fields: object, agent_fields: object) -> Draft:
    """Continues a draft that an earlier attempt left."""
    published = agent.get("is_published") is True
    draft = await start_draft(client, agent, version_of(agent)) if published else read_draft(agent)
    await draft.change_llm(client, llm_fields)
    await draft.change_agent(client, agent_fields)
    return draft


async def _delete_llm(client: Client, llm_id: str) -> None:
    """Retell refuses to delete an LLM that another agent uses; it stays."""
    try:
        await client.remove(f"/delete-retell-llm/{llm_id}")
    except ProviderError as error:
        if error.status != _REFUSED:
            raise


def _copy(marker: str, remote_id: str | None, llm_id: str | None, knowledge: str | None, version: int | None) -> Copy:
    parts = {_MARKER: marker, _LLM: llm_id, _KNOWLEDGE: knowledge}
    return Copy(
        remote_id,
        {name: value for name, value in parts.items() if value is not None and (name == _MARKER or is_id(value))},
        None if version is None else str(version),
    )
