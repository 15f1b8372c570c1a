"""An assistant's knowledge as documents of the workspace. A document's name says whose it is and what is in it, so that
none is stored twice or left.

ElevenLabs docs: Create document from text, List and delete knowledge base documents.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from adapters.elevenlabs.api import Client
from adapters.portable import Assistant, Knowledge

_PATH: Final = "/v1/convai/knowledge-base"
_READABLE: Final = 40  # characters of the name that are for people
_DIGITS: Final = 12
_MOST_IN_PROMPT: Final = 20_000  # characters; beyond that, the model gets what fits a question (RAG)


@dataclass(frozen=True, slots=True)
class Kept:
    """The documents in use as agents name them, and the ids of those that they replace."""

    current: tuple[dict[str, Any], ...]
    superseded: tuple[str, ...] = ()


async def keep_knowledge(client: Client, assistant: Assistant) -> Kept:
    """Creates what is missing; superseded documents stay until the caller deletes them."""
    stored = await list_documents(client, assistant.marker)
    ids = {str(one.get("name")): str(one["id"]) for one in reversed(stored)}
    mode = "auto" if is_searched(assistant) else "prompt"
    current: dict[str, dict[str, Any]] = {}
    for one in assistant.knowledge:
        name = _name(assistant.marker, one)
        if name not in ids:
            ids[name] = await _create(client, name, one)
        current[ids[name]] = {"type": "text", "name": name, "id": ids[name], "usage_mode": mode}
    return Kept(tuple(current.values()), tuple(one["id"] for one in stored if one["id"] not in current))


def is_searched(assistant: Assistant) -> bool:
    """Whether there is too much knowledge to stand in every prompt."""
    return sum(len(one.title) + len(one.text) for one in assistant.knowledge) > _MOST_IN_PROMPT


async def list_documents(client: Client, marker: str) -> list[dict[str, Any]]:
    owner = _owner(marker)
    return [
        one async for one in client.list_all(_PATH, "documents", "id", search=owner) if owner in str(one.get("name"))
    ]


async def delete_documents(client: Client, ids: Iterable[str]) -> None:
    for one in ids:
        await client.remove_unused(f"{_PATH}/{one}")


async def _create(client: Client, name: str, knowledge: Knowledge) -> str:
    text = f"{knowledge.title}\n\n{knowledge.text}\n"
    return str((await client.ask("POST", f"{_PATH}/text", "id", json={"name": name, "text": text}))["id"])


def _name(marker: str, knowledge: Knowledge) -> str:
    content = _digest(f"{knowledge.title}\0{knowledge.text}")
    return f"{knowledge.title[:_READABLE].strip()} {_owner(marker)}{content}"


def _owner(marker: str) -> str:
    return f"{_digest(marker)}-"


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
