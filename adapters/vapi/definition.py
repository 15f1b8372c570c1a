"""The portable assistant as the body of Vapi's POST and PATCH /assistant, field by field.

Vapi's API schema: CreateAssistantDTO. Every field of ours is always sent, also where it says "none": a PATCH leaves
alone what it doesn't name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.base import ErrorKind, ProviderError
from adapters.portable import Assistant, Function, Knowledge, Wiring
from adapters.vapi.languages import are_understood, choose_transcriber, choose_voice, instruct
from crypto.secret import Secret

MARKER: Final = "callrouter_marker"
TRANSFER: Final = "transfer"

# Follows instructions and calls functions reliably, and answers without thinking first: a caller hears every pause.
_MODEL: Final = {"provider": "openai", "model": "gpt-4.1"}
_NAME_LENGTH: Final = 40
_LONGEST: Final = 3600  # seconds; as long as the router lets a call be when it knows no better. Vapi's default is 600
_DURATION: Final = (10, 43200)
_SERVER_MESSAGES: Final = ("status-update", "end-of-call-report", "tool-calls")
_TOLD_AGAIN: Final = {"type": "exponential", "maxRetries": 5, "baseDelaySeconds": 2}
_WEBHOOK_SECONDS: Final = 10
_FUNCTION_SECONDS: Final = 20
_ABOUT_LENGTH: Final = 1000


def lost_features(assistant: Assistant) -> tuple[str, ...]:
    return () if are_understood(assistant.languages) else ("languages",)


def assistant_body(assistant: Assistant, wiring: Wiring, file_ids: Sequence[str]) -> dict[str, Any]:
    """`file_ids`: the files that hold its knowledge. Addresses and the webhook secret stay Secrets until they are sent.

    Raises ProviderError(BAD_REQUEST) for a function with the name of ours.
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
    """What makes an assistant's calls known to us."""
    server = {**_server(wiring.webhook_url, wiring.secret), "backoffPlan": dict(_TOLD_AGAIN)}
    return {"server": server, "serverMessages": list(_SERVER_MESSAGES)}


def transfer_tool(wiring: Wiring) -> dict[str, Any]:
    """Ours, and never Vapi's own transferCall: under bypass Vapi holds no line that it could transfer."""
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
    return (
        isinstance(tool, dict) and isinstance(tool.get("function"), dict) and tool["function"].get("name") == TRANSFER
    )


def _server(url: str, secret: Secret) -> dict[str, Any]:
    return {"url": Secret(url), "timeoutSeconds": _WEBHOOK_SECONDS, "headers": {"x-vapi-secret": secret}}


def _opening(assistant: Assistant) -> Mapping[str, str]:
    """Without a greeting the model finds words of its own; silence would make callers hang up."""
    if assistant.greeting is None:
        return {"firstMessageMode": "assistant-speaks-first-with-model-generated-message"}
    return {"firstMessage": assistant.greeting, "firstMessageMode": "assistant-speaks-first"}


def _prompt(assistant: Assistant) -> str:
    """Vapi has no field for a time zone or for what is spoken: both go into the prompt, which is a Liquid template
    (Vapi docs: Dynamic variables).
    """
    pieces = [assistant.prompt, instruct(assistant.languages)]
    if assistant.timezone is not None:
        now = f'{{{{"now" | date: "%A, %B %d, %Y, %I:%M %p", "{assistant.timezone}"}}}}'
        pieces.append(f"It is now {now} where the business is ({assistant.timezone}).")
    return "\n\n".join(piece for piece in pieces if piece)


def _tools(assistant: Assistant, wiring: Wiring, file_ids: Sequence[str]) -> list[dict[str, Any]]:
    tools = [{"type": "endCall"}, *(_function_tool(function) for function in assistant.functions)]
    if assistant.transfer_to is not None:
        if any(function.name == TRANSFER for function in assistant.functions):
            raise ProviderError(
                ErrorKind.BAD_REQUEST,
                said=f"A function must not be called {TRANSFER}: that is the name of the one which puts callers through.",
            )
        tools.append(transfer_tool(wiring))
    if assistant.knowledge:
        tools.append(_query_tool(assistant.knowledge, file_ids))
    return tools


def _function_tool(function: Function) -> dict[str, Any]:
    """Vapi asks the agency's own software; what proves Vapi to us is not for them."""
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
    about = "What the business says of itself: " + "; ".join(one.title for one in knowledge)
    return {
        "type": "query",
        "knowledgeBases": [
            {
                "name": "knowledge",
                "description": about[:_ABOUT_LENGTH],
                "provider": "google",
                "fileIds": list(file_ids),
            }
        ],
    }
