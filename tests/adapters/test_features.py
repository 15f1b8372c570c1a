"""The file of features is whole, and each adapter loses exactly what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from adapters.bland import Bland
from adapters.features import ASSISTANT_FEATURES, FEATURES, all_offers, read_offers
from adapters.http import Http
from adapters.portable import Assistant, Function, Knowledge
from adapters.retell import Retell
from adapters.vapi import Vapi

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
    }[provider]
    return (replace(PLAIN, voice=settings),) * 2


def made(provider: str) -> Any:
    http, url, sip = Http(), "http://127.0.0.1:9", "sip.example.com"
    return {"vapi": Vapi(http, url), "retell": Retell(http, url, sip), "bland": Bland(http, url, sip)}[provider]


@pytest.fixture(params=["vapi", "retell", "bland"])
def provider(request: pytest.FixtureRequest) -> str:
    if not hasattr(made(request.param), "lost_features"):
        pytest.skip(f"{request.param} keeps no assistants yet")
    return request.param


@pytest.mark.parametrize("feature", ASSISTANT_FEATURES)
def test_an_adapter_loses_what_the_file_says(provider: str, feature: str):
    ordinary, utmost = voices(provider) if feature == "voice" else USES[feature]
    adapter = made(provider)

    lost = tuple(feature in adapter.lost_features(assistant) for assistant in (ordinary, utmost))

    assert (
        lost
        == {"yes": (False, False), "partly": (False, True), "no": (True, True)}[
            all_offers()[provider].features[feature]
        ]
    )


def test_an_assistant_that_asks_for_nothing_loses_nothing(provider: str):
    assert made(provider).lost_features(PLAIN) == ()


def test_what_is_lost_is_always_a_feature_of_the_file(provider: str):
    adapter = made(provider)
    lost = {one for pair in (*USES.values(), voices(provider)) for use in pair for one in adapter.lost_features(use)}
    assert lost <= set(ASSISTANT_FEATURES)


@pytest.mark.parametrize("provider", ["vapi", "retell", "bland"])
def test_an_adapter_sells_numbers_where_the_file_says(provider: str):
    offer = all_offers()[provider]
    assert (offer.features["numbers"] == "yes") == bool(offer.sells_in)
    adapter = made(provider)
    if not hasattr(adapter, "sells_in"):
        pytest.skip(f"{provider} keeps no numbers yet")
    assert adapter.sells_in == offer.sells_in


def test_all_three_providers_are_there_with_every_feature():
    offers = all_offers()
    assert list(offers) == ["vapi", "retell", "bland"]
    assert all(tuple(offer.features) == FEATURES for offer in offers.values())
    assert [offer.label for offer in offers.values()] == ["Vapi", "Retell", "Bland"]


GOOD = """
[acme]
label = "Acme"
find_key = "Under the mat."
costs = "Nothing."
good_for = "Everything."
sells_in = ["US"]
[acme.features]
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
    offer = read_offers(GOOD)["acme"]
    assert (offer.find_key, offer.sells_in, offer.features["voice"]) == ("Under the mat.", ("US",), "yes")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (GOOD.replace('costs = "Nothing."', ""), "acme.costs is missing or unknown"),
        (GOOD.replace("costs", "price"), "acme.costs is missing or unknown"),
        (GOOD.replace('"Nothing."', "0"), "acme.costs must be a text"),
        (GOOD.replace('voice = "yes"\n', ""), "look at voice"),
        (GOOD.replace('voice = "yes"\n', 'voice = "yes"\nsong = "yes"\n'), "look at song"),
        (GOOD.replace('voice = "yes"\n', 'voice = "partly"\n'), "acme.notes.voice must say what partly means"),
        (GOOD.replace('voice = "yes"\n', 'voice = "maybe"\n'), "acme.features.voice must be yes, partly or no"),
        (GOOD.replace('["US"]', '["USA"]'), "acme.sells_in must be a list of two-letter"),
        (GOOD + '[acme.notes]\nsong = "la"\n', "acme.notes.song must be a text about a feature"),
        ('acme = "yes"', "acme must be a table"),
        ("[acme", "Expected"),
    ],
)
def test_a_mistake_in_the_file_is_named(wrong: str, said: str):
    with pytest.raises(ValueError, match=said):
        read_offers(wrong)
