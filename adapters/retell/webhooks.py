"""What Retell reports and asks about calls: signed with an API key, read without trust.

Retell docs: Webhook overview, Secure the webhook, Inbound call webhook.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from adapters.base import MOST_TURNS, ROUTER_CALL_ID, TWILIO_CALL_SID, ErrorKind, ProviderEvent, TransferAsked, Turn
from adapters.facets import Delivery
from adapters.replies import find, list_of, number, read_report, text
from adapters.retell.definition import is_transfer, may_be_transfer
from crypto.secret import Secret

_FAULTS: Final = {
    "error_": ErrorKind.PROVIDER_ERROR,
    "concurrency_limit_reached": ErrorKind.AT_CAPACITY,
    "no_concurrency_fallback": ErrorKind.AT_CAPACITY,
    "no_valid_payment": ErrorKind.OUT_OF_CREDIT,
    "credit_exhausted": ErrorKind.OUT_OF_CREDIT,
    "budget_reached": ErrorKind.OUT_OF_CREDIT,
    "sip_routing_error": ErrorKind.PROVIDER_ERROR,
    "telephony_provider_": ErrorKind.PROVIDER_ERROR,
}
"""Beginnings of disconnection reasons that are Retell's fault, and what they mean."""

_UNANSWERED: Final = frozenset(
    {"registered_call_timeout", "error_user_not_joined", "dial_no_answer", "dial_busy", "user_declined"}
)
"""Disconnection reasons of calls that nobody joined: their callers hung up while it rang."""

CALL_ENDS: Final[Mapping[str, str]] = {
    "user_hangup": "The caller hung up",
    "agent_hangup": "The assistant ended the call",
    "call_transfer": "The assistant transferred the call",
    "voicemail_reached": "A machine was on the line",
    "ivr_reached": "A phone menu was on the line",
    "inactivity": "The caller said nothing for too long",
    "max_duration_reached": "The call reached its time limit",
    "manual_stopped": "The call was ended over Retell's API",
    "registered_call_timeout": "The caller hung up while it rang",
    "error_user_not_joined": "The caller hung up while it rang",
    "concurrency_limit_reached": "All lines at Retell were in use",
    "no_valid_payment": "Retell has no valid way of payment",
    "credit_exhausted": "No credit was left at Retell",
    "scam_detected": "Retell took the call for a scam",
}
"""What the usual disconnection reasons mean, in words for people."""

_KINDS: Final[Mapping[str, Literal["started", "ended", "analyzed", "asked"]]] = {
    "call_started": "started",
    "call_ended": "ended",
    "call_analyzed": "analyzed",
    "call_inbound": "asked",
}
_QUESTION: Final = "call_inbound"
_SIGNATURE: Final = re.compile(r"v=([0-9]{1,16}),d=([0-9a-f]{64})")
_SIGNATURE_AGE: Final = 300_000  # milliseconds, either way


class Webhooks:
    """Signed with an API key, over the raw body and the time."""

    proof: Final = "always hmac"

    def verify(self, delivery: Delivery, secrets: Sequence[Secret]) -> bool:
        """`v=<milliseconds>,d=<hex>`: HMAC-SHA256 over the raw body and the time, no older than five minutes."""
        match = _SIGNATURE.fullmatch(delivery.headers.get("x-retell-signature", ""))
        if match is None:
            return False
        signed_at = int(match[1])
        if abs(delivery.at.timestamp() * 1000 - signed_at) > _SIGNATURE_AGE:
            return False
        message = delivery.body + str(signed_at).encode()
        digests = [hmac.new(secret.reveal().encode(), message, "sha256").hexdigest() for secret in secrets if secret]
        proofs = [hmac.compare_digest(digest, match[2]) for digest in digests]
        return any(proofs)

    def read_event(self, body: bytes) -> ProviderEvent:
        event = read_report(body)
        original = text(find(event, "event"))
        if original is None:
            raise ValueError("this is not a Retell event: it has no event name")
        call = find(event, _QUESTION if original == _QUESTION else "call")
        reason = text(find(call, "disconnection_reason"))
        return ProviderEvent(
            kind=_KINDS.get(original, "other"),
            original=original,
            provider_call_id=text(find(call, "call_id")),
            call_id=text(find(call, "metadata", ROUTER_CALL_ID)),
            call_sid=text(find(call, "metadata", TWILIO_CALL_SID))
            or text(find(call, "telephony_identifier", "twilio_call_sid")),
            caller=text(find(call, "from_number")),
            to=text(find(call, "to_number")),
            reason=reason,
            failure=_failure(reason or ""),
            unanswered=reason in _UNANSWERED,
            seconds=_scaled(find(call, "duration_ms"), 1000),
            cost=_scaled(find(call, "call_cost", "combined_cost"), 100),
            summary=text(find(call, "call_analysis", "call_summary")),
            transcript=text(find(call, "transcript")),
            turns=tuple(_turns(find(call, "transcript_object"))),
        )

    def read_transfer(self, body: bytes) -> TransferAsked:
        """Retell docs, Custom function: the call and its metadata are beside the function's name and arguments.

        Retell signs the calls of all functions alike, also those of the agency's own, and of ours it passes on no more
        than the name. So a name that others may have needs our address with its token, which only our function has.
        """
        asked = read_report(body)
        call, name = find(asked, "call"), text(find(asked, "name"))
        if not (is_transfer(name) or may_be_transfer(name)) or not isinstance(call, dict):
            raise ValueError("this is not a call of the transfer function")
        return TransferAsked(
            call_id=text(find(call, "metadata", ROUTER_CALL_ID)),
            provider_call_id=text(find(call, "call_id")),
            caller=text(find(call, "from_number")),
            needs_address_token=not is_transfer(name),
        )

    def answer_transfer(self, _: TransferAsked, said: str) -> dict[str, Any]:
        return {"result": said}


def answer_question(
    event: ProviderEvent, assistant_id: str, variables: Mapping[str, str], metadata: Mapping[str, str]
) -> dict[str, Any]:
    """Retell docs, Inbound call webhook: the agent, its version, and what the call carries. Raises ValueError."""
    if event.kind != "asked":
        raise ValueError("only Retell's call_inbound asks for an agent")
    return {
        _QUESTION: {
            "override_agent_id": assistant_id,
            "override_agent_version": "latest_published",
            "dynamic_variables": dict(variables),
            "metadata": dict(metadata),
        }
    }


def _turns(utterances: Any) -> Iterator[Turn]:
    """Retell docs, Get call: an utterance begins with its first word."""
    for one in list_of(utterances)[:MOST_TURNS]:
        role, said, words = text(find(one, "role")), text(find(one, "content")), find(one, "words")
        if role in ("agent", "user") and said:
            first = words[0] if isinstance(words, list) and words else None
            yield Turn("assistant" if role == "agent" else "caller", said, number(find(first, "start")))


def _failure(reason: str) -> ErrorKind | None:
    if reason in _UNANSWERED:
        return None
    return next((kind for beginning, kind in _FAULTS.items() if reason.startswith(beginning)), None)


def _scaled(value: Any, divisor: float) -> float | None:
    read = number(value)
    return None if read is None else read / divisor
