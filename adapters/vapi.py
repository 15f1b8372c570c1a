"""Vapi: bypass calls, whose TwiML we put into ours; webhooks proven by a shared secret in a header.

Vapi docs: Calls / Handling with Vapi and Twilio, Server URL / Events, Call ended reasons. The two fields that make a
bypass call stand in the prose only, not in the API's schema, hence the care with what comes back.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from adapters.base import (
    ROUTER_CALL_ID,
    TWILIO_CALL_SID,
    Capabilities,
    ErrorKind,
    Handoff,
    InboundCall,
    KeyCheck,
    ProviderError,
    ProviderEvent,
    SipHandoff,
    StreamHandoff,
    Target,
)
from adapters.http import Auth, Http
from adapters.replies import (
    CONCURRENCY,
    Reply,
    Rule,
    find,
    is_out_of_credit,
    is_sip_address,
    malformed,
    number,
    read_answer,
    read_json,
    redact,
    text,
)
from crypto.secret import Secret

_REFUSALS: Final = (
    CONCURRENCY,
    # Vapi documents 402 for its chats only; for calls an empty wallet is known by the words alone.
    Rule(
        ErrorKind.OUT_OF_CREDIT,
        frozenset(range(400, 500)) - {401, 429},
        re.compile(r"\b(wallet|credits?|balance|billing|frozen|subscription)\b", re.IGNORECASE),
    ),
)
_FAULTS: Final = (
    "call.start.error-",
    "pipeline-error-",
    "call.in-progress.error-vapifault-",
    "call.in-progress.error-providerfault-",
    "call.in-progress.error-pipeline-",
    "assistant-not-found",
    "assistant-not-valid",
    "assistant-request-failed",
    "assistant-join-timed-out",
    "worker-shutdown",
    "phone-call-provider-closed-websocket",
    "phone-call-provider-bypass-enabled-but-no-call-received",
    "twilio-failed-to-connect-call",
    "call-start-error-",
)
"""Beginnings of ended reasons that are Vapi's or its suppliers' doing. New ones appear often, hence beginnings."""

_KINDS: Final[Mapping[str, Literal["ended", "asked"]]] = {"end-of-call-report": "ended", "assistant-request": "asked"}
_STATUSES: Final[Mapping[str, Literal["started", "ended"]]] = {"in-progress": "started", "ended": "ended"}
_CALL_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ATTRIBUTE: Final = re.compile(r"[A-Za-z]{1,40}")
_MAX_TWIML: Final = 64_000
_UNKNOWN_CALLER: Final = "anonymous"  # Vapi wants letters and digits where its E.164 check is off


class Vapi:
    """Takes a call that has an assistant, and an imported number (its id is the registration)."""

    name: Final = "vapi"
    # DELETE /call removes a record, and a call's control URL comes with its creation alone: there is no way to stop
    # a call by its id. A bypass call that nobody joins ends by itself.
    capabilities: Final = Capabilities(ends_calls=False, webhook_proof="header")

    def __init__(self, http: Http, base_url: str) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")

    def missing(self, target: Target) -> Literal["assistant", "registration"] | None:
        if not target.assistant_id:
            return "assistant"
        return None if target.registration else "registration"

    async def hand_off(self, call: InboundCall, target: Target, key: Secret, limit: float) -> Handoff:
        reply = await self._http.send(
            "vapi",
            "POST",
            f"{self._base_url}/call",
            auth=Auth.bearer(key),
            json=_bypass_call(call, target),
            limit=limit,
        )
        answer = read_answer(reply, _REFUSALS, key)
        if find(answer, "subscriptionLimits", "concurrencyBlocked") is True:
            raise ProviderError(ErrorKind.AT_CAPACITY, status=reply.status)
        handoff = read_twiml(find(answer, "phoneCallProviderDetails", "twiml"), _call_id(find(answer, "id")))
        if handoff is None:
            raise _not_taken(reply, answer, key)
        return handoff

    async def check_key(self, key: Secret, limit: float) -> KeyCheck:
        reply = await self._http.send(
            "vapi", "GET", f"{self._base_url}/assistant?limit=1", auth=Auth.bearer(key), limit=limit
        )
        if is_out_of_credit(reply, _REFUSALS):
            return KeyCheck("out_of_credit")
        if not isinstance(read_answer(reply, _REFUSALS, key), list):
            raise malformed(reply)
        return KeyCheck("valid")

    async def end_call(self, provider_call_id: str, key: Secret, limit: float) -> None:  # noqa: ARG002 - see above
        raise ProviderError(ErrorKind.BAD_REQUEST, said="Vapi has no request that ends a call by its id")

    def verify_webhook(
        self,
        headers: Mapping[str, str],
        body: bytes,  # noqa: ARG002 - a shared secret covers no body
        secrets: Sequence[Secret],
        now: datetime,  # noqa: ARG002 - and no time
    ) -> bool:
        """Vapi sends the server's secret as x-vapi-secret, or as a bearer token where a credential is set up."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = [headers.get("x-vapi-secret", ""), token.strip() if scheme.lower() == "bearer" else ""]
        proofs = [_same(one, secret) for one in given if one for secret in secrets if secret]
        return any(proofs)

    def read_event(self, body: bytes) -> ProviderEvent:
        message = find(read_json(body), "message")
        kind_said = text(find(message, "type"))
        if kind_said is None:
            raise ValueError("no Vapi message: it has no message.type")
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
            provider_fault=reason is not None and reason.startswith(_FAULTS),
            seconds=_seconds(message),
            cost=_first(number, message, ("cost",), ("call", "cost")),
            summary=_first(text, message, ("analysis", "summary"), ("summary",)),
            transcript=_first(text, message, ("artifact", "transcript"), ("transcript",)),
        )

    def answer_question(
        self, event: ProviderEvent, assistant_id: str, variables: Mapping[str, str], metadata: Mapping[str, str]
    ) -> dict[str, Any]:
        if event.kind != "asked":
            raise ValueError("no question of Vapi's: only an assistant-request wants an assistant")
        overrides = {"variableValues": dict(variables), "metadata": dict(metadata)}
        return {"assistantId": assistant_id, "assistantOverrides": overrides}


