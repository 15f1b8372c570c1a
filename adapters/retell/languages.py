"""Which of Retell's languages a portable one is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

LOCALES: Final = tuple(
    "en-US en-IN en-GB en-AU en-NZ de-DE es-ES es-419 hi-IN fr-FR fr-CA ja-JP pt-PT pt-BR zh-CN ru-RU it-IT ko-KR nl-NL"
    " nl-BE pl-PL tr-TR vi-VN ro-RO bg-BG ca-ES th-TH da-DK fi-FI el-GR hu-HU id-ID no-NO sk-SK sv-SE lt-LT lv-LV cs-CZ"
    " ms-MY af-ZA ar-SA az-AZ bs-BA cy-GB fa-IR fil-PH gl-ES he-IL hr-HR hy-AM is-IS kk-KZ kn-IN mk-MK mr-IN ne-NP sl-SI"
    " sr-RS sw-KE ta-IN ur-IN yue-CN uk-UA".split()
)
"""What Retell takes as an agent's language (Retell docs: Create agent). Of one language, the first is its usual form."""

_EXACT: Final = {locale.lower(): locale for locale in LOCALES}
_USUAL: Final = {locale.partition("-")[0]: locale for locale in reversed(LOCALES)}
_SAME: Final = {"nb": "no", "nn": "no", "tl": "fil", "iw": "he"}
_REGIONAL: Final = {"zh-hk": "yue-CN", "pt": "pt-BR"}
_SPANISH: Final = "es-419"  # every Spanish but Spain's


def choose(language: str) -> str | None:
    """The locale that fits a BCP 47 tag best: itself, else another region's form of the language; None without one."""
    tag = language.lower()
    primary = _SAME.get(tag.partition("-")[0], tag.partition("-")[0])
    if tag in _EXACT:
        return _EXACT[tag]
    if tag in _REGIONAL:
        return _REGIONAL[tag]
    if primary == "es" and tag != "es":
        return _SPANISH
    return _USUAL.get(primary)


def choose_all(languages: Iterable[str]) -> str | Sequence[str]:
    """As an agent wants it: one locale, or several; Retell's own default where it has none of them."""
    chosen = list(dict.fromkeys(locale for language in languages if (locale := choose(language)) is not None))
    match chosen:
        case []:
            return LOCALES[0]
        case [only]:
            return only
    return chosen
