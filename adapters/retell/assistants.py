"""Our copies at Retell: an LLM, the agent that speaks with it, and a knowledge base, all with the client's marker.

Each is looked for before it is made, so that whoever takes over from a process that died finishes its work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from adapters.base import ProviderError
from adapters.portable import Assistant, Copy, Counterpart, Wiring
from adapters.replies import find
from adapters.retell import definition
from adapters.retell.api import Api, Asker, is_id
from adapters.retell.knowledge import delete_knowledge, ids_of, keep_knowledge, list_knowledge, wait_for_knowledge
from adapters.retell.versions import Draft, llm_of, read_draft, start_draft, version_of
from crypto.secret import Secret

_LLM: Final = "llm"
_KNOWLEDGE: Final = "knowledge_base"
_MARKER: Final = "marker"
_REFUSED: Final = 400


class Assistants:
    """AssistantHost at Retell, as far as our own copies go. Their parts: LLM, knowledge base, and the marker."""

    _api: Api
    lives_on_numbers: Final = False

    def lost_features(self, assistant: Assistant) -> tuple[str, ...]:
        return definition.lost_features(assistant)

    async def find_copy(self, marker: str, key: Secret, limit: float) -> Copy | None:
        """Also what was only begun: without an agent its `remote_id` is None."""
        asker = self._api.asker(key, limit)
        agent = await _find_agent(asker, marker)
        llm = None if agent is not None else await _find_llm(asker, marker)
        llm_id = llm_of(agent) if agent is not None else None if llm is None else str(llm["llm_id"])
        knowledge = ids_of(await list_knowledge(asker, marker))
        if agent is None and llm_id is None and not knowledge:
            return None
        remote_id = None if agent is None else str(agent["agent_id"])
        published = agent is not None and agent.get("is_published") is True
        return _copy(marker, remote_id, llm_id, next(iter(knowledge), None), version_of(agent) if published else None)

    async def put_copy(
        self,
        assistant: Assistant,
        wiring: Wiring,
        copy: Copy | None,
        numbers: Sequence[Counterpart],  # noqa: ARG002 - calls and numbers name their agent, not the other way round
        key: Secret,
        limit: float,
    ) -> Copy:
        asker = self._api.asker(key, limit, wiring.secret)
        agent = await _find_usable_agent(asker, assistant.marker, copy)
        knowledge = await keep_knowledge(asker, assistant)
        llm_fields = definition.llm_body(assistant, wiring, knowledge.current)
        agent_fields = definition.agent_body(assistant, wiring)
        if agent is None:
            draft = await _create(asker, assistant.marker, llm_fields, agent_fields)
        else:
            draft = await _change(asker, agent, llm_fields, agent_fields)
        if knowledge.current is not None:
            await wait_for_knowledge(asker, knowledge.current)
        await draft.publish(asker)
        await delete_knowledge(asker, knowledge.superseded)
        return _copy(assistant.marker, draft.agent_id, draft.llm_id, knowledge.current, draft.version)

    async def delete_copy(
        self,
        copy: Copy,
        numbers: Sequence[Counterpart],  # noqa: ARG002 - see put_copy
        key: Secret,
        limit: float,
    ) -> None:
        asker = self._api.asker(key, limit)
        parts = dict(copy.parts)
        knowledge = {parts[_KNOWLEDGE]} if _KNOWLEDGE in parts else set()
        if _MARKER in parts:
            knowledge.update(ids_of(await list_knowledge(asker, parts[_MARKER])))
        if copy.remote_id is not None:
            await asker.remove(f"/delete-agent/{copy.remote_id}")
        if _LLM in parts:
            await _delete_llm(asker, parts[_LLM])
        await delete_knowledge(asker, sorted(knowledge))


async def _find_usable_agent(asker: Asker, marker: str, copy: Copy | None) -> dict[str, Any] | None:
    """The agent that we made earlier, newest version. One whose LLM was deleted can never speak again: it is deleted."""
    agent = None
    if copy is not None and copy.remote_id is not None:
        agent = await asker.look(f"/get-agent/{copy.remote_id}", "agent_id")
    if agent is None:
        agent = await _find_agent(asker, marker)
    if agent is None:
        return None
    llm_id = llm_of(agent)
    if llm_id is not None and await asker.look(f"/get-retell-llm/{llm_id}", "llm_id") is not None:
        return agent
    await asker.remove(f"/delete-agent/{agent['agent_id']}")
    return None


async def _find_agent(asker: Asker, marker: str) -> dict[str, Any] | None:
    tag = definition.tag(marker)
    wanted = {"filter_criteria": {"query": tag}}
    async for item in asker.list_all("POST", "/v2/list-agents", "agent_id", json=wanted):
        if str(item.get("agent_name")).endswith(tag):
            return await asker.look(f"/get-agent/{item['agent_id']}", "agent_id")
    return None


async def _find_llm(asker: Asker, marker: str) -> dict[str, Any] | None:
    async for item in asker.list_all("GET", "/v2/list-retell-llms", "llm_id"):
        if find(item, "default_dynamic_variables", definition.MARKER) == marker:
            return item
    return None


async def _create(asker: Asker, marker: str, llm_fields: object, agent_fields: dict[str, Any]) -> Draft:
    """A new agent, with the LLM that an earlier attempt has left if there is one."""
    llm = await _find_llm(asker, marker)
    if llm is not None and llm.get("is_published") is True:  # its agent is gone, and it cannot change any more
        await _delete_llm(asker, str(llm["llm_id"]))
        llm = None
    if llm is None:
        llm = await asker.ask("POST", "/create-retell-llm", "llm_id", json=llm_fields)
    else:
        await asker.ask("PATCH", f"/update-retell-llm/{llm['llm_id']}", json=llm_fields)
    engine = {"type": "retell-llm", "llm_id": llm["llm_id"]}
    made = await asker.ask("POST", "/create-agent", "agent_id", json={**agent_fields, "response_engine": engine})
    return read_draft({**made, "response_engine": engine})


async def _change(asker: Asker, agent: dict[str, Any], llm_fields: object, agent_fields: object) -> Draft:
    """A draft that an earlier attempt has left is used up."""
    published = agent.get("is_published") is True
    draft = await start_draft(asker, agent, version_of(agent)) if published else read_draft(agent)
    await draft.change_llm(asker, llm_fields)
    await draft.change_agent(asker, agent_fields)
    return draft


async def _delete_llm(asker: Asker, llm_id: str) -> None:
    """One that an agent of somebody else's speaks with stays: Retell refuses, and rightly so."""
    try:
        await asker.remove(f"/delete-retell-llm/{llm_id}")
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
