"""A portable assistant as the settings of a number at Bland, field by field, and what of it is lost there.

Bland docs: Update inbound number details. Every field that we ever set is set each time: a number keeps fields that are
not named. Bland's own transfer is only emptied, because we move calls at the carrier. `fallback_number` is the owner's, not
the assistant's: `registrations` and `shop` set it. By Bland's docs it serves in maintenance windows only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from adapters.bland.tools import is_callable
from adapters.portable import Assistant, Knowledge, Wiring
from crypto.secret import Secret

KnowledgePlace: TypeAlias = Literal["base", "prompt"]

KNOWLEDGE_PLACE: Final[KnowledgePlace] = "base"
"""Knowledge bases among the tools are documented for outbound calls, and expected to work for inbound ones. If they
don't, "prompt" puts the texts there, as far as they fit.
"""

MOST_IN_PROMPT: Final = 12_000  # characters of knowledge; a longer prompt gets slow and vague
MOST_IN_BASE: Final = 1_000_000  # bytes (Create knowledge base: 1 MB)

NEUTRAL: Final[Mapping[str, Any]] = {
    "prompt": "You answer the phone for a business whose assistant is not set up. Ask the caller for their name, their"
    " number and what the call is about, say that somebody will call back, and end the call politely. Promise nothing"
    " else, and give no information about the business.",
    "first_sentence": "Hello, thank you for calling. May I take a message?",
    "tools": [],
    "webhook": None,
    "webhook_events": [],
    "metadata": {},
    "transfer_phone_number": None,
}
"""The settings of a number without an assistant: its prompt cannot be empty."""

_VOICE_DEFAULTS: Final[Mapping[str, Any]] = {
    "background_track": None,
    "interruption_threshold": 500,
    "block_interruptions": False,
    "noise_cancellation": False,
    "keywords": [],
}
_VOICE_FIELDS: Final = frozenset({"voice", *_VOICE_DEFAULTS})
_DEFAULT_MINUTES: Final = 30  # Bland's own
_MARKER: Final = "marker"

_ANY_LANGUAGE: Final = "auto"
_LANGUAGES: Final = {
    tag.lower(): tag
    for tag in "en en-US en-GB en-AU en-NZ en-IN zh zh-CN zh-Hans zh-TW zh-Hant es es-419 fr fr-CA de el hi hi-Latn ja ko"
    " ko-KR pt pt-BR pt-PT it nl pl ru sv sv-SE da da-DK fi id ms tr uk bg cs ro sk hu no vi".split()
}


def number_settings(
    assistant: Assistant, wiring: Wiring, tools: Sequence[str], knowledge_text: str = ""
) -> dict[str, Any]:
    """`tools`: ids of tools and knowledge bases. `knowledge_text`: what of the knowledge goes into the prompt."""
    voice = {name: value for name, value in assistant.voice.items() if name in _VOICE_FIELDS}
    return {
        "prompt": "\n\n".join(filter(None, (assistant.prompt, knowledge_text))),
        "first_sentence": assistant.greeting,
        "model": "base",  # the one of Bland's models that can use tools
        "language": _language(assistant),
        "timezone": assistant.timezone or "UTC",  # unnamed, it would be Los Angeles
        "max_duration": math.ceil(assistant.max_seconds / 60) if assistant.max_seconds else _DEFAULT_MINUTES,
        "tools": list(tools),
        "webhook": Secret(wiring.webhook_url),
        # Events within a call name no call of ours, and there is one for each sentence.
        "webhook_events": [],
        "metadata": {_MARKER: assistant.marker},
        "transfer_phone_number": None,
        **_VOICE_DEFAULTS,
        **voice,
    }


def marker_on(settings: Mapping[str, Any]) -> str | None:
    """The marker of our assistant on a number, if Bland shows it."""
    metadata = settings.get("metadata")
    marker = metadata.get(_MARKER) if isinstance(metadata, dict) else None
    return marker if isinstance(marker, str) else None


def is_made_by_hand(settings: Mapping[str, Any]) -> bool:
    """Whether a pathway or persona that people put there answers: a prompt would replace it."""
    return bool(settings.get("pathway_id") or settings.get("persona_id")) and marker_on(settings) is None


def lost_features(assistant: Assistant, place: KnowledgePlace) -> tuple[str, ...]:
    lost = {
        "voice": not _VOICE_FIELDS.issuperset(assistant.voice),
        "languages": len(assistant.languages) > 1 or _language(assistant) == _ANY_LANGUAGE,
        "functions": not all(is_callable(function) for function in assistant.functions),
        "knowledge": bool(assistant.knowledge) and not _fits(assistant.knowledge, place),
        "voicemail_detection": assistant.voicemail_detection,
    }
    return tuple(feature for feature, is_lost in lost.items() if is_lost)


def write_knowledge(knowledge: Sequence[Knowledge]) -> str:
    """All texts as one, each under its title."""
    return "\n\n".join(f"# {each.title}\n\n{each.text}" for each in knowledge)


def fits_prompt(knowledge: Sequence[Knowledge]) -> bool:
    return len(write_knowledge(knowledge)) <= MOST_IN_PROMPT


def fits_base(knowledge: Sequence[Knowledge]) -> bool:
    return len(write_knowledge(knowledge).encode()) <= MOST_IN_BASE


def _fits(knowledge: Sequence[Knowledge], place: KnowledgePlace) -> bool:
    return fits_prompt(knowledge) or (place == "base" and fits_base(knowledge))


def _language(assistant: Assistant) -> str:
    """The main language, or the nearest that Bland has; else Bland detects it."""
    asked = assistant.languages[0].lower() if assistant.languages else "en-us"
    return _LANGUAGES.get(asked) or _LANGUAGES.get(asked.partition("-")[0]) or _ANY_LANGUAGE
