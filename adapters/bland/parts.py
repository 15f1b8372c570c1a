"""What belongs to an assistant apart from its numbers: tools and a knowledge base, looked for before they are created.

Bland docs: List, create and delete custom tools; list, create and delete knowledge bases. All of an assistant's texts
are one knowledge base, because Bland takes a few seconds for each and refuses the next one until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from adapters.base import ErrorKind, ProviderError
from adapters.bland.api import Client, listed
from adapters.bland.settings import fits_prompt, write_knowledge
from adapters.bland.tools import Tool, is_marked, marked_name
from adapters.client import LISTS
from adapters.portable import Assistant
from adapters.replies import find, is_id, number

_PAGE: Final = 100  # knowledge bases, the most that Bland gives at once
_MOST_PAGES: Final = 100
_MOST_NAME: Final = 60


@dataclass(frozen=True, slots=True)
class Part:
    """A tool or knowledge base of ours at Bland."""

    kind: Literal["tool", "knowledge"]
    id: str
    name: str
    usable: bool = True


async def find_parts(client: Client, mark: str, *, knowledge: bool = True) -> list[Part]:
    """All of one assistant, duplicates and superseded ones included: its tools, and its `knowledge` bases."""
    return [*await _find_tools(client, mark), *(await _find_knowledge(client, mark) if knowledge else ())]


async def _find_tools(client: Client, mark: str) -> list[Part]:
    answer = await client.ask("GET", "/v1/tools", max_bytes=LISTS)
    named = ((each.get("tool_id"), find(each, "tool", "name") or each.get("name")) for each in listed(answer, "tools"))
    return [Part("tool", part_id, name) for part_id, name in _read_ids(named) if is_marked(name, mark)]


async def _find_knowledge(client: Client, mark: str) -> list[Part]:
    """Those that Bland failed to read are not usable."""
    found: list[Part] = []
    seen = 0
    for page in range(1, _MOST_PAGES + 1):
        answer = await client.ask("GET", "/v1/knowledge", query={"page": page, "limit": _PAGE}, max_bytes=LISTS)
        page_of_bases = listed(answer, "kbs")
        bases = [each for each in page_of_bases if each.get("status") != "DELETED"]
        failed = {each.get("id") for each in bases if each.get("status") == "FAILED"}
        named = _read_ids((each.get("id"), each.get("name")) for each in bases)
        found.extend(
            Part("knowledge", base_id, name, base_id not in failed) for base_id, name in named if is_marked(name, mark)
        )
        seen += len(page_of_bases)
        total = number(find(answer, "data", "total"))
        if not page_of_bases or (seen >= total if total is not None else seen < page * _PAGE):
            break
    return found


async def put_tools(client: Client, wanted: Sequence[Tool], found: Sequence[Part]) -> list[Part]:
    """Those wanted: each as found, else a new one."""
    return [_the_one(found, tool.name) or await _make_tool(client, tool) for tool in wanted]


async def put_knowledge(client: Client, assistant: Assistant, mark: str, found: Sequence[Part]) -> Part | None:
    """The knowledge base of all texts. None if Bland creates no more for this account, but the prompt can hold them."""
    text = write_knowledge(assistant.knowledge)
    name = marked_name(assistant.name[:_MOST_NAME], mark, text)
    there = _the_one(found, name)
    if there:
        return there
    titles = ", ".join(each.title for each in assistant.knowledge)
    body = {"type": "text", "name": name, "description": f"About {assistant.name}: {titles}"[:500], "text": text}
    try:
        answer = await client.ask("POST", "/v1/knowledge/learn", json=body)
    except ProviderError as error:
        if error.kind is ErrorKind.BAD_REQUEST and fits_prompt(assistant.knowledge):
            return None
        raise
    return Part("knowledge", _read_id(find(answer, "data", "id") or answer.get("id")), name)


async def delete_parts(client: Client, parts: Iterable[Part]) -> None:
    """Also fine if they are gone already."""
    for part in parts:
        await client.look("DELETE", f"{'/v1/tools' if part.kind == 'tool' else '/v1/knowledge'}/{part.id}")


def keep_parts(marker: str, parts: Iterable[Part]) -> dict[str, str]:
    """As a Copy has them: ids by kind and name, and the marker, by which further ones can be found."""
    return {"marker": marker, **{f"{part.kind}:{part.name}": part.id for part in parts}}


def kept_parts(kept: Mapping[str, str]) -> list[Part]:
    """The reverse of `keep_parts`."""
    named = ((name.partition(":"), part_id) for name, part_id in kept.items() if is_id(part_id))
    return [
        Part("tool" if kind == "tool" else "knowledge", part_id, name)
        for (kind, _, name), part_id in named
        if kind in {"tool", "knowledge"}
    ]


async def _make_tool(client: Client, tool: Tool) -> Part:
    answer = await client.ask("POST", "/v1/tools", json=tool.body)
    return Part("tool", _read_id(answer.get("tool_id") or find(answer, "data", "tool_id")), tool.name)


def _the_one(found: Sequence[Part], name: str) -> Part | None:
    return next((part for part in found if part.name == name and part.usable), None)


def _read_ids(named: Iterable[tuple[Any, Any]]) -> list[tuple[str, str]]:
    return [(part_id, name) for part_id, name in named if is_id(part_id) and isinstance(name, str)]


def _read_id(given: Any) -> str:
    if not is_id(given):
        raise ProviderError(ErrorKind.MALFORMED_REPLY)
    return given
