"""Which transcriber, voice and instruction go with which languages."""

from __future__ import annotations

import pytest

from adapters.vapi.languages import are_understood, choose_transcriber, choose_voice, instruct


@pytest.mark.parametrize(
    ("languages", "chosen"),
    [
        (("en-US",), "en-US"),
        (("en-ZA",), "en"),
        (("de-AT",), "de"),
        (("pt-BR",), "pt-BR"),
        (("PT-br",), "pt-BR"),
        (("nb-NO",), "no"),
        (("en-GB", "en-US"), "en-GB"),
        (("en-US", "es-ES"), "multi"),
        (("pl-PL", "en-US", "uk-UA"), "multi"),
        (("he-IL",), "multi"),  # only among several
        (("zh-HK",), "multi"),  # Cantonese, not Mandarin
    ],
)
def test_languages_that_are_understood(languages: tuple[str, ...], chosen: str):
    assert choose_transcriber(languages) == {"provider": "deepgram", "model": "nova-3", "language": chosen}
    assert are_understood(languages)


@pytest.mark.parametrize(
    ("languages", "chosen"),
    [
        (("ga-IE",), "multi"),  # Irish: nobody there understands it
        (("en-US", "ga-IE"), "multi"),
        (("hu-HU", "eu-ES"), "multi"),
    ],
)
def test_languages_of_which_some_are_lost(languages: tuple[str, ...], chosen: str):
    assert choose_transcriber(languages)["language"] == chosen
    assert not are_understood(languages)


@pytest.mark.parametrize(
    ("settings", "languages", "voice"),
    [
        ({}, ("en-GB",), {"provider": "vapi", "voiceId": "Elliot"}),
        ({}, ("es-ES",), {"provider": "azure", "voiceId": "multilingual-auto"}),
        ({}, ("en-US", "es-ES"), {"provider": "azure", "voiceId": "multilingual-auto"}),
        ({"voiceId": "Lily"}, ("es-ES",), {"provider": "vapi", "voiceId": "Lily"}),
        ({"speed": 1.2}, ("en-US",), {"provider": "vapi", "voiceId": "Elliot", "speed": 1.2}),
        ({"provider": "11labs", "voiceId": "x"}, ("es-ES",), {"provider": "11labs", "voiceId": "x"}),
    ],
)
def test_a_voice_that_can_speak_them(settings: dict[str, object], languages: tuple[str, ...], voice: dict[str, object]):
    assert choose_voice(settings, languages) == voice


def test_the_model_is_told_of_languages_only_where_it_would_not_know():
    assert instruct(("en-US", "en-GB")) is None
    assert instruct(("de-DE",)) == "Speak the language de-DE (BCP 47)."
    assert "de-DE, en-US. Begin in the first one" in (instruct(("de-DE", "en-US")) or "")
