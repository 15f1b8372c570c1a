"""Retell while a caller waits: registered calls, dialled by SIP under the call's id; key checks and free lines.

Retell docs: Custom telephony, Register phone call, Concurrency. A registered call that nobody dials ends by itself
after five minutes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from adapters.base import (
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
from adapters.http import Http
from adapters.portable import Lines
from adapters.replies import find, is_out_of_credit, is_sip_address, malformed, number, read_answer
from adapters.retell import webhooks
from adapters.retell.api import REFUSALS, RetellApi
from crypto.secret import Secret

_CALL_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


class RetellCalls(RetellApi):
    """VoiceProvider and LineTeller."""

    name: Final = "retell"
    capabilities: Final = Capabilities(ends_calls=True, webhook_proof="hmac")

    def __init__(self, http: Http, base_url: str, sip: str) -> None:
        """`sip` is host and parameters of Retell's SIP server, as in `sip.retellai.com;transport=tcp`."""
        super().__init__(http, base_url)
        self._sip = sip

    def missing(self, target: Target) -> Literal["assistant", "registration"] | None:
        return None if target.assistant_id else "assistant"

    async def hand_off(self, call: InboundCall, target: Target, key: Secret, limit: float) -> Handoff:
        reply = await self._send("POST", "/v2/register-phone-call", key, limit, json=_registration(call, target))
        call_id = find(read_answer(reply, REFUSALS, key), "call_id")
        uri = f"sip:{call_id}@{self._sip}"
        if not isinstance(call_id, str) or not _CALL_ID.fullmatch(call_id) or not is_sip_address(uri):
            raise malformed(reply)
        return SipHandoff(uri, provider_call_id=call_id)

    async def check_key(self, key: Secret, limit: float) -> KeyCheck:
        reply = await self._send("GET", "/get-api-key-info", key, limit)
        if is_out_of_credit(reply, REFUSALS):
            return KeyCheck("out_of_credit")
        if not isinstance(find(read_answer(reply, REFUSALS, key), "org_id"), str):
            raise malformed(reply)
        return KeyCheck("valid")

    async def count_lines(self, key: Secret, limit: float) -> Lines | None:
        """Retell docs, Get concurrency. Lines that burst above the limit cost extra and don't count as free."""
        reply = await self._send("GET", "/get-concurrency", key, limit)
        answer = read_answer(reply, REFUSALS, key)
        allowed, used = (number(find(answer, name)) for name in ("concurrency_limit", "current_concurrency"))
        if allowed is None or allowed < 0:
            raise malformed(reply)
        return Lines(int(allowed), None if used is None else max(int(used), 0))

    async def end_call(self, provider_call_id: str, key: Secret, limit: float) -> None:
        if not _CALL_ID.fullmatch(provider_call_id):
            raise ProviderError(ErrorKind.BAD_REQUEST, said="not a call id of Retell")
        await self._tell("POST", f"/v2/stop-call/{provider_call_id}", key, limit)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[Secret], now: datetime) -> bool:
        return webhooks.is_proven(headers, body, secrets, now)

    def read_event(self, body: bytes) -> ProviderEvent:
        return webhooks.read_event(body)

    def answer_question(
        self, event: ProviderEvent, assistant_id: str, variables: Mapping[str, str], metadata: Mapping[str, str]
    ) -> dict[str, Any]:
        return webhooks.answer_question(event, assistant_id, variables, metadata)


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
