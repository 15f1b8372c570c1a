"""Retell: registered calls, dialled by SIP under the call's id; webhooks signed with an API key.

Retell docs: Custom telephony, Register phone call, Webhook overview, Secure the webhook. A registered call that
nobody dials ends by itself after five minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

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
    Target,
)
from adapters.http import Auth, Http
from adapters.replies import (
    CONCURRENCY,
    find,
    is_out_of_credit,
    is_sip_address,
    malformed,
    number,
    read_answer,
    read_json,
    refusal,
    text,
)
from crypto.secret import Secret

_REFUSALS: Final = (CONCURRENCY,)
_FAULTS: Final = (
    "error_",
    "concurrency_limit_reached",
    "no_concurrency_fallback",
    "no_valid_payment",
    "credit_exhausted",
    "budget_reached",
    "registered_call_timeout",
    "sip_routing_error",
    "telephony_provider_",
)
"""Beginnings of disconnection reasons for which nobody on the line is to blame."""

_EVENTS: Final[Mapping[str, Literal["started", "ended"]]] = {"call_started": "started", "call_ended": "ended"}
_CALL_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SIGNATURE: Final = re.compile(r"v=([0-9]{1,16}),d=([0-9a-f]{64})")
_SIGNATURE_AGE: Final = 300_000  # milliseconds, either way


class Retell:
    """Takes a call that has an assistant (an agent at Retell); a number needs no registration."""

    name: Final = "retell"
    capabilities: Final = Capabilities(ends_calls=True, webhook_proof="hmac")

    def __init__(self, http: Http, base_url: str, sip: str) -> None:
        """`sip` is host and parameters of Retell's SIP server, as in `sip.retellai.com;transport=tcp`."""
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._sip = sip

    def missing(self, target: Target) -> Literal["assistant", "registration"] | None:
        return None if target.assistant_id else "assistant"

    async def hand_off(self, call: InboundCall, target: Target, key: Secret, limit: float) -> Handoff:
        reply = await self._http.send(
            "retell",
            "POST",
            f"{self._base_url}/v2/register-phone-call",
            auth=Auth.bearer(key),
            json=_registration(call, target),
            limit=limit,
        )
        call_id = find(read_answer(reply, _REFUSALS, key), "call_id")
        uri = f"sip:{call_id}@{self._sip}"
        if not isinstance(call_id, str) or not _CALL_ID.fullmatch(call_id) or not is_sip_address(uri):
            raise malformed(reply)
        return SipHandoff(uri, provider_call_id=call_id)

    async def check_key(self, key: Secret, limit: float) -> KeyCheck:
        reply = await self._http.send(
            "retell", "GET", f"{self._base_url}/get-api-key-info", auth=Auth.bearer(key), limit=limit
        )
        if is_out_of_credit(reply, _REFUSALS):
            return KeyCheck("out_of_credit")
        if not isinstance(find(read_answer(reply, _REFUSALS, key), "org_id"), str):
            raise malformed(reply)
        return KeyCheck("valid")

    async def end_call(self, provider_call_id: str, key: Secret, limit: float) -> None:
        if not _CALL_ID.fullmatch(provider_call_id):
            raise ProviderError(ErrorKind.BAD_REQUEST, said="not a call id of Retell")
        url = f"{self._base_url}/v2/stop-call/{provider_call_id}"
        reply = await self._http.send("retell", "POST", url, auth=Auth.bearer(key), limit=limit)
        if not reply.ok:
            raise refusal(reply, _REFUSALS, key)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[Secret], now: datetime) -> bool:
        """`v=<milliseconds>,d=<hex>`: HMAC-SHA256 over the raw body and the time, no older than five minutes."""
        match = _SIGNATURE.fullmatch(headers.get("x-retell-signature", ""))
        if match is None:
            return False
        signed_at = int(match[1])
        message = body + str(signed_at).encode()
        proofs = [hmac.compare_digest(_sign(message, secret), match[2]) for secret in secrets if secret]
        return any(proofs) and abs(now.timestamp() * 1000 - signed_at) <= _SIGNATURE_AGE

    def read_event(self, body: bytes) -> ProviderEvent:
        event = read_json(body)
        original = text(find(event, "event"))
        if original is None:
            raise ValueError("no Retell event: it has no event name")
        call = find(event, "call")
        reason = text(find(call, "disconnection_reason"))
        return ProviderEvent(
            kind=_EVENTS.get(original, "other"),
            original=original,
            provider_call_id=text(find(call, "call_id")),
            call_id=text(find(call, "metadata", ROUTER_CALL_ID)),
            call_sid=text(find(call, "metadata", TWILIO_CALL_SID))
            or text(find(call, "telephony_identifier", "twilio_call_sid")),
            reason=reason,
            provider_fault=reason is not None and reason.startswith(_FAULTS),
            seconds=_scaled(find(call, "duration_ms"), 1000),
            cost=_scaled(find(call, "call_cost", "combined_cost"), 100),
            summary=text(find(call, "call_analysis", "call_summary")),
            transcript=text(find(call, "transcript")),
        )


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


def _sign(message: bytes, secret: Secret) -> str:
    return hmac.new(secret.reveal().encode(), message, hashlib.sha256).hexdigest()


def _scaled(value: Any, divisor: float) -> float | None:
    read = number(value)
    return None if read is None else read / divisor
