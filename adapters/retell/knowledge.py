"""An assistant's knowledge as one knowledge base at Retell. It never changes: other texts make another one.

Retell docs: Create knowledge base. Retell indexes it after its creation; until then agents cannot use it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from adapters.base import bad_request
from adapters.portable import Assistant
from adapters.replies import find
from adapters.requests import Part
from adapters.retell.api import Client

_ID: Final = "knowledge_base_id"
_NAME: Final = "knowledge_base_name"
_READABLE: Final = 14  # characters of the name that are for people: 39 is the most that Retell takes
_OWNER_DIGITS, _TEXT_DIGITS = 12, 10
_WAITS: Final = (0.5, 1, 2, 4, 8)  # seconds; after that, the agent goes live while indexing continues


@dataclass(frozen=True, slots=True)
class Kept:
    """The knowledge base in use, and those that it replaces."""

    current: str | None
    superseded: tuple[str, ...] = ()


async def keep_knowledge(client: Client, assistant: Assistant) -> Kept:
    """Creates it unless it is there; superseded ones stay until the caller deletes them."""
    ours = await list_knowledge(client, assistant.marker)
    if not assistant.knowledge:
        return Kept(None, tuple(ids_of(ours)))
    name = _name(assistant)
    # One that Retell could not index is useless.
    fit = [one for one in ours if find(one, _NAME) == name and find(one, "status") != "error"]
    current = str(fit[0][_ID]) if fit else await _create(client, name, assistant)
    return Kept(current, tuple(one for one in ids_of(ours) if one != current))


async def wait_for_knowledge(client: Client, knowledge_base_id: str) -> None:
    """Waits until it is indexed, 15.5 s at most. Raises ProviderError(BAD_REQUEST) if that failed."""
    for wait in (*_WAITS, None):
        found = await client.ask("GET", f"/get-knowledge-base/{knowledge_base_id}", _ID)
        if found.get("status") == "error":
            raise bad_request("Retell could not read the knowledge. Check the texts, and try again.")
        if found.get("status") == "complete" or wait is None:
            return
        await client.pause(wait)


async def list_knowledge(client: Client, marker: str) -> list[dict[str, Any]]:
    """All that belongs to a client's assistant."""
    owner = _owner(marker)
    return [one for one in await client.list_whole("/list-knowledge-bases", _ID) if owner in str(one.get(_NAME))]


def ids_of(found: Sequence[dict[str, Any]]) -> list[str]:
    return [str(one[_ID]) for one in found]


async def delete_knowledge(client: Client, ids: Sequence[str]) -> None:
    for one in ids:
        await client.remove(f"/delete-knowledge-base/{one}")


async def _create(client: Client, name: str, assistant: Assistant) -> str:
    parts = [Part(_NAME, name), Part("knowledge_base_texts", _texts(assistant))]
    made = await client.ask("POST", "/create-knowledge-base", _ID, form=parts)
    return str(made[_ID])


def _name(assistant: Assistant) -> str:
    """The beginning is for people; the rest says whose it is and what is in it."""
    content = sha256(_texts(assistant).encode()).hexdigest()[:_TEXT_DIGITS]
    return f"{assistant.name[:_READABLE].strip()}{_owner(assistant.marker)}{content}"


def _owner(marker: str) -> str:
    return f" {sha256(marker.encode()).hexdigest()[:_OWNER_DIGITS]}-"


def _texts(assistant: Assistant) -> str:
    return json.dumps([{"title": one.title, "text": one.text} for one in assistant.knowledge])
