"""The portable assistant as the bodies of a Retell LLM and of its agent, field by field.

Retell docs: Create Retell LLM, Create agent, Custom function. Every field of ours is always sent, even if it says "none":
an update keeps the fields that it doesn't name, and a new draft starts as a copy of the version before it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from adapters.portable import Assistant, Function, Wiring
from crypto.secret import Secret

MARKER: Final = "callrouter_marker"
"""The default variable in which an LLM, which has no name, carries the marker."""

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
"""The voice settings that an agency may choose, with Retell's defaults."""

_NO_MEMORY: Final[Mapping[str, Any]] = {"enable_read": False, "enable_update": False}
"""A new agent would know callers from their earlier calls; nobody chose that."""

LOCALES: Final = tuple(
    "en-US en-IN en-GB en-AU en-NZ de-DE es-ES es-419 hi-IN fr-FR fr-CA ja-JP pt-PT pt-BR zh-CN ru-RU it-IT ko-KR nl-NL"
    " nl-BE pl-PL tr-TR vi-VN ro-RO bg-BG ca-ES th-TH da-DK fi-FI el-GR hu-HU id-ID no-NO sk-SK sv-SE lt-LT lv-LV cs-CZ"
    " ms-MY af-ZA ar-SA az-AZ bs-BA cy-GB fa-IR fil-PH gl-ES he-IL hr-HR hy-AM is-IS kk-KZ kn-IN mk-MK mr-IN ne-NP sl-SI"
    " sr-RS sw-KE ta-IN ur-IN yue-CN uk-UA".split()
)
"""What Retell takes as an agent's language (Retell docs: Create agent). The first of each language is its usual form."""

_LOCALES: Final = {locale.lower(): locale for locale in LOCALES}
_USUAL_LOCALES: Final = {locale.partition("-")[0]: locale for locale in reversed(LOCALES)}
_SAME: Final = {"nb": "no", "nn": "no", "tl": "fil", "iw": "he"}
_REGIONAL: Final = {"zh-hk": "yue-CN", "pt": "pt-BR"}
_SPANISH: Final = "es-419"  # every Spanish but Spain's

_SHORTEST, _LONGEST = 60, 7200  # seconds of a call
_USUAL: Final = 3600  # seconds; the router's own limit for a call without one
_NAME_LENGTH: Final = 60
_TRANSFER: Final = "callrouter_transfer"  # no function of an agency's has this name: Retell signs them all alike
_PLAIN: Final = "transfer"  # in agents that people set up by hand
_SCHEMA: Final = ("properties", "required", "additionalProperties")  # what a tool's parameters may have besides `type`
_FUNCTION_MS: Final = 20_000
_TRANSFER_MS: Final = 10_000


def lost_features(assistant: Assistant) -> tuple[str, ...]:
    lost = {
        "voice": not _VOICE.keys() >= assistant.voice.keys(),
        "languages": None in map(_locale, assistant.languages),
        "max_seconds": not _SHORTEST <= (assistant.max_seconds or _USUAL) <= _LONGEST,
    }
    return tuple(feature for feature, is_lost in lost.items() if is_lost)


def tag(marker: str) -> str:
    """The end of an agent's name, by which we find it again."""
    return f"[{marker}]"


def llm_body(assistant: Assistant, wiring: Wiring, knowledge_base_id: str | None) -> dict[str, Any]:
    """What it says, knows and can do. The transfer's address stays a Secret until it is sent."""
    taken = {function.name for function in assistant.functions}
    tools = [_end_tool(taken), *(_function_tool(function) for function in assistant.functions)]
    if assistant.transfer_to is not None:
        tools.append(transfer_tool(wiring, taken))
    return {
        "start_speaker": "agent",
        "begin_message": assistant.greeting,  # None: Retell makes one up. Silence would make callers hang up
        "general_prompt": assistant.prompt,
        "general_tools": tools,
        "knowledge_base_ids": [] if knowledge_base_id is None else [knowledge_base_id],
        # On calls that did not come through us, too, the variables need values.
        "default_dynamic_variables": {MARKER: assistant.marker, "client_name": assistant.name, "caller_number": ""},
    }


