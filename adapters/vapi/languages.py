"""Which transcriber and which voice at Vapi go with the languages of an assistant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

SINGLE: Final = frozenset(
    "bg ca cs da da-DK de de-CH el en en-AU en-GB en-IN en-NZ en-US es es-419 es-LATAM et fi fr fr-CA hi hi-Latn hu"
    " id it ja ko ko-KR lt lv ms nl nl-BE no pl pt pt-BR ro ru sk sv sv-SE ta th th-TH tr uk vi zh zh-CN zh-Hans"
    " zh-Hant zh-TW".split()
)
"""What Vapi's schema takes as the language of a Deepgram transcriber (DeepgramTranscriber.language)."""

_TOGETHER: Final = frozenset(
    "af ar be bg bn bs ca cs da de el en es et fa fi fr gl gu he hi hr hu id it ja kn ko lt lv mk mr ms nl no pl pt ro"
    " ru sk sl sr sv ta te th tl tr uk vi xh zh zh-hk zu".split()
)
"""What nova-3 understands within one call under the language `multi` (Deepgram docs: Nova-3 Language Prompting)."""

_SAME: Final = {"nb": "no", "nn": "no", "fil": "tl", "yue": "zh-hk"}
_BY_LOWER: Final = {code.lower(): code for code in SINGLE}

_ENGLISH_VOICE: Final = {"provider": "vapi", "voiceId": "Elliot"}
# Vapi's own voices are English; this one of Azure's speaks the language of the text.
_ANY_VOICE: Final = {"provider": "azure", "voiceId": "multilingual-auto"}


def choose_transcriber(languages: Sequence[str]) -> dict[str, str]:
    """Deepgram's nova-3: for the main language if it is the only one, else for as many as it can tell apart."""
    main = _base(languages[0])
    single = _BY_LOWER.get(languages[0].lower()) or _BY_LOWER.get(main)
    alone = all(_base(language) == main for language in languages)
    language = single if single is not None and (alone or main not in _TOGETHER) else "multi"
    return {"provider": "deepgram", "model": "nova-3", "language": language}


def are_understood(languages: Sequence[str]) -> bool:
    """Whether the chosen transcriber understands all of them."""
    bases = {_base(language) for language in languages}
    return bases <= _TOGETHER or (len(bases) == 1 and bases <= _BY_LOWER.keys())


def choose_voice(settings: Mapping[str, Any], languages: Sequence[str]) -> dict[str, Any]:
    """The agency's settings; without a provider among them, they change the voice that we would choose."""
    if "provider" in settings:
        return dict(settings)
    if "voiceId" in settings or all(_base(language) == "en" for language in languages):
        return {**_ENGLISH_VOICE, **settings}
    return {**_ANY_VOICE, **settings}


def instruct(languages: Sequence[str]) -> str | None:
    """What the model is told about languages; None for English, which it speaks by default."""
    if all(_base(language) == "en" for language in languages):
        return None
    if len(languages) == 1:
        return f"Speak the language {languages[0]} (BCP 47)."
    return (
        f"Languages of this call (BCP 47): {', '.join(languages)}. Begin in the first one. When the caller speaks"
        " another of them, go on in that one."
    )


def _base(language: str) -> str:
    """The code without its region, but for Cantonese."""
    lowered = language.lower()
    primary = lowered if lowered == "zh-hk" else lowered.partition("-")[0]
    return _SAME.get(primary, primary)
