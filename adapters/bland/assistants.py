"""Assistants at Bland: settings of every number that a client has there, with the tools and knowledge they refer to.

Nothing is made twice: tools and knowledge bases are looked for by name, and a number's settings are written whole. First
what is new is made, then the numbers change over to it, then what they no longer use is deleted: a process may die
anywhere in between. Bland docs: Update inbound number details, Number details, List inbound numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from adapters.base import ErrorKind, ProviderError
from adapters.bland.inbound import Inbound, account_of
from adapters.bland.parts import Part, Parts, keep_parts, kept_parts
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
from adapters.portable import Assistant, Copy, Counterpart, Wiring
from crypto.secret import Secret


class Assistants(Inbound, Parts):
    """`AssistantHost` for Bland. Every method raises ProviderError."""

    lives_on_numbers: Final = True
    _knowledge: KnowledgePlace = KNOWLEDGE_PLACE

    def lost_features(self, assistant: Assistant) -> tuple[str, ...]:
        return lost_features(assistant, self._knowledge)

    async def find_copy(self, marker: str, key: Secret, limit: float) -> Copy | None:
        mark = mark_of(marker)
        parts = [*await self.find_tools(mark, key, limit), *await self.find_knowledge(mark, key, limit)]
        if parts or await self._numbers_of(marker, key, limit):
            return Copy(None, keep_parts(marker, parts))
        return None

    async def put_copy(
        self,
        assistant: Assistant,
        wiring: Wiring,
        copy: Copy | None,
        numbers: Sequence[Counterpart],
        key: Secret,
        limit: float,
    ) -> Copy:
        """A number that cannot be changed keeps none of the others back; its refusal is raised at the end."""
        mark = mark_of(assistant.marker)
        found = await self._find_parts(assistant, copy, mark, key, limit)
        used: list[Part] = await self.put_tools(
            wanted_tools(assistant, wiring, mark), found, wiring, key, limit
        )  # fmt: skip
        base = await self._put_base(assistant, mark, found, key, limit)
        if base:
            used.append(base)
        in_prompt = bool(assistant.knowledge) and base is None and fits_prompt(assistant.knowledge)
        settings = number_settings(
            assistant,
            wiring,
            [part.id for part in used],
            write_knowledge(assistant.knowledge) if in_prompt else "",
        )
        await self._configure_all(numbers, settings, wiring, key, limit)
        for part in _without(found, used):
            await self.delete_part(part, key, limit)
        return Copy(None, keep_parts(assistant.marker, used))

    async def delete_copy(self, copy: Copy, numbers: Sequence[Counterpart], key: Secret, limit: float) -> None:
        """Numbers that had it take messages from then on: a prompt cannot be empty at Bland."""
        marker = copy.parts.get("marker")
        for number in numbers:
            await self.free_number(number, marker, key, limit)
        parts = kept_parts(copy.parts)
        if marker:
            await self._free_strays(marker, {number.remote_id for number in numbers}, key, limit)
            mark = mark_of(marker)
            left = [*await self.find_tools(mark, key, limit), *await self.find_knowledge(mark, key, limit)]
            parts = [*left, *_without(parts, left)]
        for part in parts:
            await self.delete_part(part, key, limit)

    async def check_link(self, remote_id: str, key: Secret, limit: float) -> None:
        """`remote_id`: the number there, E.164, that has an assistant made by hand."""
        settings = await self.read_settings(remote_id, key, limit)
        if not any(settings.get(name) for name in ("prompt", "pathway_id", "persona_id")):
            raise ProviderError(ErrorKind.BAD_REQUEST, said=f"the number {remote_id} has no prompt at Bland")

    async def manage_link(
        self,
        remote_id: str,
        manage: Sequence[Literal["webhook", "transfer"]],
        wiring: Wiring,
        key: Secret,
        limit: float,
    ) -> None:
        """Raises ProviderError(BAD_REQUEST) where that would take away something that was made by hand."""
        if not manage:
            return
        settings = await self.read_settings(remote_id, key, limit)
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
            changes["tools"], superseded = await self._add_transfer(remote_id, settings, wiring, key, limit)
        await self.write_settings(remote_id, changes, key, limit, secrets=(wiring.secret,))
        for part in superseded:
            await self.delete_part(part, key, limit)

    def lost_of_link(self, manage: Sequence[str]) -> tuple[str, ...]:
        lost = {"events": "webhook" not in manage, "transfer": "transfer" not in manage}
        return tuple(feature for feature, is_lost in lost.items() if is_lost)

    async def _find_parts(
        self, assistant: Assistant, copy: Copy | None, mark: str, key: Secret, limit: float
    ) -> list[Part]:
        """Knowledge is asked for only where there may be some: its list is long, and comes in pages."""
        found = await self.find_tools(mark, key, limit)
        had_some = copy is None or any(part.kind == "knowledge" for part in kept_parts(copy.parts))
        if assistant.knowledge or had_some:
            found.extend(await self.find_knowledge(mark, key, limit))
        return found

    async def _put_base(
        self, assistant: Assistant, mark: str, found: Sequence[Part], key: Secret, limit: float
    ) -> Part | None:
        if not assistant.knowledge or self._knowledge != "base" or not fits_base(assistant.knowledge):
            return None
        return await self.put_knowledge(assistant, mark, found, key, limit)

    async def _configure_all(
        self, numbers: Sequence[Counterpart], settings: Mapping[str, Any], wiring: Wiring, key: Secret, limit: float
    ) -> None:
        refused: ProviderError | None = None
        for number in numbers:
            try:
                await self._configure(number, settings, wiring, key, limit)
            except ProviderError as error:
                if error.kind is not ErrorKind.BAD_REQUEST:
                    raise
                refused = refused or error
        if refused is not None:
            raise refused

    async def _configure(
        self, number: Counterpart, settings: Mapping[str, Any], wiring: Wiring, key: Secret, limit: float
    ) -> None:
        e164, account = number.remote_id, account_of(number)
        current = await self.read_settings(e164, key, limit, account)
        if is_made_by_hand(current):
            raise ProviderError(
                ErrorKind.BAD_REQUEST,
                said=f"a pathway or persona answers {e164} at Bland: take it off the number there",
            )
        freed = {"pathway_id": None} if current.get("pathway_id") else {}
        await self.write_settings(e164, {**settings, **freed}, key, limit, account, (wiring.secret,))

    async def _free_strays(self, marker: str, known: set[str], key: Secret, limit: float) -> None:
        """Numbers that still have it, though nobody counts them among the client's. One that Bland does not let us
        change has gone over to an account whose key we no longer hold: it is not ours to free.
        """
        for e164 in await self._numbers_of(marker, key, limit):
            if e164 in known:
                continue
            try:
                await self.free_number(Counterpart(e164), marker, key, limit)
            except ProviderError as error:
                if error.kind is not ErrorKind.BAD_REQUEST:
                    raise

    async def _numbers_of(self, marker: str, key: Secret, limit: float) -> list[str]:
        return [e164 for e164, settings in await self.list_numbers(key, limit) if marker_on(settings) == marker]

    async def _add_transfer(
        self, e164: str, settings: Mapping[str, Any], wiring: Wiring, key: Secret, limit: float
    ) -> tuple[list[Any], list[Part]]:
        """The number's tools with ours, and what ours supersedes."""
        if "tools" not in settings or not isinstance(settings["tools"], list | None):
            raise ProviderError(
                ErrorKind.BAD_REQUEST, said=f"Bland does not show the tools of {e164}: ours would replace them all"
            )
        mark = mark_of(f"link {e164}")
        found = await self.find_tools(mark, key, limit)
        (ours,) = await self.put_tools([transfer_tool(wiring, mark)], found, wiring, key, limit)
        superseded = _without(found, [ours])
        gone = {part.id for part in superseded} | {ours.id}
        others = [tool for tool in settings["tools"] or () if not (isinstance(tool, str) and tool in gone)]
        return [*others, ours.id], superseded


def _without(parts: Sequence[Part], others: Sequence[Part]) -> list[Part]:
    ids = {part.id for part in others}
    return [part for part in parts if part.id not in ids]
