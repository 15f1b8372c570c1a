"""Bland: an inbound session dialled by SIP, or a Bland number dialled as any number; signed webhooks.

Bland docs: Create inbound session, SIP integration, Get inbound number, Webhook signing. The assistant lives on
Bland's number (the registration), so that a target has no assistant of its own. That a carrier's Dial may reach the
SIP edge with a session is put together from two pages of these docs; mode "number" does without it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import quote

from adapters.base import (
    ROUTER_CALL_ID,
    TWILIO_CALL_SID,
    Capabilities,
    ErrorKind,
    Handoff,
    InboundCall,
    KeyCheck,
    NumberHandoff,
    ProviderError,
    ProviderEvent,
    SipHandoff,
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
    text,
)
from crypto.secret import Secret

_REFUSALS: Final = (
    CONCURRENCY,
    Rule(
        ErrorKind.OUT_OF_CREDIT,
        frozenset({400, 403}),
        re.compile(r"insufficient balance|no billing record", re.IGNORECASE),
    ),
)
_FAULTS: Final = ("pre_queue_error", "queue_error", "call_error", "complete_error")
_POST_CALL_FIELDS: Final = frozenset({"completed", "call_length", "corrected_duration", "queue_status"})
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,900}")
_LARGEST_EXACT: Final = 2**53  # JavaScript writes whole floats below as integers, and is exact no further


class Bland:
    """Takes a call whose number has a registration: the E.164 number at Bland that holds the assistant."""

    name: Final = "bland"
    # A session is no call yet: it expires by itself, and there is no id by which to stop what never began.
    capabilities: Final = Capabilities(ends_calls=False, webhook_proof="hmac")

    def __init__(self, http: Http, base_url: str, sip: str) -> None:
        """`sip` is host, port and parameters of Bland's SIP edge, as in `us2.sip.bland.ai:5061;transport=tls`."""
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._sip = sip

    def missing(self, target: Target) -> Literal["assistant", "registration"] | None:
        return None if target.registration else "registration"

    async def hand_off(self, call: InboundCall, target: Target, key: Secret, limit: float) -> Handoff:
        registration = target.registration or ""
        if not _E164.fullmatch(registration):
            raise ProviderError(ErrorKind.BAD_REQUEST, said="the registration at Bland is not an E.164 number")
        if target.mode == "number":
            return await self._number(registration, key, limit)
        return await self._session(call, registration, key, limit)

    async def check_key(self, key: Secret, limit: float) -> KeyCheck:
        reply = await self._http.send("bland", "GET", f"{self._base_url}/v1/me", auth=Auth.bare(key), limit=limit)
        if is_out_of_credit(reply, _REFUSALS):
            return KeyCheck("out_of_credit")
        answer = _read_object(reply, key)
        balance = number(find(answer, "billing", "current_balance"))
        return KeyCheck("out_of_credit" if balance is not None and balance <= 0 else "valid", balance)

    async def end_call(self, provider_call_id: str, key: Secret, limit: float) -> None:  # noqa: ARG002 - see above
        raise ProviderError(ErrorKind.BAD_REQUEST, said="Bland has no request that ends a session")

    def verify_webhook(
        self,
        headers: Mapping[str, str],
        body: bytes,
        secrets: Sequence[Secret],
        now: datetime,  # noqa: ARG002 - the signature covers no time
    ) -> bool:
        """Hex HMAC-SHA256 of the body; of the body as JavaScript would write it again, where that differs."""
        given = headers.get("x-webhook-signature", "").strip().lower()
        if not re.fullmatch(r"[0-9a-f]{64}", given):
            return False
        rewritten = _as_javascript_writes(body)
        messages = [body] if rewritten is None or rewritten == body else [body, rewritten]
        proofs = [
            hmac.compare_digest(hmac.new(secret.reveal().encode(), message, hashlib.sha256).hexdigest(), given)
            for message in messages
            for secret in secrets
            if secret
        ]
        return any(proofs)

    def read_event(self, body: bytes) -> ProviderEvent:
        event = read_json(body)
        provider_call_id = text(find(event, "call_id"))
        if provider_call_id is None:
            raise ValueError("no Bland event: it has no call_id")
        ended = not _POST_CALL_FIELDS.isdisjoint(event)
        reason = _reason(event) if ended else None
        metadata = _metadata(event)
        return ProviderEvent(
            kind="ended" if ended else "other",
            original="post-call" if ended else text(find(event, "category")) or "unknown",
            provider_call_id=provider_call_id,
            call_id=text(metadata.get(ROUTER_CALL_ID)),
            call_sid=text(metadata.get(TWILIO_CALL_SID)),
            reason=reason,
            provider_fault=ended and (find(event, "queue_status") in _FAULTS or find(event, "status") == "failed"),
            seconds=_seconds(event),
            cost=number(find(event, "price")),
            summary=text(find(event, "summary")),
            transcript=text(find(event, "concatenated_transcript")),
        )

    async def _session(self, call: InboundCall, registration: str, key: Secret, limit: float) -> SipHandoff:
        reply = await self._http.send(
            "bland",
            "POST",
            f"{self._base_url}/v1/inbound/session",
            auth=Auth.bare(key),
            json={"phone_number": registration, "request_data": {**call.variables, **call.metadata}},
            limit=limit,
        )
        token = find(_read_object(reply, key), "token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise malformed(reply)
        uri = f"sip:{registration}@{self._sip}?x-bland-session-id={quote(token, safe='')}"
        if not is_sip_address(uri):
            raise malformed(reply)
        return SipHandoff(uri)

    async def _number(self, registration: str, key: Secret, limit: float) -> NumberHandoff:
        """Asks for the number's settings only: a number that this key does not own would be dialled in vain."""
        url = f"{self._base_url}/v1/inbound/{quote(registration, safe='')}"
        reply = await self._http.send("bland", "GET", url, auth=Auth.bare(key), limit=limit)
        _read_object(reply, key)
        return NumberHandoff(registration)


def _read_object(reply: Reply, key: Secret) -> dict[str, Any]:
    """A JSON object that is none of Bland's two forms of an error."""
    answer = read_answer(reply, _REFUSALS, key)
    if not isinstance(answer, dict) or answer.get("status") == "error" or answer.get("errors"):
        raise malformed(reply)
    return answer


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
    for name in ("error_message", "call_ended_by", "status"):
        said = text(find(event, name))
        if said:
            return said
    return None


def _metadata(event: Any) -> Mapping[str, Any]:
    """What we sent as request_data, wherever Bland gives it back."""
    for path in (("request_data",), ("variables",), ("metadata",), ("variables", "metadata")):
        metadata = find(event, *path)
        if isinstance(metadata, dict) and ROUTER_CALL_ID in metadata:
            return metadata
    return {}


def _seconds(event: Any) -> float | None:
    exact = number(find(event, "corrected_duration"))
    minutes = number(find(event, "call_length"))
    if exact is not None or minutes is None:
        return exact
    return minutes * 60
