"""What Bland reports about calls, and the proof that it comes from Bland.

Bland docs: Webhook signing, Post call webhooks, Call details.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from adapters.base import MOST_TURNS, ROUTER_CALL_ID, TWILIO_CALL_SID, ErrorKind, ProviderEvent, TransferAsked, Turn
from adapters.facets import Delivery
from adapters.replies import find, list_of, moment, number, read_report, text
from crypto.secret import Secret

_FAULTS: Final = ("pre_queue_error", "queue_error", "call_error", "complete_error")
_POST_CALL_FIELDS: Final = frozenset({"completed", "call_length", "corrected_duration", "queue_status"})
_AFTER_THE_CALL: Final = ("post_transfer_transcript",)  # of what people said whom the call was transferred to
_NO_LINE: Final = re.compile("concurren", re.IGNORECASE)
_NO_MONEY: Final = re.compile("balance|credit|payment|funds", re.IGNORECASE)
_UNANSWERED: Final = ("no-answer", "busy", "canceled", "cancelled")
_HUNG_UP: Final = re.compile("no.?answer|not answered|cancell?ed|hung.?up", re.IGNORECASE)
CALL_ENDS: Final[Mapping[str, str]] = {
    "ASSISTANT": "The assistant ended the call",
    "USER": "The caller hung up",
    "completed": "The call was completed",
    "busy": "The line was busy",
    "no-answer": "The caller hung up while it rang",
    "canceled": "The caller hung up while it rang",
    "failed": "The call failed at Bland",
}
"""What Bland's words for the end of a call mean, for people."""
_MOST_REWRITTEN: Final = 16 * 1024  # bytes: parsing them before there is a proof takes at most a few milliseconds
_LARGEST_EXACT: Final = 2**53  # JavaScript writes whole floats below as integers, and is exact no further


class Webhooks:
    """Signed with a secret of the organisation, over the body alone. Bland never asks which assistant takes a call: a
    number there holds it.
    """

    proof: Final = "hmac"

    def verify(self, delivery: Delivery, secrets: Sequence[Secret]) -> bool:
        """Hex HMAC-SHA256 of the body; of a small body also as JavaScript would write it again."""
        body, usable = delivery.body, [secret for secret in secrets if secret]
        given = delivery.headers.get("x-webhook-signature", "").strip().lower()
        if not usable or not re.fullmatch(r"[0-9a-f]{64}", given):
            return False
        if _has_signed(usable, body, given):
            return True
        rewritten = _as_javascript_writes(body) if len(body) <= _MOST_REWRITTEN else None
        return rewritten is not None and _has_signed(usable, rewritten, given)

    def read_event(self, body: bytes) -> ProviderEvent:
        event = read_report(body)
        provider_call_id = text(find(event, "call_id"))
        if provider_call_id is None:
            raise ValueError("this is not a Bland event: it has no call_id")
        named = next(filter(None, (text(find(event, name)) for name in ("event", "category"))), None)
        ended = named not in _AFTER_THE_CALL and not _POST_CALL_FIELDS.isdisjoint(event)
        reason = _reason(event) if ended else None
        failure = _failure(event, reason or "") if ended else None
        metadata = _metadata(event)
        return ProviderEvent(
            kind="ended" if ended else "other",
            original="post-call" if ended else named or "unknown",
            provider_call_id=provider_call_id,
            call_id=text(metadata.get(ROUTER_CALL_ID)),
            call_sid=text(metadata.get(TWILIO_CALL_SID)),
            caller=text(find(event, "from")),
            to=text(find(event, "to")),
            reason=reason,
            failure=failure,
            unanswered=ended and failure is None and _is_unanswered(event, reason or ""),
            seconds=_seconds(event),
            cost=number(find(event, "price")),
            summary=text(find(event, "summary")),
            transcript=text(find(event, "concatenated_transcript")),
            turns=tuple(_turns(event)) if ended else (),
        )

    def read_transfer(self, body: bytes) -> TransferAsked:
        """The body of our tool (`adapters.bland.tools`). What Bland could not fill in is still a template."""
        asked = read_report(body)
        if not isinstance(asked, dict) or not (ROUTER_CALL_ID in asked or _filled(asked.get("call_id"))):
            raise ValueError("this is not a call of our tool: it does not name a call")
        if not _POST_CALL_FIELDS.isdisjoint(asked):
            raise ValueError("this is the report of a call that is over")
        return TransferAsked(
            call_id=_filled(asked.get(ROUTER_CALL_ID)),
            provider_call_id=_filled(asked.get("call_id")),
            caller=_filled(asked.get("from")),
        )

    def answer_transfer(self, _: TransferAsked, said: str) -> dict[str, Any]:
        return {"result": said}


def _has_signed(secrets: Sequence[Secret], message: bytes, given: str) -> bool:
    """Whether one of the secrets has."""
    digests = [hmac.new(secret.reveal().encode(), message, hashlib.sha256).hexdigest() for secret in secrets]
    proofs = [hmac.compare_digest(digest, given) for digest in digests]
    return any(proofs)


def _turns(event: Any) -> Iterator[Turn]:
    """Bland docs, Call details: `transcripts` have the time of day of each, so the first is taken for the start."""
    lines, began = find(event, "transcripts"), moment(find(event, "started_at"))
    for one in list_of(lines)[:MOST_TURNS]:
        role, said, at = text(find(one, "user")), text(find(one, "text")), moment(find(one, "created_at"))
        began = began or at
        if role in ("assistant", "user") and said:
            after = (at - began).total_seconds() if at is not None and began is not None else None
            yield Turn(
                "assistant" if role == "assistant" else "caller", said, None if after is None else max(after, 0.0)
            )


def _failure(event: Any, reason: str) -> ErrorKind | None:
    if not _is_fault(event):
        return None
    if _NO_LINE.search(reason):
        return ErrorKind.AT_CAPACITY
    if _NO_MONEY.search(reason):
        return ErrorKind.OUT_OF_CREDIT
    return None if _is_unanswered(event, reason) else ErrorKind.PROVIDER_ERROR


def _is_fault(event: Any) -> bool:
    return find(event, "queue_status") in _FAULTS or find(event, "status") == "failed"


def _is_unanswered(event: Any, reason: str) -> bool:
    """Whether the caller hung up while it rang. Bland also reports that as a failure whose message says so."""
    if find(event, "status") in _UNANSWERED or find(event, "answered_by") == "no-answer":
        return True
    return _is_fault(event) and _HUNG_UP.search(reason) is not None


def _filled(value: Any) -> str | None:
    said = text(value)
    return None if said is None or "{{" in said else said


def _as_javascript_writes(body: bytes) -> bytes | None:
    try:
        value = json.loads(body, parse_float=_javascript_number)
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None


def _javascript_number(digits: str) -> float | int:
    read = float(digits)
    return int(read) if read.is_integer() and abs(read) < _LARGEST_EXACT else read


def _reason(event: Any) -> str | None:
    said = (text(find(event, name)) for name in ("error_message", "call_ended_by", "status"))
    return next(filter(None, said), None)


def _metadata(event: Any) -> Mapping[str, Any]:
    """What we sent as request_data; Bland returns it in one of these places."""
    for path in (("request_data",), ("variables",), ("metadata",), ("variables", "metadata")):
        metadata = find(event, *path)
        if isinstance(metadata, dict) and ROUTER_CALL_ID in metadata:
            return metadata
    return {}


def _seconds(event: Any) -> float | None:
    exact, minutes = number(find(event, "corrected_duration")), number(find(event, "call_length"))
    return minutes * 60 if exact is None and minutes is not None else exact
