"""What an assistant may do during a call, as Bland's custom tools: its functions, and transferring the caller.

Bland docs: Create a custom tool. A tool is recognised by its name, the only text that the list certainly returns, so the
name carries the assistant's mark and a hash of the tool's content. This module makes no requests.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.base import ROUTER_CALL_ID, TWILIO_CALL_SID
from adapters.portable import Assistant, Function, Wiring
from crypto.secret import Secret

PROOF_HEADER: Final = "x-callrouter-secret"
"""Bland does not sign calls of tools: this header and the token in the address prove that one comes from our tool."""

_RESERVED: Final = re.compile(
    "(?i)(input|speak|transfer|switch|wait|finish|press|button|say|pause|record|play|dial|hang)"
)
"""Bland forbids these within a tool's name: they mislead its model."""

_TIMEOUT: Final = 10_000  # milliseconds, Bland's default
_HEX: Final = 12  # digits of a hash that tell an agency's things apart
_MOST_SPOKEN: Final = 64 - 2 * (_HEX + 1)  # models commonly take names of 64 characters
_CALL: Final[Mapping[str, str]] = {
    ROUTER_CALL_ID: f"{{{{{ROUTER_CALL_ID}}}}}",
    TWILIO_CALL_SID: f"{{{{{TWILIO_CALL_SID}}}}}",
}
"""Variables of the session that a call began with. Without one, Bland's own `to` and `from` identify the call."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool to create; `body` goes to Bland as it is, a Secret within it included."""

    name: str
    body: Mapping[str, Any] = field(repr=False)


def mark_of(marker: str) -> str:
    """The marker as it appears in names: hexadecimal, so that it contains no reserved word."""
    return hashlib.sha256(marker.encode()).hexdigest()[:_HEX]


def is_marked(name: str, mark: str) -> bool:
    """Whether a tool or knowledge base of this name was made by us, for the assistant of this mark."""
    return bool(re.search(rf"(?:^|[_ ]){mark}_[0-9a-f]{{{_HEX}}}$", name))


def marked_name(spoken: str, mark: str, content: object) -> str:
    """A name that says what it is for, whose it is, and which version this is."""
    written = json.dumps(content, sort_keys=True, default=_hash_secret)
    return f"{spoken}_{mark}_{hashlib.sha256(written.encode()).hexdigest()[:_HEX]}"


def wanted_tools(assistant: Assistant, wiring: Wiring, mark: str) -> list[Tool]:
    """All tools of the assistant. Functions that Bland cannot call are left out: see `is_callable`."""
    tools = [_function_tool(function, mark) for function in assistant.functions if is_callable(function)]
    return [*tools, transfer_tool(wiring, mark)] if assistant.transfer_to else tools


def is_callable(function: Function) -> bool:
    """Bland calls https addresses only."""
    return function.url.lower().startswith("https://")


def transfer_tool(wiring: Wiring, mark: str) -> Tool:
    """Asks us to put the caller through. Bland's own transfer would leave the carrier's call to Bland."""
    return _tool(
        "put_caller_through",
        mark,
        {
            "description": "Puts the caller through to a person. Use it when the caller wants to speak to a person, and"
            " when only a person can help. If it answers that nobody is available, go on yourself.",
            "url": Secret(wiring.transfer_url),
            "method": "POST",
            "headers": {"Content-Type": "application/json", PROOF_HEADER: wiring.secret},
            "body": {
                "call_id": "{{call_id}}",
                "from": "{{from}}",
                "to": "{{to}}",
                "reason": "{{input.reason}}",
                **_CALL,
            },
            "input_schema": {
                "type": "object",
                "properties": {
                    "reason": {"type": "string", "description": "Why the caller wants a person, in a few words"},
                    "speech": {
                        "type": "string",
                        "description": "One short sentence to the caller, in the caller's language: one moment please",
                    },
                },
                "required": ["reason", "speech"],
                "example": {"reason": "wants to talk about an invoice", "speech": "One moment, please."},
            },
            "timeout": _TIMEOUT,
        },
    )


def _function_tool(function: Function, mark: str) -> Tool:
    return _tool(
        _unreserved(function.name),
        mark,
        {
            "description": function.description or function.name,
            "url": function.url,
            "method": "POST",
            "headers": {"Content-Type": "application/json"},
            "body": {
                "name": function.name,
                "call": {"call_id": "{{call_id}}", "metadata": dict(_CALL)},
                "args": "{{input}}",
            },
            "input_schema": dict(function.parameters),
            "timeout": _TIMEOUT,
        },
    )


def _unreserved(name: str) -> str:
    """The name with an underscore in each reserved word, also in one that only appears when another is split."""
    while (parted := _RESERVED.sub(lambda word: f"{word[0][0]}_{word[0][1:]}", name)) != name:
        name = parted
    return name


def _tool(spoken: str, mark: str, rest: Mapping[str, Any]) -> Tool:
    name = marked_name(spoken[:_MOST_SPOKEN], mark, rest)
    return Tool(name, {"name": name, **rest})


def _hash_secret(value: Any) -> str:
    """A changed secret makes another tool. The short hash of its hash reveals nothing of it."""
    if not isinstance(value, Secret):
        raise TypeError(f"{type(value).__name__} is not JSON")
    return hashlib.sha256(value.reveal().encode(errors="surrogatepass")).hexdigest()
