"""What the providers declare: which facets they have, and settings that fit their own checks."""

from __future__ import annotations

import pytest

from adapters.http import Http
from adapters.registry import PROVIDERS, Providers, one_of, settings_of
from crypto import Secret
from tests.adapters.canary import CANARY, shows

FACETS = (
    *("end_call", "count_lines", "webhooks", "answer_question", "assistants", "list_voices", "registrations", "shop"),
)
LACKING = {
    "vapi": {"count_lines", "list_voices", "shop"},  # lines are told with each call alone
    "retell": {"registrations"},  # each call is registered
    "bland": {"end_call", "count_lines", "answer_question"},  # a number there holds its assistant
    "elevenlabs": {"end_call", "count_lines", "answer_question", "registrations", "shop"},  # each call is registered
}


def test_they_stand_in_for_each_other_in_this_order():
    assert [one.name for one in PROVIDERS] == ["vapi", "retell", "bland", "elevenlabs"]
    assert one_of(PROVIDERS) == "Vapi, Retell, Bland or ElevenLabs"


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: one.name)
def test_a_facet_that_a_provider_lacks_is_absent(provider):
    assert {name for name in FACETS if getattr(provider, name) is None} == LACKING[provider.name]


def test_an_assistant_is_kept_on_numbers_at_bland_alone():
    assert [one.name for one in PROVIDERS if one.assistants.lives_on_numbers] == ["bland"]


@pytest.mark.parametrize(("name", "setting"), settings_of(PROVIDERS).items(), ids=lambda one: str(one)[:12])
def test_a_default_is_valid(name, setting):
    assert name.endswith("_url") == setting.is_url
    assert setting.find_mistake is None or setting.find_mistake(setting.default) is None
    assert setting.is_url or setting.find_mistake("not a host")


def test_an_opened_client_does_not_show_the_key():
    defaults = {name: setting.default for name, setting in settings_of(PROVIDERS).items()}
    for provider in Providers(PROVIDERS, Http(), defaults).values():
        client = provider.open(Secret(CANARY), 5).hiding(Secret(CANARY))
        assert not shows(f"{client!r} {client} {provider!r}")
