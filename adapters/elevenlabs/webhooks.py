"""What ElevenLabs reports about calls: signed with the webhook's secret, or proven by the token in the address.

ElevenLabs docs: Post-call webhooks, Webhooks (authentication), Get conversation details. There is one report for each
call, after it is over and analyzed; the transcript's turns are put together here. Calls of tools are not signed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from adapters.base import MOST_TURNS, ROUTER_CALL_ID, TWILIO_CALL_SID, ErrorKind, ProviderEvent, TransferAsked, Turn
from adapters.elevenlabs.tools import CALL_ID, CALLER, UNKNOWN
from adapters.facets import Delivery
from adapters.replies import find, list_of, number, read_report, text
from crypto.secret import Secret

_REPORT: Final = "post_call_transcription"
_NOT_BEGUN: Final = "call_initiation_failure"
_UNANSWERED: Final = frozenset({"busy", "no-answer"})
_FAILED: Final = "failed"
CALL_ENDS: Final[Mapping[str, str]] = {
    "Client disconnected: 1000": "The caller hung up",
    "end_call tool was called": "The assistant ended the call",
    "voicemail_detection tool was called": "A machine was on the line",
    "busy": "The line was busy",
    "no-answer": "The caller hung up while it rang",
}
"""What the usual reasons mean, in words for people. There is no list of them: these were seen by others."""

_SPEAKERS: Final = {"agent": "AI", "user": "User"}
_TIME: Final = re.compile(r"[0-9]{1,12}")
_SIGNATURE_AGE: Final = 1800  # seconds, either way, as ElevenLabs' SDK has it
_FAULTS: Final[tuple[tuple[re.Pattern[str], ErrorKind], ...]] = (
    (re.compile("concurren|too many", re.IGNORECASE), ErrorKind.AT_CAPACITY),
    (re.compile("quota|credit|payment|billing", re.IGNORECASE), ErrorKind.OUT_OF_CREDIT),
    (re.compile("dynamic variable|override|not authorized|does not exist", re.IGNORECASE), ErrorKind.BAD_REQUEST),
)
"""What the reason of a failed conversation means. Its wording is not documented: any other is ElevenLabs' own fault."""


class Webhooks:
    """The signature covers body and time."""

    proof: Final = "hmac"

    def verify(self, delivery: Delivery, secrets: Sequence[Secret]) -> bool:
        """`t=<seconds>,v0=<hex>`: HMAC-SHA256 over the time, a full stop and the raw body."""
        parts = (part.partition("=") for part in delivery.headers.get("elevenlabs-signature", "").split(","))
        named = {name: value for name, _, value in parts}
        signed_at, given = named.get("t", ""), named.get("v0", "").encode("utf-8", "surrogatepass")
        if not _TIME.fullmatch(signed_at) or abs(delivery.at.timestamp() - int(signed_at)) > _SIGNATURE_AGE:
            return False
        message = signed_at.encode() + b"." + delivery.body
        digests = [hmac.new(secret.reveal().encode(), message, "sha256").hexdigest() for secret in secrets if secret]
        proofs = [hmac.compare_digest(digest.encode(), given) for digest in digests]
        return any(proofs)

    def read_event(self, body: bytes) -> ProviderEvent:
        event = read_report(body)
        original, data = text(find(event, "type")), find(event, "data")
        if original is None or not isinstance(data, dict):
            raise ValueError("this is not an ElevenLabs event: it has no type or data")
        if original == _NOT_BEGUN:
            return _not_begun(data)
        metadata, variables = find(data, "metadata"), _variables(data)
        ended = original == _REPORT
        reason = _reason(metadata) if ended else None
        return ProviderEvent(
            kind="ended" if ended else "other",
            original=original,
            provider_call_id=text(find(data, "conversation_id")),
            call_id=_known(find(variables, ROUTER_CALL_ID)),
            call_sid=_known(find(variables, TWILIO_CALL_SID)) or text(find(metadata, "phone_call", "call_sid")),
            caller=text(find(metadata, "phone_call", "external_number")),
            to=text(find(metadata, "phone_call", "agent_number")),
            reason=reason,
            failure=_failure(data, reason or "") if ended else None,
            seconds=number(find(metadata, "call_duration_secs")),
            cost=number(find(metadata, "cost_fiat")),  # dollars; `cost` is in credits
            summary=text(find(data, "analysis", "transcript_summary")),
            transcript="\n".join(_turns(data)) or None,
            turns=tuple(_timed_turns(data)),
        )

    def read_transfer(self, body: bytes) -> TransferAsked:
        """The body of our tool (`adapters.elevenlabs.tools`)."""
        asked = read_report(body)
        if not isinstance(asked, dict) or not {ROUTER_CALL_ID, CALL_ID} & asked.keys() or "data" in asked:
            raise ValueError("this is not a call of our tool: it does not name a call")
        return TransferAsked(
            call_id=_known(asked.get(ROUTER_CALL_ID)),
            provider_call_id=_known(asked.get(CALL_ID)),
            caller=_known(asked.get(CALLER)),
        )

    def answer_transfer(self, _: TransferAsked, said: str) -> dict[str, Any]:
        return {"result": said}


def _not_begun(data: dict[str, Any]) -> ProviderEvent:
    """A call that ElevenLabs placed itself; the carrier's words are in the metadata."""
    reason, carried = text(find(data, "failure_reason")), find(data, "metadata", "body")
    unanswered = reason in _UNANSWERED
    return ProviderEvent(
        kind="ended",
        original=_NOT_BEGUN,
        provider_call_id=text(find(data, "conversation_id")),
        call_id=_known(find(_variables(data), ROUTER_CALL_ID)),
        call_sid=text(find(carried, "CallSid")),
        reason=reason,
        failure=None if unanswered else ErrorKind.PROVIDER_ERROR,
        unanswered=unanswered,
    )


def _failure(data: dict[str, Any], reason: str) -> ErrorKind | None:
    if find(data, "status") != _FAILED:
        return None
    return next((kind for words, kind in _FAULTS if words.search(reason)), ErrorKind.PROVIDER_ERROR)


def _reason(metadata: Any) -> str | None:
    return text(find(metadata, "error", "reason")) or text(find(metadata, "termination_reason"))


def _variables(data: dict[str, Any]) -> Any:
    return find(data, "conversation_initiation_client_data", "dynamic_variables")


def _known(value: Any) -> str | None:
    said = text(value)
    return None if said == UNKNOWN else said


def _timed_turns(data: dict[str, Any]) -> Iterator[Turn]:
    for turn in list_of(find(data, "transcript"))[:MOST_TURNS]:
        role, said = text(find(turn, "role")), text(find(turn, "message"))
        if role in _SPEAKERS and said:
            yield Turn("caller" if role == "user" else "assistant", said, number(find(turn, "time_in_call_secs")))


def _turns(data: dict[str, Any]) -> Iterator[str]:
    for turn in list_of(find(data, "transcript")):
        said = text(find(turn, "message"))
        if said is not None:
            yield f"{_SPEAKERS.get(str(find(turn, 'role')), 'Other')}: {said}"
