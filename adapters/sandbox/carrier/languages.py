"""The languages that Twilio's Say and Gather know by name (Twilio docs: Text-to-Speech, available voices and languages)."""

from __future__ import annotations

SAY_LANGUAGES = frozenset(
    """
    af-ZA ar-AE ar-XA arb bg-BG bn-IN ca-ES cmn-CN cmn-TW cs-CZ cy-GB da-DK de-AT de-DE el-GR en-AU en-GB en-GB-WLS
    en-IE en-IN en-NZ en-US en-ZA es-ES es-MX es-US et-EE eu-ES fi-FI fil-PH fr-BE fr-CA fr-FR gl-ES gu-IN he-IL hi-IN
    hu-HU id-ID is-IS it-IT ja-JP kn-IN ko-KR lt-LT lv-LV ml-IN mr-IN ms-MY nb-NO nl-BE nl-NL pa-IN pl-PL pt-BR pt-PT
    ro-RO ru-RU sk-SK sr-RS sv-SE ta-IN te-IN th-TH tr-TR uk-UA ur-IN vi-VN yue-CN yue-HK zh-CN zh-HK zh-TW
    """.split()
)
