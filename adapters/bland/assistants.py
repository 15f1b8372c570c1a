"""Assistants at Bland: settings of every number that a client has there, with the tools and knowledge they refer to.

Nothing is made twice: tools and knowledge bases are looked for by name, and a number's settings are written whole. First
what is new is made, then the numbers change over to it, then what they no longer use is deleted: a process may die
anywhere in between. Bland docs: Update inbound number details, Number details, List inbound numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from adapters.base import ErrorKind, ProviderError
from adapters.bland.api import Client
from adapters.bland.inbound import account_of, free_number, list_numbers, read_settings, write_settings
from adapters.bland.parts import (
    Part,
    delete_part,
    find_knowledge,
    find_tools,
    keep_parts,
    kept_parts,
    put_knowledge,
    put_tools,
)
from adapters.bland.settings import (
    KNOWLEDGE_PLACE,
    KnowledgePlace,
    fits_base,
    fits_prompt,
    is_made_by_hand,
    lost_features,
    marker_on,
    number_settings,
    write_knowledge,
)
from adapters.bland.tools import mark_of, transfer_tool, wanted_tools
from adapters.facets import Managed
from adapters.portable import Assistant, Copy, Registration, Wiring
from crypto.secret import Secret


@dataclass(frozen=True, slots=True)
class Assistants:
    """`knowledge` is where an assistant's texts go."""

    lives_on_numbers: ClassVar[bool] = True

    knowledge: KnowledgePlace = KNOWLEDGE_PLACE

    def lost_features(self, assistant: Assistant) -> tuple[str, ...]:
        return lost_features(assistant, self.knowledge)

    async def find_copy(self, client: Client, marker: str) -> Copy | None:
        mark = mark_of(marker)
        parts = [*await find_tools(client, mark), *await find_knowledge(client, mark)]
        if parts or await _numbers_of(client, marker):
            return Copy(None, keep_parts(marker, parts))
        return None

    async def put_copy(
        self,
        client: Client,
        assistant: Assistant,
        wiring: Wiring,
        copy: Copy | None,
        numbers: Sequence[Registration],
    ) -> Copy:
        """A number that cannot be changed keeps none of the others back; its refusal is raised at the end."""
        client = client.hiding(wiring.secret)
        mark = mark_of(assistant.marker)
        found = await _find_parts(client, assistant, copy, mark)
        used: list[Part] = await put_tools(client, wanted_tools(assistant, wiring, mark), found)
        base = None
        if assistant.knowledge and self.knowledge == "base" and fits_base(assistant.knowledge):
            base = await put_knowledge(client, assistant, mark, found)
        if base:
            used.append(base)
        in_prompt = bool(assistant.knowledge) and base is None and fits_prompt(assistant.knowledge)
        settings = number_settings(
            assistant,
            wiring,
            [part.id for part in used],
            write_knowledge(assistant.knowledge) if in_prompt else "",
        )
        await _configure_all(client, numbers, settings)
        for part in _without(found, used):
            await delete_part(client, part)
        return Copy(None, keep_parts(assistant.marker, used))

    async def delete_copy(self, client: Client, copy: Copy, numbers: Sequence[Registration]) -> None:
        """Numbers that had it take messages from then on: a prompt cannot be empty at Bland."""
        marker = copy.parts.get("marker")
        for number in numbers:
            await free_number(client, number, marker)
        parts = kept_parts(copy.parts)
        if marker:
            await _free_strays(client, marker, {number.remote_id for number in numbers})
            mark = mark_of(marker)
            left = [*await find_tools(client, mark), *await find_knowledge(client, mark)]
            parts = [*left, *_without(parts, left)]
        for part in parts:
            await delete_part(client, part)

    async def check_link(self, client: Client, remote_id: str) -> None:
        """`remote_id`: the number there, E.164, that has an assistant made by hand."""
        settings = await read_settings(client, remote_id)
        if not any(settings.get(name) for name in ("prompt", "pathway_id", "persona_id")):
            raise ProviderError(ErrorKind.BAD_REQUEST, said=f"the number {remote_id} has no prompt at Bland")

    async def manage_link(self, client: Client, remote_id: str, manage: Sequence[Managed], wiring: Wiring) -> None:
        """Raises ProviderError(BAD_REQUEST) where that would take away something that was made by hand."""
        if not manage:
            return
        client = client.hiding(wiring.secret)
        settings = await read_settings(client, remote_id)
        if settings.get("pathway_id") or settings.get("persona_id") or not settings.get("prompt"):
            raise ProviderError(
                ErrorKind.BAD_REQUEST,
                said=f"a pathway or persona answers {remote_id} at Bland: enter webhook and transfer there by hand",
            )
        changes: dict[str, Any] = {"prompt": settings["prompt"]}  # required with every change
        if "webhook" in manage:
            changes["webhook"] = Secret(wiring.webhook_url)
        superseded: list[Part] = []
        if "transfer" in manage:
            changes["tools"], superseded = await _add_transfer(client, remote_id, settings, wiring)
        await write_settings(client, remote_id, changes)
        for part in superseded:
            await delete_part(client, part)

    def lost_of_link(self, manage: Sequence[str]) -> tuple[str, ...]:
        lost = {"events": "webhook" not in manage, "transfer": "transfer" not in manage}
        return tuple(feature for feature, is_lost in lost.items() if is_lost)


