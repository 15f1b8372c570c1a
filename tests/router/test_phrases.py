"""What we say, in the languages we speak, and the voices that say it."""

from __future__ import annotations

import string
from dataclasses import astuple, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sandbox.carrier.languages import SAY_LANGUAGES
from router import phrases
from router.phrases import Phrases, phrase_locale, phrases_for, say_locale

LANGUAGES = list(phrases._PHRASES)
SENTENCES = [field.name for field in fields(Phrases)]
NAMED = {"leave_message", "take_call"}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("sentence", SENTENCES)
def test_every_language_has_every_sentence(language: str, sentence: str):
    text = getattr(phrases_for(language), sentence)
    assert text.strip() == text != ""
    placeholders = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    assert placeholders == (["name"] if sentence in NAMED else [])


@pytest.mark.parametrize("sentence", SENTENCES)
def test_no_language_borrows_another_ones_sentence(sentence: str):
    assert len({getattr(phrases_for(language), sentence) for language in LANGUAGES}) == len(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_key_to_press_is_named(language: str):
    assert "1" in phrases_for(language).take_call


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_name_with_braces_is_spoken_as_it_is(language: str):
    for text in astuple(phrases_for(language)):
        assert "{0} {name} {" not in text
    assert "{0} {name} {" in phrases_for(language).take_call.format(name="{0} {name} {")


@pytest.mark.parametrize(
    ("language", "locale"),
    [
        ("en-US", "en-US"),
        ("en-GB", "en-GB"),
        ("EN-gb", "en-GB"),
        ("en", "en-US"),
        ("en-NZ", "en-US"),
        ("es", "es-ES"),
        ("es-MX", "es-MX"),
        ("es-419", "es-ES"),
        ("fr-CA", "fr-CA"),
        ("fr-BE", "fr-FR"),
        ("de-AT", "de-DE"),
        ("de-Latn-DE", "de-DE"),
        ("pt", "pt-BR"),
        ("pt-PT", "pt-PT"),
        ("nl-BE", "nl-NL"),
        ("nb", "nb-NO"),
        ("no", "nb-NO"),
        ("nn-NO", "nb-NO"),
        ("zh", "zh-CN"),
        ("zh-Hant-TW", "zh-TW"),
        ("ja", "ja-JP"),
        ("tlh", "en-US"),
        ("e", "en-US"),
        ("", "en-US"),
        ("-US", "en-US"),
    ],
)
def test_a_clients_own_words_are_spoken_by_the_nearest_voice(language: str, locale: str):
    assert say_locale(language) == locale


@pytest.mark.parametrize(
    ("language", "locale"), [("es-MX", "es-MX"), ("de-CH", "de-DE"), ("ja-JP", "en-US"), ("nb-NO", "en-US")]
)
def test_our_sentences_are_spoken_in_the_language_they_are_written_in(language: str, locale: str):
    assert phrase_locale(language) == locale
    assert (phrases_for(language) is phrases_for("en")) == (locale == "en-US")


@given(st.text(max_size=12) | st.from_regex(r"\A[a-z]{2,3}(-[A-Z]{2})?\Z"))
def test_whatever_a_client_speaks_the_carrier_has_a_voice_for_it(language: str):
    assert say_locale(language) in SAY_LANGUAGES
    assert phrase_locale(language) in SAY_LANGUAGES
    assert phrases_for(language)
