"""Assistants at Vapi: copies that we make and look after, and those of others that are linked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from adapters.base import ErrorKind, ProviderError
from adapters.facets import Managed
from adapters.portable import Assistant, Copy, Registration, Wiring
from adapters.replies import find
from adapters.vapi import definition
from adapters.vapi.api import Client, is_gone, is_id, path_of
from adapters.vapi.knowledge import delete_files, store_knowledge


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
        remote_id = await _put(client, copy.remote_id if copy is not None else None, body)
        await delete_files(client, sorted(old))
        return _copy(remote_id, files)

    async def delete_copy(self, client: Client, copy: Copy, _: Sequence[Registration]) -> None:
        if copy.remote_id is not None:
            await client.remove(path_of("assistant", copy.remote_id))
        await delete_files(client, sorted(copy.parts.values()))

    async def check_link(self, client: Client, remote_id: str) -> None:
        await _linked(client, remote_id)

    async def manage_link(self, client: Client, remote_id: str, manage: Sequence[Managed], wiring: Wiring) -> None:
        if not manage:
            return
        client = client.hiding(wiring.secret)
        linked = await _linked(client, remote_id)
        change: dict[str, Any] = {}
        if "webhook" in manage:
            _check_functions(linked, wiring)
            change |= definition.webhook_fields(wiring)
        if "transfer" in manage:
            change["model"] = _with_transfer(linked, wiring)
        await client.ask("PATCH", path_of("assistant", remote_id), json=change)

    def lost_of_link(self, manage: Sequence[str]) -> tuple[str, ...]:
        needs = {"events": "webhook", "transfer": "transfer"}
        return tuple(lost for lost, needed in needs.items() if needed not in manage)


async def _put(client: Client, remote_id: str | None, body: object) -> str:
    if remote_id is not None:
        try:
            changed = await client.ask("PATCH", path_of("assistant", remote_id), json=body)
        except ProviderError as error:
            if not is_gone(error):
                raise
        else:
            return str(changed["id"])
    made = await client.ask("POST", "/assistant", json=body)
    return str(made["id"])


async def _linked(client: Client, remote_id: str) -> dict[str, Any]:
    try:
        return await client.ask("GET", path_of("assistant", remote_id))
    except ProviderError as error:
        if not is_gone(error):
            raise
    raise _unfit("Vapi has no assistant with this id in the organisation that the key belongs to.", 404)


def _unfit(said: str, status: int | None = None) -> ProviderError:
    return ProviderError(ErrorKind.BAD_REQUEST, status=status, said=said)


def _copy(remote_id: str, files: Iterable[str]) -> Copy:
    return Copy(remote_id, {f"file_{at}": file_id for at, file_id in enumerate(files, 1)})


def _tools_of(assistant: dict[str, Any]) -> list[Any]:
    tools = find(assistant, "model", "tools")
    return tools if isinstance(tools, list) else []


def _file_ids(found: dict[str, Any]) -> list[str]:
    """Of the files that a copy's query tool names."""
    bases = [
        base
        for tool in _tools_of(found)
        if find(tool, "type") == "query" and isinstance(find(tool, "knowledgeBases"), list)
        for base in tool["knowledgeBases"]
    ]
    listed = [find(base, "fileIds") for base in bases]
    return [file_id for ids in listed if isinstance(ids, list) for file_id in ids if is_id(file_id)]


def _check_functions(linked: dict[str, Any], wiring: Wiring) -> None:
    """A function without an address of its own is asked at the assistant's: taking that over would cut it off."""
    if find(linked, "server", "url") in (None, wiring.webhook_url):
        return
    stranded = [
        str(find(tool, "function", "name"))
        for tool in _tools_of(linked)
        if find(tool, "type") == "function" and find(tool, "server", "url") is None
    ]
    if stranded:
        raise _unfit(
            f"Its functions ({', '.join(stranded)}) are asked at the assistant's server address, which we would take"
            " over: give each a server address of its own at Vapi, or leave out the webhook."
        )


def _with_transfer(linked: dict[str, Any], wiring: Wiring) -> dict[str, Any]:
    """Its model with our tool; a PATCH replaces the model as a whole, so all the rest goes back as it came."""
    model = linked.get("model")
    if not isinstance(model, dict):
        raise _unfit("The assistant has no model at Vapi, so there is nothing that could ask for a transfer.")
    kept = [tool for tool in _tools_of(linked) if not definition.is_transfer_tool(tool)]
    return {**model, "tools": [*kept, definition.transfer_tool(wiring)]}
