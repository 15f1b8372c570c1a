"""What an assistant may do during a call, as server tools of the workspace: its functions, and transferring the caller.

ElevenLabs docs: Server tools; Create, list, update and delete tool; Agent tools deprecation (agents name their tools by
id). A header of each tool carries our marker.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.base import ROUTER_CALL_ID, bad_request
from adapters.elevenlabs.api import Client
from adapters.portable import Assistant, Function, Wiring
from adapters.replies import find, list_of
from crypto.secret import Secret

TRANSFER: Final = "transfer"
CALL_ID: Final = "conversation_id"
CALLER: Final = "caller"
UNKNOWN: Final = "unknown"
"""The value of a variable on calls that did not come through us. Without any, a conversation would not begin."""

_PATH: Final = "/v1/convai/tools"
_MARK: Final = "x-callrouter-assistant"
_FUNCTION_SECONDS: Final = 20
_TRANSFER_SECONDS: Final = 10
_LITERALS: Final = frozenset({"string", "boolean", "integer", "number"})
_DEEPEST: Final = 20  # levels of a function's parameters


@dataclass(frozen=True, slots=True)
class Kept:
    """An assistant's tools, and those of ours that it doesn't have any more."""

    current: tuple[str, ...]
    superseded: tuple[str, ...] = ()


async def keep_tools(client: Client, assistant: Assistant, wiring: Wiring) -> Kept:
    """Creates or updates them; superseded ones stay until the caller deletes them."""
    ours = await list_tools(client, assistant.marker)
    by_name = {name_of(one): str(one["id"]) for one in reversed(ours)}
    current = [
        await put_tool(client, body, by_name.get(str(body["name"])))
        for body in _wanted(assistant, wiring)
    ]  # fmt: skip
    return Kept(tuple(current), tuple(one["id"] for one in ours if one["id"] not in current))


async def list_tools(client: Client, marker: str) -> list[dict[str, Any]]:
    """Those that carry it."""
    return [one for one in await all_tools(client) if _mark_of(one) == marker]


async def all_tools(client: Client) -> list[dict[str, Any]]:
    return [one async for one in client.list_all(_PATH, "tools", "id")]


async def put_tool(client: Client, body: Mapping[str, Any], tool_id: str | None) -> str:
    """Its id. One that was deleted meanwhile is created again."""
    put = None
    if tool_id is not None:
        put = await client.look("PATCH", f"{_PATH}/{tool_id}", "id", json={"tool_config": body})
    if put is None:
        put = await client.ask("POST", _PATH, "id", json={"tool_config": body})
    return str(put["id"])


async def delete_tools(client: Client, ids: Iterable[str]) -> None:
    for one in ids:
        await client.remove_unused(f"{_PATH}/{one}")


def name_of(tool: dict[str, Any]) -> str:
    return str(find(tool, "tool_config", "name"))


def leads_to(tool: dict[str, Any], wiring: Wiring) -> bool:
    """Whether it asks us for a transfer. The token is not compared: it may have been replaced."""
    return str(address_of(tool)).partition("?")[0] == wiring.transfer_url.partition("?")[0]


def address_of(tool: dict[str, Any]) -> Any:
    return find(tool, "tool_config", "api_schema", "url")


def transfer_tool(wiring: Wiring, marker: str, name: str = TRANSFER) -> dict[str, Any]:
    """Not ElevenLabs' own transfer_to_number: on a registered call it has no access to the carrier's account."""
    return _tool(
        marker,
        name,
        "Puts the caller through to a person. Use it when the caller asks to speak to a person, after saying that you are"
        " connecting them.",
        Secret(wiring.transfer_url),
        {
            "type": "object",
            "required": [ROUTER_CALL_ID, CALL_ID],
            "properties": {
                ROUTER_CALL_ID: {"type": "string", "dynamic_variable": ROUTER_CALL_ID},
                CALL_ID: {"type": "string", "dynamic_variable": "system__conversation_id"},
                CALLER: {"type": "string", "dynamic_variable": "system__caller_id"},
                "reason": {"type": "string", "description": "What the caller wants, in a few words"},
            },
        },
        _TRANSFER_SECONDS,
    ) | {"dynamic_variables": {"dynamic_variable_placeholders": {ROUTER_CALL_ID: UNKNOWN}}}


def free_name(taken: Collection[str]) -> str:
    """The names of an agent's tools must differ."""
    names = (TRANSFER, *(f"{TRANSFER}_{place}" for place in range(2, 999)))
    return next(name for name in names if name not in taken)


def _wanted(assistant: Assistant, wiring: Wiring) -> Sequence[dict[str, Any]]:
    tools = [_function_tool(function, assistant.marker) for function in assistant.functions]
    if assistant.transfer_to is None:
        return tools
    if any(function.name == TRANSFER for function in assistant.functions):
        raise bad_request(f"A function must not be called {TRANSFER}: the one that transfers callers has that name.")
    return [*tools, transfer_tool(wiring, assistant.marker)]


def _function_tool(function: Function, marker: str) -> dict[str, Any]:
    """ElevenLabs asks the agency's software directly."""
    body = _object(function.parameters, 0) | {"description": f"The arguments of {function.name}"}
    return _tool(marker, function.name, function.description or function.name, function.url, body, _FUNCTION_SECONDS)


def _tool(
    marker: str, name: str, description: str, url: str | Secret, body: Mapping[str, Any], seconds: int
) -> dict[str, Any]:
    return {
        "type": "webhook",
        "name": name,
        "description": description,
        "response_timeout_secs": seconds,
        "api_schema": {
            "url": url,
            "method": "POST",
            "request_headers": {_MARK: marker},
            "request_body_schema": body,
        },
    }


def _mark_of(tool: dict[str, Any]) -> Any:
    return find(tool, "tool_config", "api_schema", "request_headers", _MARK)


def _schema(name: str, given: Any, depth: int) -> dict[str, Any]:
    """A part of JSON Schema in ElevenLabs' narrower form: each value has one type, and a description for the model."""
    description = find(given, "description")
    about = {"description": description if isinstance(description, str) and description else name}
    kind = find(given, "type")
    if kind == "object" and depth < _DEEPEST:
        return _object(given, depth + 1) | about
    if kind == "array" and depth < _DEEPEST:
        return {"type": "array", "items": _schema(name, find(given, "items"), depth + 1), **about}
    choices = [one for one in list_of(find(given, "enum")) if isinstance(one, str)]
    literal = {"type": kind if isinstance(kind, str) and kind in _LITERALS else "string", **about}
    return literal | ({"enum": choices} if choices and literal["type"] == "string" else {})


def _object(given: Any, depth: int) -> dict[str, Any]:
    properties = find(given, "properties")
    known = properties if isinstance(properties, dict) else {}
    return {
        "type": "object",
        "required": [name for name in list_of(find(given, "required")) if name in known],
        "properties": {name: _schema(name, value, depth) for name, value in known.items()},
    }
