"""The portable assistant as the body of an agent at ElevenLabs, field by field.

ElevenLabs docs: Create agent, Update agent, Register Twilio calls, Dynamic variables. Every field of ours is always sent,
even if it says "none", because an update keeps what it doesn't name. The language model is left to ElevenLabs, or to what
people choose there.

Not documented: that an agent whose main language is English wants one of the English voice models, and others one of the
multilingual ones, as the dashboard has it. `voice.model_id` of a definition overrides it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from adapters.base import ROUTER_CALL_ID, TWILIO_CALL_SID
from adapters.elevenlabs.tools import UNKNOWN
from adapters.portable import Assistant
from adapters.replies import find, list_of, text

AUDIO: Final = "ulaw_8000"
"""The one format that a call at Twilio has: ElevenLabs converts none."""

EVENTS: Final = ("transcript", "call_initiation_failure")

_OVERRIDE: Final = ("platform_settings", "workspace_overrides", "webhooks")

_VOICE: Final[Mapping[str, Any]] = {
    "voice_id": "cjVigY5qzO86Huf0OWal",  # ElevenLabs' default, and so are the rest
    "stability": 0.5,
    "similarity_boost": 0.8,
    "speed": 1.0,
    "text_normalisation_type": "system_prompt",
    "pronunciation_dictionary_locators": [],
}
"""The voice settings that an agency may choose, besides `model_id`."""

_MODEL: Final = "model_id"
_ENGLISH: Final = "en"
_ENGLISH_MODEL, _OTHER_MODEL = "eleven_flash_v2", "eleven_flash_v2_5"
LANGUAGES: Final = frozenset(
    "en ja zh de hi fr ko pt pt-br it es id nl tr fil pl sv bg ro ar cs el fi hr ms sk da ta uk ru hu no vi".split()
)
"""What ElevenLabs takes as an agent's language (docs: Language)."""

_SAME: Final = {"nb": "no", "nn": "no", "tl": "fil", "in": "id"}
_LONGEST: Final = 3600  # seconds; the router's own limit for a call without one. ElevenLabs' default is 600
_NAME_LENGTH: Final = 60
_VARIABLE: Final = re.compile(r"\{\{\s*([A-Za-z]\w*)\s*\}\}", re.ASCII)
_SYSTEM: Final = "system__"  # variables of ElevenLabs' own


def lost_features(assistant: Assistant) -> tuple[str, ...]:
    lost = {
        "voice": not {_MODEL, *_VOICE} >= assistant.voice.keys(),
        "languages": None in map(_language, assistant.languages),
    }
    return tuple(feature for feature, is_lost in lost.items() if is_lost)


def tag(marker: str) -> str:
    """The end of an agent's name, by which we find it again."""
    return f"[{marker}]"


def agent_body(
    assistant: Assistant,
    webhook_id: str,
    tool_ids: Sequence[str],
    documents: Sequence[Mapping[str, Any]],
    *,
    searched: bool,
) -> dict[str, Any]:
    """`searched`: whether its documents are searched for each answer, instead of standing in the prompt."""
    main, *others = choose_languages(assistant.languages)
    return {
        "name": f"{assistant.name[:_NAME_LENGTH].strip()} {tag(assistant.marker)}",
        "conversation_config": {
            "asr": {"user_input_audio_format": AUDIO},
            "tts": {**_voice(assistant, main), "agent_output_audio_format": AUDIO},
            "conversation": {"text_only": False, "max_duration_seconds": assistant.max_seconds or _LONGEST},
            "language_presets": {one: {"overrides": {"agent": {"language": one}}} for one in others},
            "agent": {
                "first_message": _greeting(assistant, main),
                "language": main,
                "dynamic_variables": {"dynamic_variable_placeholders": _placeholders(assistant)},
                "prompt": {
                    "prompt": assistant.prompt,
                    "timezone": assistant.timezone,
                    "tool_ids": list(tool_ids),
                    "built_in_tools": _built_in_tools(assistant, several=bool(others)),
                    "knowledge_base": list(documents),
                    "rag": {"enabled": searched},
                },
            },
        },
        "platform_settings": {
            # A caller who waits in a line hears nothing of us: the next rung is better.
            "queueing_config": {"enabled": False},
            "workspace_overrides": webhook_override(webhook_id, {}),
        },
    }


def webhook_override(webhook_id: str, others: Mapping[str, Any]) -> dict[str, Any]:
    """What makes ElevenLabs report an agent's calls to us, beside the workspace settings that it overrides already."""
    webhooks = {"post_call_webhook_id": webhook_id, "events": list(EVENTS), "transcript_format": "json"}
    return {**others, "webhooks": webhooks}


def webhook_of(agent: Any) -> str | None:
    """The id of the webhook to which an agent reports, if it is not the workspace's."""
    return text(find(agent, *_OVERRIDE, "post_call_webhook_id"))


def reports_to(agent: Any, webhook_id: str | None) -> bool:
    named = list_of(find(agent, *_OVERRIDE, "events"))
    return webhook_id is not None and webhook_of(agent) == webhook_id and all(event in named for event in EVENTS)


def choose_languages(languages: Iterable[str]) -> list[str]:
    """At least one: English if ElevenLabs speaks none of them."""
    return list(dict.fromkeys(filter(None, map(_language, languages)))) or [_ENGLISH]


def _language(tag_: str) -> str | None:
    """The code that fits a BCP 47 tag best."""
    whole = tag_.lower()
    primary = whole.partition("-")[0]
    code = whole if whole in LANGUAGES else _SAME.get(primary, primary)
    return code if code in LANGUAGES else None


def _voice(assistant: Assistant, main: str) -> dict[str, Any]:
    chosen = {name: value for name, value in assistant.voice.items() if name in _VOICE or name == _MODEL}
    return {**_VOICE, _MODEL: _ENGLISH_MODEL if main == _ENGLISH else _OTHER_MODEL, **chosen}


def _greeting(assistant: Assistant, main: str) -> str:
    """Never empty: the agent would wait for the caller to speak first, and silence makes callers hang up."""
    if assistant.greeting:
        return assistant.greeting
    return f"{assistant.name}, how can I help you?" if main == _ENGLISH else f"{assistant.name}."


def _placeholders(assistant: Assistant) -> dict[str, str]:
    """A value for every variable in its texts. A call that lacks one would not begin."""
    texts = (assistant.prompt, assistant.greeting or "")
    named = {name: "" for text in texts for name in _VARIABLE.findall(text) if not name.startswith(_SYSTEM)}
    ours = {ROUTER_CALL_ID: UNKNOWN, TWILIO_CALL_SID: UNKNOWN, "client_name": assistant.name, "caller_number": UNKNOWN}
    return {**named, **ours}


def _built_in_tools(assistant: Assistant, *, several: bool) -> dict[str, Any]:
    wanted = {"end_call": True, "language_detection": several, "voicemail_detection": assistant.voicemail_detection}
    return {name: _built_in(name) if is_wanted else None for name, is_wanted in wanted.items()}


def _built_in(name: str) -> dict[str, Any]:
    return {"type": "system", "name": name, "description": "", "params": {"system_tool_type": name}}
