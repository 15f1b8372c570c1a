"""Registered calls, dialled by SIP under the call's id; key checks and free lines.

Retell docs: Custom telephony, Register phone call, Concurrency. A registered call that is never dialled ends by itself
after five minutes.
"""

from __future__ import annotations

from typing import Any

from adapters.base import Handoff, InboundCall, KeyCheck, SipHandoff, Target, bad_request
from adapters.facets import Missing
from adapters.portable import Lines
from adapters.replies import find, is_id, is_sip_address, malformed, number
from adapters.retell.api import Client


class Calls:
    """A call needs an assistant (an agent at Retell); numbers need no registration."""

    def missing(self, target: Target) -> Missing | None:
        return None if target.assistant_id else "assistant"

    async def hand_off(self, client: Client, call: InboundCall, target: Target) -> Handoff:
        reply = await client.send("POST", "/v2/register-phone-call", json=_registration(call, target))
        call_id = find(client.about_agent().read(reply), "call_id")
        uri = f"sip:{call_id}@{client.settings['sip']}"
        if not is_id(call_id) or not is_sip_address(uri):
            raise malformed(reply)
        return SipHandoff(uri, provider_call_id=call_id)

    async def check_key(self, client: Client) -> KeyCheck:
        reply = await client.send("GET", "/get-api-key-info")
        if client.is_out_of_credit(reply):
            return KeyCheck("out_of_credit")
        if not isinstance(find(client.read(reply), "org_id"), str):
            raise malformed(reply)
        return KeyCheck("valid")


async def count_lines(client: Client) -> Lines:
    """Retell docs, Get concurrency. Lines beyond the limit ("burst") cost extra and don't count as free."""
    reply = await client.send("GET", "/get-concurrency")
    answer = client.read(reply)
    allowed, used = (number(find(answer, name)) for name in ("concurrency_limit", "current_concurrency"))
    if allowed is None or allowed < 0:
        raise malformed(reply)
    return Lines(int(allowed), None if used is None else int(used))


async def end_call(client: Client, provider_call_id: str) -> None:
    if not is_id(provider_call_id):
        raise bad_request("This is not the id of a call at Retell.")
    await client.tell("POST", f"/v2/stop-call/{provider_call_id}")


def _registration(call: InboundCall, target: Target) -> dict[str, Any]:
    body: dict[str, Any] = {
        "agent_id": target.assistant_id,
        "agent_version": "latest_published",
        "direction": "inbound",
        "to_number": call.to,
        "metadata": call.metadata,
        "retell_llm_dynamic_variables": call.variables,
    }
    return body if call.caller is None else {**body, "from_number": call.caller}
