"""The portable assistant as the body of Vapi's POST and PATCH /assistant, field by field.

Vapi's API schema: CreateAssistantDTO. Every field of ours is always sent, even if it says "none": a PATCH keeps the
fields that it doesn't name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.base import bad_request
from adapters.portable import Assistant, Function, Knowledge, Wiring
from adapters.replies import find, list_of
from adapters.vapi.languages import are_understood, choose_transcriber, choose_voice, instruct
from crypto.secret import Secret

MARKER: Final = "callrouter_marker"
TRANSFER: Final = "transfer"

# Follows instructions and calls functions reliably, and answers without reasoning first: callers notice every pause.
_MODEL: Final = {"provider": "openai", "model": "gpt-4.1"}
_NAME_LENGTH: Final = 40
_LONGEST: Final = 3600  # seconds; the router's own limit for a call without one. Vapi's default is 600
_DURATION: Final = (10, 43200)
_SERVER_MESSAGES: Final = ("status-update", "end-of-call-report", "tool-calls")
_TOLD_AGAIN: Final = {"type": "exponential", "maxRetries": 5, "baseDelaySeconds": 2}
_WEBHOOK_SECONDS: Final = 10
_FUNCTION_SECONDS: Final = 20
_ABOUT_LENGTH: Final = 1000


def lost_features(assistant: Assistant) -> tuple[str, ...]:
    return () if are_understood(assistant.languages) else ("languages",)


def assistant_body(assistant: Assistant, wiring: Wiring, file_ids: Sequence[str]) -> dict[str, Any]:
    """`file_ids`: the files that hold its knowledge. Our addresses and the webhook secret stay Secrets until they are
    sent. Raises ProviderError(BAD_REQUEST) for a function with the name of ours.
    """
    shortest, longest = _DURATION
    return {
        "name": assistant.name[:_NAME_LENGTH].strip(),
        **_opening(assistant),
        "model": {
            **_MODEL,
            "messages": [{"role": "system", "content": _prompt(assistant)}],
            "tools": _tools(assistant, wiring, file_ids),
        },
        "voice": choose_voice(assistant.voice, assistant.languages),
        "transcriber": choose_transcriber(assistant.languages),
        "voicemailDetection": {"provider": "vapi"} if assistant.voicemail_detection else "off",
        "maxDurationSeconds": min(max(assistant.max_seconds or _LONGEST, shortest), longest),
        **webhook_fields(wiring),
        "metadata": {MARKER: assistant.marker},
    }


def webhook_fields(wiring: Wiring) -> dict[str, Any]:
    """What makes Vapi report an assistant's calls to us."""
    server = {**_server(wiring.webhook_url, wiring.secret), "backoffPlan": dict(_TOLD_AGAIN)}
    return {"server": server, "serverMessages": list(_SERVER_MESSAGES)}


def reports_to(assistant: Any, wiring: Wiring) -> bool:
    """Whether an assistant reports its calls to us."""
    messages = list_of(find(assistant, "serverMessages"))
    return find(assistant, "server", "url") == wiring.webhook_url and all(one in messages for one in _SERVER_MESSAGES)


def transfer_tool(wiring: Wiring) -> dict[str, Any]:
    """Not Vapi's own transferCall: under bypass Vapi holds no line that it could transfer."""
    return {
        "type": "function",
        "function": {
            "name": TRANSFER,
            "description": "Puts the caller through to a person. Use it when the caller asks to speak to a person,"
            " after saying that you are connecting them.",
            "parameters": {
                "type": "object",
                "properties": {"reason": {"type": "string", "description": "What the caller wants, in a few words"}},
            },
        },
        "server": _server(wiring.transfer_url, wiring.secret),
    }


def is_transfer_tool(tool: Any) -> bool:
    return bool(find(tool, "function", "name") == TRANSFER)


def _server(url: str, secret: Secret) -> dict[str, Any]:
    return {"url": Secret(url), "timeoutSeconds": _WEBHOOK_SECONDS, "headers": {"x-vapi-secret": secret}}


def _opening(assistant: Assistant) -> Mapping[str, str]:
    """Without a greeting, the model makes one up: silence would make callers hang up."""
    if assistant.greeting is None:
        return {"firstMessageMode": "assistant-speaks-first-with-model-generated-message"}
    return {"firstMessage": assistant.greeting, "firstMessageMode": "assistant-speaks-first"}


def _prompt(assistant: Assistant) -> str:
    """Vapi has no fields for time zone and languages: both go into the prompt (docs: Dynamic variables)."""
    pieces = [assistant.prompt, instruct(assistant.languages)]
    if assistant.timezone is not None:
        now = f'{{{{"now" | date: "%A, %B %d, %Y, %I:%M %p", "{assistant.timezone}"}}}}'
        pieces.append(f"It is now {now} where the business is ({assistant.timezone}).")
    return "\n\n".join(piece for piece in pieces if piece)


def _tools(assistant: Assistant, wiring: Wiring, file_ids: Sequence[str]) -> list[dict[str, Any]]:
    tools = [{"type": "endCall"}, *(_function_tool(function) for function in assistant.functions)]
    if assistant.transfer_to is not None:
        if any(function.name == TRANSFER for function in assistant.functions):
            raise bad_request(
                f"A function must not be called {TRANSFER}: the one that transfers callers has that name."
            )
        tools.append(transfer_tool(wiring))
    if assistant.knowledge:
        tools.append(_query_tool(assistant.knowledge, file_ids))
    return tools


def _function_tool(function: Function) -> dict[str, Any]:
    """Vapi asks the agency's software directly, without the secret that Vapi proves itself to us with."""
    return {
        "type": "function",
        "function": {
            "name": function.name,
            "description": function.description,
            "parameters": {"properties": {}, **function.parameters},
        },
        "server": {"url": function.url, "timeoutSeconds": _FUNCTION_SECONDS},
    }


def _query_tool(knowledge: Sequence[Knowledge], file_ids: Sequence[str]) -> dict[str, Any]:
    about = f"What the business says of itself: {'; '.join(one.title for one in knowledge)}"[:_ABOUT_LENGTH]
    return {
        "type": "query",
        "knowledgeBases": [
            {"name": "knowledge", "description": about, "provider": "google", "fileIds": list(file_ids)}
        ],
    }
