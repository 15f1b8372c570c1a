"""Registering calls at ElevenLabs, whose TwiML takes them, and checking a key.

ElevenLabs docs: Register Twilio calls; Get user subscription. The form of the TwiML is not documented: a Connect with a
Stream is expected, whose parameter `conversation_id` names the call. The reply is documented as text; a JSON string with
the same text is taken, too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from adapters.base import Handoff, InboundCall, KeyCheck, ProviderError, StreamHandoff, Target
from adapters.elevenlabs.api import Client
from adapters.facets import Missing
from adapters.phone import WITHHELD
from adapters.replies import Reply, find, is_id, malformed, number, read_json
from adapters.twiml import read_twiml

_UNKNOWN_CALLER: Final = "unknown"  # the field is required
_UNLIMITED: Final = "unlimited"
_CALL_ID: Final = "conversation_id"


class Calls:
    """A call needs an assistant (an agent at ElevenLabs); numbers need no registration."""

    def missing(self, target: Target) -> Missing | None:
        return None if target.assistant_id else "assistant"

    async def hand_off(self, client: Client, call: InboundCall, target: Target) -> Handoff:
        reply = await client.send("POST", "/v1/convai/twilio/register-call", json=_registration(call, target))
        if not reply.ok:
            raise client.refusal(reply)
        handoff = read_twiml(_text_of(reply))
        if handoff is None:
            raise malformed(reply)
        return replace(handoff, provider_call_id=_call_id(handoff))

    async def check_key(self, client: Client) -> KeyCheck:
        """With the permission that calls need. Credits are no dollars, so there is no balance to show."""
        reply = await client.send("GET", "/v1/convai/agents", query={"page_size": 1})
        if client.is_out_of_credit(reply):
            return KeyCheck("out_of_credit")
        if not isinstance(find(client.read(reply), "agents"), list):
            raise malformed(reply)
        return KeyCheck("out_of_credit" if await _is_spent(client) else "valid")


async def _is_spent(client: Client) -> bool:
    """Whether the credits of this month are used up, and no more may be. False for a key that may not read that: it
    is good for calls.
    """
    try:
        subscription = await client.ask("GET", "/v1/user/subscription")
    except ProviderError:
        return False
    used, limit = number(find(subscription, "character_count")), number(find(subscription, "character_limit"))
    more = find(subscription, "max_credit_limit_extension")
    if used is None or limit is None or more == _UNLIMITED:
        return False
    if find(subscription, "allowed_to_extend_character_limit") is True and more is None:
        return False
    return used >= limit + (number(more) or 0)


def _registration(call: InboundCall, target: Target) -> dict[str, Any]:
    return {
        "agent_id": target.assistant_id,
        "from_number": call.caller or (WITHHELD if call.withheld else _UNKNOWN_CALLER),
        "to_number": call.to,
        "direction": "inbound",
        "conversation_initiation_client_data": {"dynamic_variables": {**call.variables, **call.metadata}},
    }


def _text_of(reply: Reply) -> str | None:
    try:
        written = reply.body.decode()
        return written if not written.lstrip().startswith('"') else read_json(reply.body)
    except ValueError:
        return None


def _call_id(handoff: Handoff) -> str | None:
    if not isinstance(handoff, StreamHandoff):
        return None
    named = (dict(parameter) for parameter in handoff.parameters)
    found = next((one.get("value") for one in named if one.get("name") == _CALL_ID), None)
    return found if is_id(found) else None
