"""The portable assistant as the bodies of a Retell LLM and of its agent, field by field.

Retell docs: Create Retell LLM, Create agent, Custom function. Every field of ours is always sent, also where it says
"none": an update leaves alone what it doesn't name, and a new draft starts as the version before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from adapters.portable import Assistant, Function, Wiring
from adapters.retell.languages import choose, choose_all
from crypto.secret import Secret

MARKER: Final = "callrouter_marker"
"""Under this name an LLM, which has no name of its own, carries the marker among its default variables."""

EVENTS: Final = ("call_started", "call_ended", "call_analyzed")

_VOICE_ID: Final = "retell-Cimo"  # of Retell's own; the one that its SDK shows
_VOICE: Final[Mapping[str, Any]] = {
    "voice_id": _VOICE_ID,
    "fallback_voice_ids": None,
    "voice_model": None,
    "voice_speed": 1,
    "voice_temperature": 1,
    "volume": 1,
    "enable_dynamic_voice_speed": False,
    "ambient_sound": None,
    "ambient_sound_volume": 1,
    "responsiveness": 1,
    "interruption_sensitivity": 1,
    "enable_backchannel": False,
    "backchannel_frequency": 0.8,
    "backchannel_words": None,
    "pronunciation_dictionary": None,
}
"""The voice settings that an agency may make, and what Retell does without them."""

_SHORTEST, _LONGEST = 60, 7200  # seconds of a call
_USUAL: Final = 3600  # seconds; as long as the router lets a call be when it knows no better
_NAME_LENGTH: Final = 60
_SCHEMA: Final = ("properties", "required", "additionalProperties")  # what a tool's parameters may hold, beside type
_FUNCTION_MS: Final = 20_000
_TRANSFER_MS: Final = 10_000


def lost_features(assistant: Assistant) -> tuple[str, ...]:
    """Languages that Retell does not speak, settings that its voices do not have."""
    lost = []
    if not set(assistant.voice) <= set(_VOICE):
        lost.append("voice")
    if any(choose(language) is None for language in assistant.languages):
        lost.append("languages")
    if not _SHORTEST <= (assistant.max_seconds or _USUAL) <= _LONGEST:
        lost.append("max_seconds")
    return tuple(lost)


def agent_name(assistant: Assistant) -> str:
    """A name for people, and the marker by which we find it again."""
    return f"{assistant.name[:_NAME_LENGTH].strip()} {tag(assistant.marker)}"


def tag(marker: str) -> str:
    """The end of an agent's name."""
    return f"[{marker}]"


def llm_body(assistant: Assistant, wiring: Wiring, knowledge_base_id: str | None) -> dict[str, Any]:
    """What it says, knows and can do. The address of the transfer stays a Secret until it is sent."""
    taken = {function.name for function in assistant.functions}
    tools = [_end_tool(taken), *(_function_tool(function) for function in assistant.functions)]
    if assistant.transfer_to is not None:
        tools.append(transfer_tool(wiring, taken))
    return {
        "start_speaker": "agent",
        "begin_message": assistant.greeting,  # None: words of its own. Silence would make callers hang up
        "general_prompt": assistant.prompt,
        "general_tools": tools,
        "knowledge_base_ids": [] if knowledge_base_id is None else [knowledge_base_id],
        # The variables have a value also on calls that did not come through us.
        "default_dynamic_variables": {
            MARKER: assistant.marker,
            "client_name": assistant.name,
            "caller_number": "",
        },
    }


def agent_body(assistant: Assistant, wiring: Wiring) -> dict[str, Any]:
    """How it sounds and hears, and where it reports. Its response engine is not here: it is set once, at creation."""
    seconds = min(max(assistant.max_seconds or _USUAL, _SHORTEST), _LONGEST)
    settings = {name: value for name, value in assistant.voice.items() if name in _VOICE}
    return {
        "agent_name": agent_name(assistant),
        **_VOICE,
        **settings,
        "language": choose_all(assistant.languages),
        "timezone": assistant.timezone or "UTC",  # left out, Retell takes Los Angeles for everybody
        "max_call_duration_ms": seconds * 1000,
        "voicemail_option": {"action": {"type": "hangup"}} if assistant.voicemail_detection else None,
        **webhook_fields(wiring),
    }


def webhook_fields(wiring: Wiring) -> dict[str, Any]:
    """What makes an agent's calls known to us."""
    return {"webhook_url": Secret(wiring.webhook_url), "webhook_events": list(EVENTS)}


def transfer_tool(wiring: Wiring, taken: Collection[str]) -> dict[str, Any]:
    """Ours, and never Retell's transfer_call: on a registered call Retell holds no line that it could transfer."""
    return {
        "type": "custom",
        "name": _free_name("transfer", taken),
        "description": "Puts the caller through to a person. Use it when the caller asks to speak to a person.",
        "url": Secret(wiring.transfer_url),
        "method": "POST",
        "parameters": {
            "type": "object",
            "properties": {"reason": {"type": "string", "description": "What the caller wants, in a few words"}},
        },
        "speak_during_execution": True,
        "execution_message_description": "Say that you are putting the caller through.",
        "speak_after_execution": True,  # what we answer may be that nobody can be reached
        "timeout_ms": _TRANSFER_MS,
    }


def is_transfer_tool(tool: Any, wiring: Wiring) -> bool:
    """Whether it leads to us, with whatever token: an earlier one may have been replaced."""
    if not isinstance(tool, dict) or not isinstance(tool.get("url"), str):
        return False
    return str(tool["url"]).partition("?")[0] == wiring.transfer_url.partition("?")[0]


def names_of(tools: Sequence[Any]) -> set[str]:
    return {str(tool.get("name")) for tool in tools if isinstance(tool, dict)}


def _end_tool(taken: Collection[str]) -> dict[str, Any]:
    return {
        "type": "end_call",
        "name": _free_name("end_call", taken),
        "description": "Ends the call. Use it once the caller has said goodbye or wants nothing more.",
    }


def _function_tool(function: Function) -> dict[str, Any]:
    """Retell asks the agency's own software, signed with the agency's key."""
    given = function.parameters
    return {
        "type": "custom",
        "name": function.name,
        "description": function.description or function.name,
        "url": function.url,
        "method": "POST",
        "parameters": {
            "type": "object",
            "properties": {},
            **{name: given[name] for name in _SCHEMA if name in given},
        },
        "speak_during_execution": True,
        "speak_after_execution": True,
        "timeout_ms": _FUNCTION_MS,
    }


def _free_name(wanted: str, taken: Collection[str]) -> str:
    """The names of an LLM's tools differ; those of the agency's functions come first."""
    return next(name for name in (wanted, *(f"{wanted}_{place}" for place in range(2, 999))) if name not in taken)
