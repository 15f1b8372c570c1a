"""Why calls end at Vapi (`endedReason`), in our words.

Vapi docs: Call ended reasons. There are hundreds of them and new ones appear often, so they are read by how they begin.
tests/contract/test_vapi.py holds the table against the list in Vapi's newest SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from adapters.base import ErrorKind

_RULES: Final[tuple[tuple[str, ErrorKind | None], ...]] = (
    # The call did not start. What has no rule of its own is about an assistant, squad, version or number that does not
    # exist or is not valid: the client's, and neither Vapi's fault nor that of the agency's account.
    ("call.start.error-subscription-concurrency-limit", ErrorKind.AT_CAPACITY),
    ("call.start.error-subscription-", ErrorKind.OUT_OF_CREDIT),
    ("call.start.error-vapifault-", ErrorKind.PROVIDER_ERROR),
    ("call.start.error-get-org", ErrorKind.PROVIDER_ERROR),
    ("call.start.error-get-subscription", ErrorKind.PROVIDER_ERROR),
    ("call.start.error-fraud-check-", ErrorKind.PROVIDER_ERROR),
    ("call.start.", ErrorKind.BAD_REQUEST),
    ("call-start-error-", ErrorKind.BAD_REQUEST),
    ("assistant-not-", ErrorKind.BAD_REQUEST),
    ("assistant-request-", ErrorKind.BAD_REQUEST),
    # It broke off. Under bypass Vapi holds no line that it could transfer, so an assistant that tries is set up wrongly.
    ("call.in-progress.error-configfault-", ErrorKind.BAD_REQUEST),
    ("call.in-progress.error-transfer-", ErrorKind.BAD_REQUEST),
    ("call.in-progress.error-warm-transfer-", ErrorKind.BAD_REQUEST),
    ("call.in-progress.error-assistant-did-not-receive-customer-audio", None),
    ("call.in-progress.error-", ErrorKind.PROVIDER_ERROR),
    ("call.ringing.error-", ErrorKind.PROVIDER_ERROR),
    ("pipeline-", ErrorKind.PROVIDER_ERROR),
    ("assistant-join-timed-out", ErrorKind.PROVIDER_ERROR),
    ("worker-shutdown", ErrorKind.PROVIDER_ERROR),
    ("phone-call-provider-bypass-enabled-but-no-call-received", None),
    ("phone-call-provider-", ErrorKind.PROVIDER_ERROR),
    ("twilio-failed-to-", ErrorKind.PROVIDER_ERROR),
    ("vonage-failed-to-", ErrorKind.PROVIDER_ERROR),
    ("vonage-rejected", ErrorKind.PROVIDER_ERROR),
    # It ended as calls do.
    ("assistant-ended-call", None),
    ("assistant-forwarded-call", None),
    ("assistant-said-", None),
    ("call-deleted", None),
    ("call.ending.hook-", None),
    ("call.forwarding.", None),
    ("call.in-progress.sip-completed-", None),
    ("call.in-progress.twilio-completed-", None),
    ("call.ringing.hook-", None),
    ("call.ringing.sip-inbound-caller-hungup-", None),
    ("customer-", None),
    ("exceeded-max-duration", None),
    ("manually-canceled", None),
    ("scheduled-call-deleted", None),
    ("silence-timed-out", None),
    ("sip-outbound-", None),
    ("twilio-reported-customer-", None),
    ("voicemail", None),
    ("vonage-completed", None),
    ("vonage-disconnected", None),
)
"""How reasons begin, and the failure that they tell; None for an end that is nobody's failure. The first match counts."""

CALL_ENDS: Final[Mapping[str, str]] = {
    "customer-ended-call": "The caller hung up",
    "assistant-ended-call": "The assistant ended the call",
    "assistant-said-end-call-phrase": "The assistant said goodbye",
    "assistant-forwarded-call": "The assistant transferred the call",
    "silence-timed-out": "The caller said nothing for too long",
    "exceeded-max-duration": "The call reached its time limit",
    "customer-did-not-answer": "The caller hung up while it rang",
    "customer-did-not-give-microphone-permission": "The caller could not be heard",
    "manually-canceled": "The call was ended over Vapi's API",
    "phone-call-provider-bypass-enabled-but-no-call-received": "The caller hung up while it rang",
    "voicemail": "A machine was on the line",
}
"""What the usual reasons mean, in words for people."""

_UNANSWERED: Final = (
    "phone-call-provider-bypass-enabled-but-no-call-received",
    "customer-did-not-answer",
    "customer-busy",
    "call.ringing.sip-inbound-caller-hungup-before-call-connect",
)
"""How the reasons of calls begin that nobody joined: their callers hung up while it rang."""


def failure_of(reason: str) -> ErrorKind | None:
    """How the provider failed; None if it did not, or for a reason that no rule covers."""
    return next((failure for beginning, failure in _RULES if reason.startswith(beginning)), None)


def is_covered(reason: str) -> bool:
    return any(reason.startswith(beginning) for beginning, _ in _RULES)


def is_unanswered(reason: str) -> bool:
    return reason.startswith(_UNANSWERED)