def read_twiml(twiml: Any, provider_call_id: str | None) -> StreamHandoff | SipHandoff | None:
    """The one handoff in Vapi's document: Connect/Stream or Dial/Sip. None for every other document.

    A DOCTYPE is refused before anything is parsed: without one, XML has no entities that could grow or read files.
    """
    if not isinstance(twiml, str) or len(twiml) > _MAX_TWIML or "<!DOCTYPE" in twiml:
        return None
    try:
        root = ET.fromstring(twiml.strip())  # noqa: S314 - see above
    except (ET.ParseError, ValueError):
        return None
    verb = _only_child(root) if root.tag == "Response" else None
    noun = _only_child(verb) if verb is not None else None
    if verb is None or noun is None:
        return None
    match verb.tag, noun.tag:
        case "Connect", "Stream":
            return _stream(noun, provider_call_id)
        case "Dial", "Sip":
            return _sip(noun, provider_call_id)
    return None


def _stream(stream: ET.Element, provider_call_id: str | None) -> StreamHandoff | None:
    if not _is_stream_url(stream.get("url", "")) or any(child.tag != "Parameter" for child in stream):
        return None
    # A namespaced attribute is none that Twilio knows, and would not survive being written again.
    if not all(_ATTRIBUTE.fullmatch(name) for element in stream.iter() for name in element.attrib):
        return None
    return StreamHandoff(
        attributes=tuple(stream.attrib.items()),
        parameters=tuple(tuple(parameter.attrib.items()) for parameter in stream),
        provider_call_id=provider_call_id,
    )


def _sip(sip: ET.Element, provider_call_id: str | None) -> SipHandoff | None:
    uri = (sip.text or "").strip()
    if len(sip) or not is_sip_address(uri):
        return None
    return SipHandoff(uri, sip.get("username"), sip.get("password"), provider_call_id)


def _is_stream_url(url: str) -> bool:
    """An absolute wss address and nothing else: a Stream takes no query (Twilio docs: TwiML Stream)."""
    if not url.startswith("wss://") or not url.isascii() or not url.isprintable() or set(url) & set(' "<>\\^`{|}?#@'):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        return False


def _only_child(element: ET.Element) -> ET.Element | None:
    return element[0] if len(element) == 1 else None


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
    kind = next((rule.kind for rule in _REFUSALS if rule.words.search(said)), ErrorKind.MALFORMED_REPLY)
    return ProviderError(kind, status=reply.status, said=redact(said, key))


def _call_id(value: Any) -> str | None:
    return value if isinstance(value, str) and _CALL_ID.fullmatch(value) else None


def _same(given: str, secret: Secret) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.reveal().encode())


def _metadata(message: Any) -> Mapping[str, Any]:
    """Ours, wherever Vapi puts it: with the call's overrides, or merged into the assistant."""
    for path in (("call", "assistantOverrides"), ("assistant",), ("call", "assistant"), ("call",)):
        metadata = find(message, *path, "metadata")
        if isinstance(metadata, dict) and ROUTER_CALL_ID in metadata:
            return metadata
    return {}


def _seconds(message: Any) -> float | None:
    given = number(find(message, "durationSeconds"))
    if given is not None:
        return given
    try:
        began, ended = (datetime.fromisoformat(find(message, name)) for name in ("startedAt", "endedAt"))
        return max((ended - began).total_seconds(), 0.0)
    except (TypeError, ValueError):  # absent, no text, no date, or only one of them with a zone
        return None


def _first(read: Any, message: Any, *paths: tuple[str, ...]) -> Any:
    return next((value for path in paths if (value := read(find(message, *path))) is not None), None)
