"""Versions of an agent: a published version never changes, so every change starts as a draft.

Retell docs: Setup versioning for agents, Create draft agent version, Publish agent. The agent's LLM has versions of its
own: a new draft of the agent brings a draft of its LLM, and publishing publishes both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from adapters.base import ErrorKind, ProviderError
from adapters.replies import find, is_id
from adapters.retell.api import Client

_ENGINE: Final = "retell-llm"


@dataclass(frozen=True, slots=True)
class Draft:
    """An unpublished version of an agent and of its LLM. `llm_id` is None if the agent has another engine."""

    agent_id: str
    version: int
    llm_id: str | None
    llm_version: int | None

    async def change_agent(self, client: Client, fields: object) -> None:
        await client.ask("PATCH", f"/update-agent/{self.agent_id}", json=fields, query={"version": self.version})

    async def change_llm(self, client: Client, fields: object) -> None:
        if self.llm_id is None:
            raise ProviderError(ErrorKind.MALFORMED_REPLY)
        query = {} if self.llm_version is None else {"version": self.llm_version}
        await client.ask("PATCH", f"/update-retell-llm/{self.llm_id}", json=fields, query=query)

    async def publish(self, client: Client) -> None:
        await client.tell("POST", f"/publish-agent-version/{self.agent_id}", json={"version": self.version})


async def start_draft(client: Client, agent: dict[str, Any], base: int) -> Draft:
    """A new draft, a copy of version `base` of the agent."""
    path = f"/create-agent-version/{agent['agent_id']}"
    return read_draft(await client.ask("POST", path, "agent_id", json={"base_version": base}))


def read_draft(agent: dict[str, Any]) -> Draft:
    """An agent as Retell describes it. Raises ProviderError(MALFORMED_REPLY)."""
    llm_version = number_of(find(agent, "response_engine", "version"))
    return Draft(str(agent["agent_id"]), version_of(agent), llm_of(agent), llm_version)


def version_of(agent: Any) -> int:
    """Raises ProviderError(MALFORMED_REPLY) if there is none."""
    version = number_of(find(agent, "version"))
    if version is None:
        raise ProviderError(ErrorKind.MALFORMED_REPLY)
    return version


def number_of(value: Any) -> int | None:
    """A version's number, which Retell's schema allows to be written with a point."""
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    return int(value) if whole and value >= 0 else None


def llm_of(agent: Any) -> str | None:
    """The LLM that an agent speaks with; None for another engine or a malformed id."""
    llm_id = find(agent, "response_engine", "llm_id")
    return str(llm_id) if find(agent, "response_engine", "type") == _ENGINE and is_id(llm_id) else None


async def list_versions(client: Client, agent_id: str) -> list[dict[str, Any]]:
    return [version async for version in client.list_all("GET", f"/list-agent-versions/{agent_id}")]
