"""What Vapi reports about calls: the proof that it comes from Vapi, and what it means."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from adapters.base import MOST_TURNS, ROUTER_CALL_ID, TWILIO_CALL_SID, ProviderEvent, TransferAsked, Turn
from adapters.facets import Delivery
from adapters.replies import find, list_of, number, read_report, text
from adapters.vapi.definition import TRANSFER
from adapters.vapi.reasons import failure_of, is_unanswered
from crypto.secret import Secret

_KINDS: Final[Mapping[str, Literal["ended", "asked"]]] = {"end-of-call-report": "ended", "assistant-request": "asked"}
_SPEAKERS: Final[Mapping[str, Literal["assistant", "caller"]]] = {
    "bot": "assistant",
    "assistant": "assistant",
    "user": "caller",
}
_STATUSES: Final[Mapping[str, Literal["started", "ended"]]] = {"in-progress": "started", "ended": "ended"}


class Webhooks:
    """Proven by a shared secret, which covers neither body nor time."""

    proof: Final = "header"

    def verify(self, delivery: Delivery, secrets: Sequence[Secret]) -> bool:
        """Vapi sends the server's secret as x-vapi-secret, or as a bearer token where a credential is set up."""
        headers = delivery.headers
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = [headers.get("x-vapi-secret", ""), token.strip() if scheme.lower() == "bearer" else ""]
        proofs = [_same(one, secret) for one in given if one for secret in secrets if secret]
        return any(proofs)

    def read_event(self, body: bytes) -> ProviderEvent:
        message = find(read_report(body), "message")
        kind_said = text(find(message, "type"))
        if kind_said is None:
            raise ValueError("this is not a Vapi message: it has no message.type")
        status = text(find(message, "status")) if kind_said == "status-update" else None
        reason = text(find(message, "endedReason")) or text(find(message, "call", "endedReason"))
        metadata = _metadata(message)
        return ProviderEvent(
            kind=_KINDS.get(kind_said, _STATUSES.get(status or "", "other")),
            original=f"{kind_said}:{status}" if status else kind_said,
            provider_call_id=text(find(message, "call", "id")),
            call_id=text(metadata.get(ROUTER_CALL_ID)),
            call_sid=text(metadata.get(TWILIO_CALL_SID)) or text(find(message, "call", "transport", "callSid")),
            caller=_first(text, message, ("customer", "number"), ("call", "customer", "number")),
            to=_first(text, message, ("phoneNumber", "number"), ("call", "phoneNumber", "number")),
            reason=reason,
            failure=failure_of(reason or ""),
            unanswered=is_unanswered(reason or ""),
            seconds=_seconds(message),
            cost=_first(number, message, ("cost",), ("call", "cost")),
            summary=_first(text, message, ("analysis", "summary"), ("summary",)),
            transcript=_first(text, message, ("artifact", "transcript"), ("transcript",)),
            turns=tuple(_turns(find(message, "artifact", "messages") or find(message, "messages"))),
        )

    def read_transfer(self, body: bytes) -> TransferAsked:
        """Vapi docs, Server URL / Events: prose and schema spell the list of tool calls differently."""
        message = find(read_report(body), "message")
        calls = find(message, "toolCallList") or find(message, "toolCalls")
        if find(message, "type") != "tool-calls" or not isinstance(calls, list):
            raise ValueError("this is not a tool call from Vapi")
        for call in calls:
            name = text(find(call, "name")) or text(find(call, "function", "name"))
            if name == TRANSFER:
                return TransferAsked(
                    call_id=text(_metadata(message).get(ROUTER_CALL_ID)),
                    provider_call_id=text(find(message, "call", "id")),
                    caller=_first(text, message, ("customer", "number"), ("call", "customer", "number")),
                    request_id=text(find(call, "id")),
                )
        raise ValueError("none of the tool calls asks for a transfer")

    def answer_transfer(self, asked: TransferAsked, said: str) -> dict[str, Any]:
        return {"results": [{"toolCallId": asked.request_id, "name": TRANSFER, "result": said}]}


def answer_question(
    event: ProviderEvent, assistant_id: str, variables: Mapping[str, str], metadata: Mapping[str, str]
) -> dict[str, Any]:
    """Vapi docs, Server URL / Events: assistant-request. Raises ValueError."""
    if event.kind != "asked":
        raise ValueError("only Vapi's assistant-request asks for an assistant")
    overrides = {"variableValues": dict(variables), "metadata": dict(metadata)}
    return {"assistantId": assistant_id, "assistantOverrides": overrides}


def _same(given: str, secret: Secret) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.reveal().encode())


def _metadata(message: Any) -> Mapping[str, Any]:
    """Ours: Vapi puts it with the call's overrides, or merges it into the assistant."""
    for path in (("call", "assistantOverrides"), ("assistant",), ("call", "assistant"), ("call",)):
        metadata = find(message, *path, "metadata")
        if isinstance(metadata, dict) and ROUTER_CALL_ID in metadata:
            return metadata
    return {}


def _turns(messages: Any) -> Iterator[Turn]:
    """Vapi docs, Server URL / Events: those of the two speakers; tool calls and the prompt are left out."""
    for one in list_of(messages)[:MOST_TURNS]:
        speaker, said = _SPEAKERS.get(text(find(one, "role")) or ""), text(find(one, "message"))
        if speaker is not None and said:
            yield Turn(speaker, said, number(find(one, "secondsFromStart")))


def _seconds(message: Any) -> float | None:
    given = number(find(message, "durationSeconds"))
    if given is not None:
        return given
    try:
        began, ended = (datetime.fromisoformat(find(message, name)) for name in ("startedAt", "endedAt"))
        return max((ended - began).total_seconds(), 0.0)
    except (TypeError, ValueError):  # one is absent or not a date, or only one has a time zone
        return None


def _first(read: Any, message: Any, *paths: tuple[str, ...]) -> Any:
    return next((value for path in paths if (value := read(find(message, *path))) is not None), None)