def agent_body(assistant: Assistant, wiring: Wiring) -> dict[str, Any]:
    """How it sounds and hears, and where it reports. Its response engine is set once, at creation."""
    seconds = min(max(assistant.max_seconds or _USUAL, _SHORTEST), _LONGEST)
    settings = {name: value for name, value in assistant.voice.items() if name in _VOICE}
    return {
        "agent_name": f"{assistant.name[:_NAME_LENGTH].strip()} {tag(assistant.marker)}",
        **_VOICE,
        **settings,
        "language": choose_locales(assistant.languages),
        "timezone": assistant.timezone or "UTC",  # Retell's default is Los Angeles
        "max_call_duration_ms": seconds * 1000,
        "contact_memory_config": _NO_MEMORY,
        "voicemail_option": {"action": {"type": "hangup"}} if assistant.voicemail_detection else None,
        **webhook_fields(wiring),
    }


def webhook_fields(wiring: Wiring) -> dict[str, Any]:
    """What makes Retell report an agent's calls to us."""
    return {"webhook_url": Secret(wiring.webhook_url), "webhook_events": list(EVENTS)}


def transfer_tool(wiring: Wiring, taken: Collection[str]) -> dict[str, Any]:
    """Not Retell's own transfer_call: on a registered call Retell holds no line that it could transfer."""
    return {
        "type": "custom",
        "name": _free_name(_TRANSFER, taken),
        "description": "Puts the caller through to a person. Use it when the caller asks to speak to a person.",
        "url": Secret(wiring.transfer_url),
        "method": "POST",
        "parameters": {
            "type": "object",
            "properties": {"reason": {"type": "string", "description": "What the caller wants, in a few words"}},
        },
        "speak_during_execution": True,
        "execution_message_description": "Say that you are putting the caller through.",
        "speak_after_execution": True,  # our answer may be that the person cannot be reached
        "timeout_ms": _TRANSFER_MS,
    }


def is_transfer(name: str | None) -> bool:
    """Whether only our function that transfers callers has this name (see `_free_name`)."""
    return _is_called(_TRANSFER, name)


def may_be_transfer(name: str | None) -> bool:
    """Whether a function that somebody made for us by hand may have this name, as others may, too."""
    return _is_called(_PLAIN, name)


def _is_called(function: str, name: str | None) -> bool:
    return re.fullmatch(rf"{function}(_[0-9]{{1,3}})?", name or "") is not None


def is_transfer_tool(tool: Any, wiring: Wiring) -> bool:
    """Whether it leads to us. The token is not compared: it may have been replaced."""
    if not isinstance(tool, dict) or not isinstance(tool.get("url"), str):
        return False
    return str(tool["url"]).partition("?")[0] == wiring.transfer_url.partition("?")[0]


def _end_tool(taken: Collection[str]) -> dict[str, Any]:
    return {
        "type": "end_call",
        "name": _free_name("end_call", taken),
        "description": "Ends the call. Use it once the caller has said goodbye or wants nothing more.",
    }


def _function_tool(function: Function) -> dict[str, Any]:
    """Retell asks the agency's software directly, and signs with the agency's key."""
    given = function.parameters
    return {
        "type": "custom",
        "name": function.name,
        "description": function.description or function.name,
        "url": function.url,
        "method": "POST",
        "parameters": {"type": "object", "properties": {}, **{name: given[name] for name in _SCHEMA if name in given}},
        "speak_during_execution": True,
        "speak_after_execution": True,
        "timeout_ms": _FUNCTION_MS,
    }


def _free_name(wanted: str, taken: Collection[str]) -> str:
    """The names of an LLM's tools must differ; the agency's functions keep theirs."""
    return next(name for name in (wanted, *(f"{wanted}_{place}" for place in range(2, 999))) if name not in taken)


def _locale(language: str) -> str | None:
    """The locale that fits a BCP 47 tag best: the tag itself, or another region's form of the language."""
    tag = language.lower()
    primary = _SAME.get(tag.partition("-")[0], tag.partition("-")[0])
    if tag in _LOCALES:
        return _LOCALES[tag]
    if tag in _REGIONAL:
        return _REGIONAL[tag]
    if primary == "es" and tag != "es":
        return _SPANISH
    return _USUAL_LOCALES.get(primary)


def choose_locales(languages: Iterable[str]) -> str | Sequence[str]:
    """As an agent wants it: one locale, or several; Retell's default if it has none of them."""
    chosen = list(dict.fromkeys(locale for language in languages if (locale := _locale(language)) is not None))
    return chosen if len(chosen) > 1 else (chosen or LOCALES)[0]
