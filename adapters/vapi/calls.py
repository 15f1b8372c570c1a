"""Handing calls to Vapi by bypass, and what its API says of a key.

The two fields that make a bypass call stand in the prose of the docs only, not in the API's schema, hence the care
with what comes back.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from adapters.base import Capabilities, ErrorKind, Handoff, InboundCall, KeyCheck, ProviderError, Target
from adapters.portable import Lines
from adapters.replies import Reply, find, is_out_of_credit, malformed, read_answer, redact, text
from adapters.vapi.api import REFUSALS, Api, is_id
from adapters.vapi.twiml import read_twiml
from crypto.secret import Secret

_UNKNOWN_CALLER: Final = "anonymous"  # Vapi wants letters and digits where its E.164 check is off

_MOST_LINES: Final = 1_000_000  # more than anybody has, and what a database's integer holds


class Calls:
    """The calling half of VoiceProvider, and LineTeller. Takes a call that has an assistant, and an imported number
    (its id is the registration).
    """

    _api: Api
    name: Final = "vapi"
    # DELETE /call removes a record, and a call's control URL comes with its creation alone: there is no way to stop
    # a call by its id. A bypass call that nobody joins ends by itself.
    capabilities: Final = Capabilities(ends_calls=False, webhook_proof="header")

    def missing(self, target: Target) -> Literal["assistant", "registration"] | None:
        if not target.assistant_id:
            return "assistant"
        return None if target.registration else "registration"

    async def hand_off(self, call: InboundCall, target: Target, key: Secret, limit: float) -> Handoff:
        reply = await self._api.send("POST", "/call", key, limit, json=_bypass_call(call, target))
        answer = read_answer(reply, REFUSALS, key)
        if find(answer, "subscriptionLimits", "concurrencyBlocked") is True:
            raise ProviderError(ErrorKind.AT_CAPACITY, status=reply.status)
        call_id = find(answer, "id")
        handoff = read_twiml(
            find(answer, "phoneCallProviderDetails", "twiml"), call_id if is_id(call_id) else None, _lines(answer)
        )
        if handoff is None:
            raise _not_taken(reply, answer, key)
        return handoff

    async def check_key(self, key: Secret, limit: float) -> KeyCheck:
        reply = await self._api.send("GET", "/assistant?limit=1", key, limit)
        if is_out_of_credit(reply, REFUSALS):
            return KeyCheck("out_of_credit")
        if not isinstance(read_answer(reply, REFUSALS, key), list):
            raise malformed(reply)
        return KeyCheck("valid")

    async def end_call(self, provider_call_id: str, key: Secret, limit: float) -> None:  # noqa: ARG002 - see above
        raise ProviderError(ErrorKind.BAD_REQUEST, said="Vapi has no request that ends a call by its id")

    async def count_lines(self, key: Secret, limit: float) -> Lines | None:  # noqa: ARG002 - it tells with each call alone
        return None


def _bypass_call(call: InboundCall, target: Target) -> dict[str, Any]:
    customer: dict[str, Any] = {"number": call.caller}
    if call.caller is None:
        customer = {"number": _UNKNOWN_CALLER, "numberE164CheckEnabled": False}
    return {
        "phoneNumberId": target.registration,
        "phoneCallProviderBypassEnabled": True,
        "customer": customer,
        "assistantId": target.assistant_id,
        "assistantOverrides": {"variableValues": call.variables, "metadata": call.metadata},
    }


def _not_taken(reply: Reply, answer: Any, key: Secret) -> ProviderError:
    """A call that Vapi made and ended in one breath says why; one without a document of use says nothing."""
    said = text(find(answer, "endedReason")) or ""
    kind = next((rule.kind for rule in REFUSALS if rule.words.search(said)), ErrorKind.MALFORMED_REPLY)
    return ProviderError(kind, status=reply.status, said=redact(said, key))


def _lines(answer: Any) -> Lines | None:
    """With this call counted among those that use a line."""
    limit, remaining = (
        find(answer, "subscriptionLimits", name) for name in ("concurrencyLimit", "remainingConcurrentCalls")
    )
    if not _is_count(limit):
        return None
    return Lines(limit, max(limit - remaining, 0) if _is_count(remaining) else None)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_LINES
