"""The file of features is whole, and each adapter loses exactly what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from adapters.features import ASSISTANT_FEATURES, FEATURES, read_offer
from adapters.portable import Assistant, Function, Knowledge
from adapters.provider import Declaration
from adapters.registry import PROVIDERS

PLAIN = Assistant(marker="client_1", name="Acme Plumbing", prompt="You answer the phone for Acme.")
FUNCTION = Function("book", "Books a visit", {"type": "object", "properties": {}}, "https://acme.example/book")

USES: dict[str, tuple[Assistant, Assistant]] = {
    "greeting": (replace(PLAIN, greeting="Acme, how can I help?"), replace(PLAIN, greeting="Grüß Gott! " * 20)),
    "languages": (replace(PLAIN, languages=("es-ES",)), replace(PLAIN, languages=("en-US", "es-ES"))),
    "timezone": (replace(PLAIN, timezone="Europe/London"), replace(PLAIN, timezone="Asia/Kathmandu")),
    "functions": (
        replace(PLAIN, functions=(FUNCTION,)),
        replace(PLAIN, functions=tuple(replace(FUNCTION, name=f"book_{each}") for each in range(20))),
    ),
    "knowledge": (
        replace(PLAIN, knowledge=(Knowledge("Prices", "A visit is $80."),)),
        replace(PLAIN, knowledge=tuple(Knowledge(f"Part {each}", "Much to know. " * 500) for each in range(10))),
    ),
    "transfer": (replace(PLAIN, transfer_to="+14155550100"), replace(PLAIN, transfer_to="+442079460000")),
    "voicemail_detection": (replace(PLAIN, voicemail_detection=True),) * 2,
    "max_seconds": (replace(PLAIN, max_seconds=900), replace(PLAIN, max_seconds=7200)),
}
"""For each feature an ordinary use of it, and as much of it as a definition may ask for."""


def voices(provider: str) -> tuple[Assistant, Assistant]:
    settings: dict[str, Any] = {
        "vapi": {"provider": "vapi", "voiceId": "Elliot"},
        "retell": {"voice_id": "11labs-Adrian"},
        "bland": {"voice": "maya"},
        "elevenlabs": {"voice_id": "JBFqnCBsd6RMkjVDRZzb", "speed": 1.1},
    }[provider]
    return (replace(PLAIN, voice=settings),) * 2


@pytest.fixture(params=PROVIDERS, ids=lambda one: one.name)
def provider(request: pytest.FixtureRequest) -> Declaration[Any]:
    return request.param


def test_people_are_told_where_their_keys_are_and_where_to_top_up(provider: Declaration[Any]):
    assert provider.about.top_up.startswith("https://")
    assert provider.about.key_page.startswith("https://")


@pytest.mark.parametrize("feature", ASSISTANT_FEATURES)
def test_an_adapter_loses_what_the_file_says(provider: Declaration[Any], feature: str):
    ordinary, utmost = voices(provider.name) if feature == "voice" else USES[feature]

    lost = tuple(feature in provider.assistants.lost_features(assistant) for assistant in (ordinary, utmost))

    promised = {"yes": (False, False), "partly": (False, True), "no": (True, True)}
    assert lost == promised[provider.offer.features[feature]]


def test_an_assistant_that_asks_for_nothing_loses_nothing(provider: Declaration[Any]):
    assert provider.assistants.lost_features(PLAIN) == ()


def test_what_is_lost_is_always_a_feature_of_the_file(provider: Declaration[Any]):
    uses = [use for pair in (*USES.values(), voices(provider.name)) for use in pair]
    assert {one for use in uses for one in provider.assistants.lost_features(use)} <= set(ASSISTANT_FEATURES)


def test_a_provider_sells_numbers_if_the_file_says_so(provider: Declaration[Any]):
    assert (provider.offer.features["numbers"] == "yes") == (provider.shop is not None)


def test_every_feature_is_there(provider: Declaration[Any]):
    assert tuple(provider.offer.features) == FEATURES


GOOD = """
label = "Acme"
find_key = "Under the mat."
costs = "Nothing."
good_for = "Everything."
[features]
functions = "yes"
greeting = "yes"
knowledge = "yes"
languages = "yes"
max_seconds = "yes"
numbers = "yes"
timezone = "yes"
transfer = "yes"
voice = "yes"
voicemail_detection = "yes"
"""


def test_a_file_of_the_right_shape_is_read():
    offer = read_offer(GOOD)
    assert (offer.about.find_key, offer.features["voice"]) == ("Under the mat.", "yes")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (GOOD.replace('costs = "Nothing."', ""), "costs is missing or unknown"),
        (GOOD.replace("costs", "price"), "costs is missing or unknown"),
        (GOOD.replace('"Nothing."', "0"), "costs must be a text"),
        (GOOD.replace('voice = "yes"\n', ""), "look at voice"),
        (GOOD.replace('voice = "yes"\n', 'voice = "yes"\nsong = "yes"\n'), "look at song"),
        (GOOD.replace('voice = "yes"\n', 'voice = "partly"\n'), "notes.voice must say what partly means"),
        (GOOD.replace('voice = "yes"\n', 'voice = "maybe"\n'), "features.voice must be yes, partly or no"),
        (GOOD + '[notes]\nsong = "la"\n', "notes.song must be a text about a feature"),
        ("[features", "Expected"),
    ],
)
def test_a_mistake_in_the_file_is_named(wrong: str, said: str):
    with pytest.raises(ValueError, match=said):
        read_offer(wrong)
