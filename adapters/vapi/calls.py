"""Handing calls to Vapi by bypass, ending them, and checking a key.

The two fields that make a bypass call are only in the prose of the docs, not in the API's schema, so the reply is read
with care.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final, TypeGuard

from adapters.base import ErrorKind, Handoff, InboundCall, KeyCheck, ProviderError, Target, bad_request
from adapters.facets import Missing
from adapters.phone import WITHHELD, is_possible
from adapters.portable import Lines
from adapters.replies import Reply, find, is_id, malformed, redact, text
from adapters.twiml import read_twiml
from adapters.vapi.api import Client
from adapters.vapi.reasons import failure_of

_UNKNOWN_CALLER: Final = "unknown"  # Vapi wants letters and digits where its E.164 check is off
_PATH: Final = re.compile(r"/[\w./%?=&-]+", re.ASCII)
_AT_VAPI: Final = re.compile(rf"https://([a-z0-9-]+\.)+vapi\.ai{_PATH.pattern}", re.ASCII)


class Calls:
    """Takes a call that has an assistant, and an imported number (its id is the registration).

    A call runs the assistant's current version, the one published last: `assistantVersion` is left out. Free lines are
    reported with each call only.
    """

    def missing(self, target: Target) -> Missing | None:
        if not target.assistant_id:
            return "assistant"
        return None if target.registration else "registration"

    async def hand_off(self, client: Client, call: InboundCall, target: Target) -> Handoff:
        reply = await client.send("POST", "/call", json=_bypass_call(call, target))
        answer = client.read(reply)
        if find(answer, "subscriptionLimits", "concurrencyBlocked") is True:
            raise ProviderError(ErrorKind.AT_CAPACITY, status=reply.status)
        call_id = find(answer, "id")
        handoff = read_twiml(find(answer, "phoneCallProviderDetails", "twiml"))
        if handoff is None:
            raise _not_taken(client, reply, answer)
        return replace(handoff, provider_call_id=call_id if is_id(call_id) else None, lines=_lines(answer))

    async def check_key(self, client: Client) -> KeyCheck:
        reply = await client.send("GET", "/assistant", query={"limit": 1})
        if client.is_out_of_credit(reply):
            return KeyCheck("out_of_credit")
        if not isinstance(client.read(reply), list):
            raise malformed(reply)
        return KeyCheck("valid")


async def end_call(client: Client, provider_call_id: str) -> None:
    """At the address that controls the live call; DELETE /call would remove its record. Vapi docs: Live call control.

    The address comes without a check of keys unless the assistant asks for one (`controlAuthenticationEnabled`, with
    the public key, which we don't have), so the key isn't sent there.
    """
    if not is_id(provider_call_id):
        raise bad_request("This is not the id of a call at Vapi.")
    call = await client.ask("GET", f"/call/{provider_call_id}", "id")
    control = find(call, "monitor", "controlUrl")
    if not _is_control_address(control, client.settings["url"]):
        raise bad_request("Vapi gives no address at which this call can be controlled.")
    await client.control(control, {"type": "end-call"})


def _is_control_address(address: Any, api: str) -> TypeGuard[str]:
    """Whether it is at Vapi: a host of vapi.ai, or where the API itself is."""
    if not isinstance(address, str):
        return False
    base = api.rstrip("/")
    return bool(_AT_VAPI.fullmatch(address) or (address.startswith(base) and _PATH.fullmatch(address[len(base) :])))


def _bypass_call(call: InboundCall, target: Target) -> dict[str, Any]:
    unnamed = WITHHELD if call.withheld else _UNKNOWN_CALLER
    customer: dict[str, Any] = {"number": call.caller or unnamed}
    if call.caller is None or not is_possible(call.caller):
        customer["numberE164CheckEnabled"] = False
    return {
        "phoneNumberId": target.registration,
        "phoneCallProviderBypassEnabled": True,
        "customer": customer,
        "assistantId": target.assistant_id,
        "assistantOverrides": {"variableValues": call.variables, "metadata": call.metadata},
    }


def _not_taken(client: Client, reply: Reply, answer: Any) -> ProviderError:
    """A call that Vapi created and ended at once says why; one without a usable document does not."""
    said = text(find(answer, "endedReason")) or ""
    kind = failure_of(said) or ErrorKind.MALFORMED_REPLY
    return ProviderError(kind, status=reply.status, said=redact(said, client.key))


def _lines(answer: Any) -> Lines | None:
    """With this call counted among those that use a line."""
    limits = find(answer, "subscriptionLimits")
    limit, remaining = find(limits, "concurrencyLimit"), find(limits, "remainingConcurrentCalls")
    if not _is_count(limit):
        return None
    return Lines(limit, limit - remaining if _is_count(remaining) else None)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
