from __future__ import annotations

import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from router.assistants.definition import marker_of, read_assistant
from router.store.tenants.clients import Client

CLIENT = Client(
    id="client_a1",
    agency_id="agency_a1",
    name="Bella's Salon",
    personal_phone=None,
    notify_email=None,
    provider=None,
    caller_id="caller",
    routing={"hours": {"timezone": "Europe/London", "open": [], "closed_mode": "voicemail"}},
    assistant=None,
    created_at=datetime(2026, 3, 2, tzinfo=UTC),
)


def test_a_client_without_a_definition_has_no_assistant():
    assert read_assistant(CLIENT, "vapi") is None


def test_all_of_a_definition_reaches_the_provider_with_its_own_voice_and_the_clients_time_zone():
    function = {
        "name": "book",
        "description": "Books.",
        "parameters": {"type": "object"},
        "url": "https://acme.example",
    }
    definition = {
        "prompt": "You answer for Bella.",
        "greeting": "Hello.",
        "languages": ["en-GB", "fr-FR"],
        "voice": {"vapi": {"voiceId": "Elliot"}, "retell": {"voice_id": "cimo"}},
        "transfer_to": "+442079460000",
        "functions": [function],
        "knowledge": [{"title": "Prices", "text": "A cut is 30."}],
        "voicemail_detection": True,
        "max_seconds": 600,
    }
    client = Client(**{**{name: getattr(CLIENT, name) for name in CLIENT.__slots__}, "assistant": definition})
    assistant = read_assistant(client, "retell")
    assert assistant is not None
    assert (assistant.marker, assistant.name, assistant.timezone) == ("client_a1", "Bella's Salon", "Europe/London")
    assert (assistant.prompt, assistant.greeting) == ("You answer for Bella.", "Hello.")
    assert assistant.languages == ("en-GB", "fr-FR")
    assert assistant.voice == {"voice_id": "cimo"}
    assert assistant.transfer_to == "+442079460000"
    assert [(one.name, one.description, one.parameters, one.url) for one in assistant.functions] == [
        tuple(function.values())
    ]
    assert [(one.title, one.text) for one in assistant.knowledge] == [("Prices", "A cut is 30.")]
    assert (assistant.voicemail_detection, assistant.max_seconds) == (True, 600)


@given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=80))
def test_a_marker_fits_everywhere_and_is_one_clients_alone(one, other):
    assert re.fullmatch(r"[a-z0-9_]{1,40}", marker_of(one))
    assert (marker_of(one) == marker_of(other)) == (one == other)
