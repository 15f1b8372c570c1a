"""Assistants at Bland: settings of every number that a client has there, with the tools and knowledge they refer to.

Nothing is created twice: tools and knowledge bases are looked for by name, and a number's settings are written whole.
A process may die at any point, so new parts are created first, then the numbers are changed, then unused parts deleted.
Bland docs: Update inbound number details, Number details, List inbound numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from adapters.base import ErrorKind, GoneError, ProviderError, bad_request
from adapters.bland import parts, settings
from adapters.bland.api import Client
from adapters.bland.inbound import account_of, free_number, list_numbers, read_settings, write_settings
from adapters.bland.parts import Part
from adapters.bland.tools import mark_of, transfer_tool, wanted_tools
from adapters.facets import Managed
from adapters.portable import Assistant, Copy, Registration, Wiring
from crypto.secret import Secret


@dataclass(frozen=True, slots=True)
class Assistants:
    """`knowledge` is where an assistant's texts go."""

    lives_on_numbers: ClassVar[bool] = True

    knowledge: settings.KnowledgePlace = settings.KNOWLEDGE_PLACE

    def lost_features(self, assistant: Assistant) -> tuple[str, ...]:
        return settings.lost_features(assistant, self.knowledge)

    async def find_copy(self, client: Client, marker: str) -> Copy | None:
        found = await parts.find_parts(client, mark_of(marker))
        if found or await _numbers_of(client, marker):
            return Copy(None, parts.keep_parts(marker, found))
        return None

    async def put_copy(
        self,
        client: Client,
        assistant: Assistant,
        wiring: Wiring,
        copy: Copy | None,
        numbers: Sequence[Registration],
    ) -> Copy:
        """A number that is gone or cannot be changed is left out. Raises its refusal if no other one is left."""
        client = client.hiding(wiring.secret)
        mark = mark_of(assistant.marker)
        # Knowledge is looked for only if there may be some: its list is long, and comes in pages.
        had_some = copy is None or any(part.kind == "knowledge" for part in parts.kept_parts(copy.parts))
        found = await parts.find_parts(client, mark, knowledge=bool(assistant.knowledge) or had_some)
        used = await parts.put_tools(client, wanted_tools(assistant, wiring, mark), found)
        base = None
        if assistant.knowledge and self.knowledge == "base" and settings.fits_base(assistant.knowledge):
            base = await parts.put_knowledge(client, assistant, mark, found)
        if base:
            used.append(base)
        in_prompt = base is None and settings.fits_prompt(assistant.knowledge)
        text = settings.write_knowledge(assistant.knowledge) if in_prompt else ""
        changes = settings.number_settings(assistant, wiring, [part.id for part in used], text)
        left_out = await _configure_all(client, numbers, changes)
        await parts.delete_parts(client, _without(found, used))
        return Copy(None, parts.keep_parts(assistant.marker, used), left_out=left_out)

    async def delete_copy(self, client: Client, copy: Copy, numbers: Sequence[Registration]) -> None:
        """Numbers that had it take messages from then on: a prompt cannot be empty at Bland."""
        marker = copy.parts.get("marker")
        for number in numbers:
            await free_number(client, number, marker)
        left = parts.kept_parts(copy.parts)
        if marker:
            await _free_strays(client, marker, {number.remote_id for number in numbers})
            found = await parts.find_parts(client, mark_of(marker))
            left = [*found, *_without(left, found)]
        await parts.delete_parts(client, left)

    async def check_link(self, client: Client, remote_id: str) -> None:
        """`remote_id`: the number there, E.164, that has an assistant made by hand."""
        current = await read_settings(client, remote_id)
        if not any(current.get(name) for name in ("prompt", "pathway_id", "persona_id")):
            raise bad_request(f"the number {remote_id} has no prompt at Bland")

    async def manage_link(
        self,
        client: Client,
        remote_id: str,
        manage: Sequence[Managed],
        wiring: Wiring,
        numbers: Sequence[Registration] = (),
    ) -> bool:
        """Raises ProviderError(BAD_REQUEST) if that would remove something that was made by hand."""
        account = next((account_of(number) for number in numbers if number.remote_id == remote_id), None)
        client = client.hiding(wiring.secret)
        current = await read_settings(client, remote_id)
        if current.get("pathway_id") or current.get("persona_id") or not current.get("prompt"):
            raise bad_request(
                f"a pathway or persona answers {remote_id} at Bland: enter webhook and transfer there by hand"
            )
        changes: dict[str, Any] = {}
        if "webhook" in manage and current.get("webhook") != wiring.webhook_url:
            changes["webhook"] = Secret(wiring.webhook_url)
        superseded: list[Part] = []
        if "transfer" in manage:
            tools, superseded = await _add_transfer(client, remote_id, current, wiring)
            if tools != current["tools"]:
                changes["tools"] = tools
        if changes:
            required = {"prompt": current["prompt"]}
            await write_settings(client.holding(account), remote_id, {**required, **changes})
        await parts.delete_parts(client, superseded)
        return bool(changes)


async def _configure_all(client: Client, numbers: Sequence[Registration], changes: Mapping[str, Any]) -> dict[str, str]:
    """The numbers that could not be changed, and why. Raises the refusal if that is all of them, and they are there."""
    refused: dict[str, ProviderError] = {}
    for number in numbers:
        try:
            await _configure(client.holding(account_of(number)), number.remote_id, changes)
        except ProviderError as error:
            if error.kind is not ErrorKind.BAD_REQUEST:
                raise
            refused[number.remote_id] = error
    there = [error for error in refused.values() if not isinstance(error, GoneError)]
    if there and len(refused) == len(numbers):
        raise there[0]
    return {e164: error.said for e164, error in refused.items()}


async def _configure(client: Client, e164: str, changes: Mapping[str, Any]) -> None:
    current = await read_settings(client, e164)
    if settings.is_made_by_hand(current):
        raise bad_request(f"a pathway or persona answers {e164} at Bland: take it off the number there")
    freed = {"pathway_id": None} if current.get("pathway_id") else {}
    await write_settings(client, e164, {**changes, **freed})


async def _free_strays(client: Client, marker: str, known: set[str]) -> None:
    """Numbers that still have it but are not known as the client's. Those that Bland does not let us change are on an
    account whose key we no longer hold: they are not ours to free.
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
    return [e164 for e164, current in await list_numbers(client) if settings.marker_on(current) == marker]


async def _add_transfer(
    client: Client, e164: str, current: Mapping[str, Any], wiring: Wiring
) -> tuple[list[Any], list[Part]]:
    """The number's tools with ours, and what ours supersedes."""
    if "tools" not in current or not isinstance(current["tools"], list | None):
        raise bad_request(f"Bland does not show the tools of {e164}: ours would replace them all")
    mark = mark_of(f"link {e164}")
    found = await parts.find_parts(client, mark, knowledge=False)
    (ours,) = await parts.put_tools(client, [transfer_tool(wiring, mark)], found)
    superseded = _without(found, [ours])
    gone = {part.id for part in superseded} | {ours.id}
    others = [tool for tool in current["tools"] or () if not (isinstance(tool, str) and tool in gone)]
    return [*others, ours.id], superseded


def _without(found: Sequence[Part], others: Sequence[Part]) -> list[Part]:
    ids = {part.id for part in others}
    return [part for part in found if part.id not in ids]
