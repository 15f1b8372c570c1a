"""An assistant's knowledge as files at Vapi. A file's name says what it holds, so that none is stored twice or left.

Vapi docs: Knowledge base; its API's schema: File.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from adapters.portable import Assistant, Knowledge
from adapters.requests import Part
from adapters.vapi.api import Client, path_of


async def store_knowledge(client: Client, assistant: Assistant) -> tuple[list[str], set[str]]:
    """The ids of the files with its knowledge, uploaded where missing; and the ids of superseded files, to be deleted
    once nothing refers to them.
    """
    stored = await _stored_files(client, assistant.marker)
    ids: list[str] = []
    for one in assistant.knowledge:
        name = _file_name(assistant.marker, one)
        if name not in stored:
            stored[name] = await _upload(client, name, one)
        if stored[name] not in ids:
            ids.append(stored[name])
    return ids, set(stored.values()) - set(ids)


async def delete_files(client: Client, ids: Sequence[str]) -> None:
    for file_id in ids:
        await client.remove(path_of("file", file_id))


async def _stored_files(client: Client, marker: str) -> dict[str, str]:
    """Ids by name. The list has no pages, and is read every time: an agency may have deleted a file there."""
    beginning = _beginning(marker)
    named = [
        (name, file["id"])
        for file in await client.list_whole("/file", "id")
        for name in (file.get("name"), file.get("originalName"))
    ]
    return {name: file_id for name, file_id in named if isinstance(name, str) and name.startswith(beginning)}


async def _upload(client: Client, name: str, knowledge: Knowledge) -> str:
    text = f"{knowledge.title}\n\n{knowledge.text}\n"
    file = await client.ask("POST", "/file", "id", form=[Part("file", text, name, "text/plain")])
    return str(file["id"])


def _file_name(marker: str, knowledge: Knowledge) -> str:
    """Says whose it is and what is in it. Vapi keeps 40 characters of a name."""
    return f"{_beginning(marker)}{_digest(knowledge.title, knowledge.text)[:14]}.txt"


def _beginning(marker: str) -> str:
    return f"callrouter-{_digest(marker)[:10]}-"


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
