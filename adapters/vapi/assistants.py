"""Assistants at Vapi: the copies that we keep there, and linked ones that others made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from adapters.base import GoneError, ProviderError, bad_request
from adapters.facets import Managed
from adapters.portable import Assistant, Copy, Registration, Wiring
from adapters.replies import find, is_id, list_of
from adapters.vapi import definition
from adapters.vapi.api import Client, path_of
from adapters.vapi.knowledge import delete_files, store_knowledge

_PINNED: Final = 409  # "assistant_pinned", the one conflict that deleting an assistant knows (Vapi's API schema)


class Assistants:
    """A copy's parts are the files with its knowledge."""

    lives_on_numbers: Final = False

    def lost_features(self, assistant: Assistant) -> tuple[str, ...]:
        return definition.lost_features(assistant)

    async def find_copy(self, client: Client, marker: str) -> Copy | None:
        async for found in client.list_all("/assistant"):
            if find(found, "metadata", definition.MARKER) == marker:
                return _copy(found["id"], _file_ids(found))
        return None

    async def put_copy(
        self,
        client: Client,
        assistant: Assistant,
        wiring: Wiring,
        copy: Copy | None,
        _: Sequence[Registration],  # numbers at Vapi point to assistants, not the other way round
    ) -> Copy:
        client = client.hiding(wiring.secret)
        old = set(copy.parts.values()) if copy is not None else set[str]()
        files: list[str] = []
        if assistant.knowledge or old:
            files, superseded = await store_knowledge(client, assistant)
            old = (old | superseded) - set(files)
        body = definition.assistant_body(assistant, wiring, files)
        put = None
        if copy is not None and copy.remote_id is not None:
            put = await client.look("PATCH", path_of("assistant", copy.remote_id), "id", json=body)
        if put is None:
            put = await client.ask("POST", "/assistant", "id", json=body)
        await delete_files(client, sorted(old))
        return _copy(put["id"], files)

    async def delete_copy(self, client: Client, copy: Copy, _: Sequence[Registration]) -> None:
        if copy.remote_id is not None:
            await _delete(client, copy.remote_id)
        await delete_files(client, sorted(copy.parts.values()))

    async def check_link(self, client: Client, remote_id: str) -> None:
        await _linked(client, remote_id)

    async def manage_link(
        self, client: Client, remote_id: str, manage: Sequence[Managed], wiring: Wiring, _: Sequence[Registration] = ()
    ) -> bool:
        """Vapi may not show the secret in a header, but the addresses hold it, too."""
        client = client.hiding(wiring.secret)
        linked = await _linked(client, remote_id)
        change: dict[str, Any] = {}
        if "webhook" in manage and not definition.reports_to(linked, wiring):
            _check_functions(linked, wiring)
            change |= definition.webhook_fields(wiring)
        if "transfer" in manage and not _has_transfer(linked, wiring):
            change["model"] = _with_transfer(linked, wiring)
        if change:
            await client.ask("PATCH", path_of("assistant", remote_id), "id", json=change)
        return bool(change)


async def _delete(client: Client, remote_id: str) -> None:
    try:
        await client.remove(path_of("assistant", remote_id))
    except ProviderError as error:
        if error.status != _PINNED:
            raise
        raise bad_request(
            "Vapi doesn't delete this assistant, because a squad there uses a fixed version of it. Take it out of the"
            " squad at Vapi.",
            error.status,
        ) from None


async def _linked(client: Client, remote_id: str) -> dict[str, Any]:
    linked = await client.look("GET", path_of("assistant", remote_id), "id")
    if linked is None:
        raise GoneError(
            "Vapi has no assistant with this id in the organisation that the key belongs to. A squad cannot be linked."
        )
    return linked


def _copy(remote_id: str, files: Iterable[str]) -> Copy:
    return Copy(remote_id, {f"file_{at}": file_id for at, file_id in enumerate(files, 1)})


def _tools_of(assistant: dict[str, Any]) -> list[Any]:
    return list_of(find(assistant, "model", "tools"))


def _file_ids(found: dict[str, Any]) -> list[str]:
    """The files that a copy's query tool names."""
    queries = [tool for tool in _tools_of(found) if find(tool, "type") == "query"]
    bases = [base for query in queries for base in list_of(find(query, "knowledgeBases"))]
    return [file_id for base in bases for file_id in list_of(find(base, "fileIds")) if is_id(file_id)]


def _check_functions(linked: dict[str, Any], wiring: Wiring) -> None:
    """A function without a server address is asked at the assistant's, and would be cut off if we took that over."""
    if find(linked, "server", "url") in (None, wiring.webhook_url):
        return
    stranded = [
        str(find(tool, "function", "name"))
        for tool in _tools_of(linked)
        if find(tool, "type") == "function" and find(tool, "server", "url") is None
    ]
    if stranded:
        raise bad_request(
            f"Its functions ({', '.join(stranded)}) use the assistant's server address, which the webhook would replace:"
            " give each function its own server address at Vapi, or leave out the webhook."
        )


def _has_transfer(linked: dict[str, Any], wiring: Wiring) -> bool:
    ours = [tool for tool in _tools_of(linked) if definition.is_transfer_tool(tool)]
    return [find(tool, "server", "url") for tool in ours] == [wiring.transfer_url]


def _with_transfer(linked: dict[str, Any], wiring: Wiring) -> dict[str, Any]:
    """Its model with our tool. A PATCH replaces the whole model, so the rest goes back unchanged."""
    model = linked.get("model")
    if not isinstance(model, dict):
        raise bad_request("The assistant has no model at Vapi, so nothing could ask for a transfer.")
    kept = [tool for tool in _tools_of(linked) if not definition.is_transfer_tool(tool)]
    return {**model, "tools": [*kept, definition.transfer_tool(wiring)]}
