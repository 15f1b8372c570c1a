"""What becomes of each field of the portable assistant at Vapi."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.base import ErrorKind, ProviderError
from adapters.portable import Assistant
from adapters.vapi.definition import assistant_body
from crypto.secret import Secret
from tests.adapters.vapi.examples import ACME, FUNCTION, PLAIN, PRICES, WEBHOOK_SECRET, WIRING


def body_of(assistant: Assistant, *files: str) -> dict[str, Any]:
    """As it goes out."""
    return json.loads(json.dumps(assistant_body(assistant, WIRING, files), default=Secret.reveal))


def tools_of(assistant: Assistant, *files: str) -> list[dict[str, Any]]:
    return body_of(assistant, *files)["model"]["tools"]


def test_a_whole_assistant():
    assert body_of(ACME, "file-1") == {
        "name": "Acme Plumbing",
        "firstMessage": "Acme Plumbing, how can I help?",
        "firstMessageMode": "assistant-speaks-first",
        "model": {
            "provider": "openai",
            "model": "gpt-4.1",
            "messages": [
                {
                    "role": "system",
                    "content": "You answer the phone for Acme.\n\n"
                    "Languages of this call (BCP 47): en-US, es-ES. Begin in the first one. When the caller speaks"
                    " another of them, go on in that one.\n\n"
                    'It is now {{"now" | date: "%A, %B %d, %Y, %I:%M %p", "America/Chicago"}} where the business is'
                    " (America/Chicago).",
                }
            ],
            "tools": [
                {"type": "endCall"},
                {
                    "type": "function",
                    "function": {
                        "name": "book_visit",
                        "description": "Books a visit",
                        "parameters": dict(FUNCTION.parameters),
                    },
                    "server": {"url": "https://acme.example/book", "timeoutSeconds": 20},
                },
                {
                    "type": "function",
                    "function": {
                        "name": "transfer",
                        "description": "Puts the caller through to a person. Use it when the caller asks to speak to"
                        " a person, after saying that you are connecting them.",
                        "parameters": {
                            "type": "object",
                            "properties": {
                                "reason": {"type": "string", "description": "What the caller wants, in a few words"}
                            },
                        },
                    },
                    "server": {
                        "url": WIRING.transfer_url,
                        "timeoutSeconds": 10,
                        "headers": {"x-vapi-secret": WEBHOOK_SECRET},
                    },
                },
                {
                    "type": "query",
                    "knowledgeBases": [
                        {
                            "name": "knowledge",
                            "description": "What the business says of itself: Prices",
                            "provider": "google",
                            "fileIds": ["file-1"],
                        }
                    ],
                },
            ],
        },
        "voice": {"provider": "11labs", "voiceId": "burt", "speed": 1.1},
        "transcriber": {"provider": "deepgram", "model": "nova-3", "language": "multi"},
        "voicemailDetection": {"provider": "vapi"},
        "maxDurationSeconds": 900,
        "server": {
            "url": WIRING.webhook_url,
            "timeoutSeconds": 10,
            "headers": {"x-vapi-secret": WEBHOOK_SECRET},
            "backoffPlan": {"type": "exponential", "maxRetries": 5, "baseDelaySeconds": 2},
        },
        "serverMessages": ["status-update", "end-of-call-report", "tool-calls"],
        "metadata": {"callrouter_marker": "client_1"},
    }


def test_what_is_not_asked_for_is_switched_off_in_so_many_words():
    """A PATCH leaves alone what it doesn't name, so an assistant that had it would keep it."""
    body = body_of(PLAIN)
    assert body["firstMessageMode"] == "assistant-speaks-first-with-model-generated-message"
    assert body["voicemailDetection"] == "off"
    assert body["model"]["tools"] == [{"type": "endCall"}]
    assert body["model"]["messages"][0]["content"] == "You answer the phone for Acme."
    assert body["voice"] == {"provider": "vapi", "voiceId": "Elliot"}
    assert body.keys() == body_of(ACME).keys() - {"firstMessage"}


@pytest.mark.parametrize(("asked", "sent"), [(None, 3600), (60, 60), (7200, 7200), (5, 10), (99_999, 43_200)])
def test_a_call_always_has_a_longest_time(asked: int | None, sent: int):
    assert body_of(replace(PLAIN, max_seconds=asked))["maxDurationSeconds"] == sent


def test_a_long_name_is_cut_to_what_vapi_keeps():
    assert body_of(replace(PLAIN, name="Acme " * 20))["name"] == ("Acme " * 8).strip()


def test_no_transfer_of_vapis_own():
    """Under bypass Vapi holds no line that it could transfer."""
    assert [tool["type"] for tool in tools_of(ACME)] == ["endCall", "function", "function", "query"]
    assert "destinations" not in json.dumps(tools_of(ACME))


def test_the_agencys_own_software_never_gets_what_proves_vapi_to_us():
    booking = tools_of(replace(PLAIN, functions=(FUNCTION,)))[1]
    assert WEBHOOK_SECRET not in json.dumps(booking)


def test_a_function_without_parameters_has_an_empty_list_of_them():
    bare = replace(FUNCTION, parameters={"type": "object"})
    tool = tools_of(replace(PLAIN, functions=(bare,)))[1]
    assert tool["function"]["parameters"] == {"type": "object", "properties": {}}


def test_a_function_with_the_name_of_ours_is_refused_with_a_reason():
    clashing = replace(ACME, functions=(replace(FUNCTION, name="transfer"),))
    with pytest.raises(ProviderError) as caught:
        assistant_body(clashing, WIRING, ())
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert "must not be called transfer" in caught.value.said
    assert tools_of(replace(clashing, transfer_to=None))[1]["function"]["name"] == "transfer"


def test_what_knowledge_is_about_is_told_as_far_as_it_goes():
    many = replace(PLAIN, knowledge=tuple(replace(PRICES, title="Prices " * 20) for _ in range(50)))
    base = tools_of(many)[-1]["knowledgeBases"][0]
    assert len(base["description"]) == 1000


def test_addresses_and_secrets_stay_hidden_until_they_are_sent():
    assert WEBHOOK_SECRET not in repr(assistant_body(ACME, WIRING, ()))