async def _find_parts(client: Client, assistant: Assistant, copy: Copy | None, mark: str) -> list[Part]:
    """Knowledge is asked for only where there may be some: its list is long, and comes in pages."""
    found = await find_tools(client, mark)
    had_some = copy is None or any(part.kind == "knowledge" for part in kept_parts(copy.parts))
    if assistant.knowledge or had_some:
        found.extend(await find_knowledge(client, mark))
    return found


async def _configure_all(client: Client, numbers: Sequence[Registration], settings: Mapping[str, Any]) -> None:
    refused: ProviderError | None = None
    for number in numbers:
        try:
            await _configure(client, number, settings)
        except ProviderError as error:
            if error.kind is not ErrorKind.BAD_REQUEST:
                raise
            refused = refused or error
    if refused is not None:
        raise refused


async def _configure(client: Client, number: Registration, settings: Mapping[str, Any]) -> None:
    e164, account = number.remote_id, account_of(number)
    current = await read_settings(client, e164, account)
    if is_made_by_hand(current):
        raise ProviderError(
            ErrorKind.BAD_REQUEST,
            said=f"a pathway or persona answers {e164} at Bland: take it off the number there",
        )
    freed = {"pathway_id": None} if current.get("pathway_id") else {}
    await write_settings(client, e164, {**settings, **freed}, account)


async def _free_strays(client: Client, marker: str, known: set[str]) -> None:
    """Numbers that still have it without being known as the client's. One that Bland does not let us change has gone
    over to an account whose key we no longer hold: it is not ours to free.
    """
    for e164 in await _numbers_of(client, marker):
        if e164 in known:
            continue
        try:
            await free_number(client, Registration(e164), marker)
        except ProviderError as error:
            if error.kind is not ErrorKind.BAD_REQUEST:
                raise


async def _numbers_of(client: Client, marker: str) -> list[str]:
    return [e164 for e164, settings in await list_numbers(client) if marker_on(settings) == marker]


async def _add_transfer(
    client: Client, e164: str, settings: Mapping[str, Any], wiring: Wiring
) -> tuple[list[Any], list[Part]]:
    """The number's tools with ours, and what ours supersedes."""
    if "tools" not in settings or not isinstance(settings["tools"], list | None):
        raise ProviderError(
            ErrorKind.BAD_REQUEST, said=f"Bland does not show the tools of {e164}: ours would replace them all"
        )
    mark = mark_of(f"link {e164}")
    found = await find_tools(client, mark)
    (ours,) = await put_tools(client, [transfer_tool(wiring, mark)], found)
    superseded = _without(found, [ours])
    gone = {part.id for part in superseded} | {ours.id}
    others = [tool for tool in settings["tools"] or () if not (isinstance(tool, str) and tool in gone)]
    return [*others, ours.id], superseded


def _without(parts: Sequence[Part], others: Sequence[Part]) -> list[Part]:
    ids = {part.id for part in others}
    return [part for part in parts if part.id not in ids]
