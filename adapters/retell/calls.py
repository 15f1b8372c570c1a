"""Retell while a caller waits: registered calls, dialled by SIP under the call's id; key checks and free lines.

Retell docs: Custom telephony, Register phone call, Concurrency. A registered call that nobody dials ends by itself
after five minutes.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from adapters.base import (
    Capabilities,
    ErrorKind,
    Handoff,
    InboundCall,
    KeyCheck,
    ProviderError,
    SipHandoff,
    Target,
)
from adapters.portable import Lines
from adapters.replies import find, is_out_of_credit, is_sip_address, malformed, number, read_answer
from adapters.retell.api import REFUSALS, Api
from crypto.secret import Secret

_CALL_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Calls:
    """VoiceProvider and LineTeller. A number needs no registration, a call an assistant (an agent at Retell)."""

    name: Final = "retell"
    capabilities: Final = Capabilities(ends_calls=True, webhook_proof="hmac")
    _api: Api
    _sip: str

    def missing(self, target: Target) -> Literal["assistant", "registration"] | None:
        return None if target.assistant_id else "assistant"

    async def hand_off(self, call: InboundCall, target: Target, key: Secret, limit: float) -> Handoff:
        reply = await self._api.asker(key, limit).send(
            "POST", "/v2/register-phone-call", json=_registration(call, target)
        )
        call_id = find(read_answer(reply, REFUSALS, key), "call_id")
        uri = f"sip:{call_id}@{self._sip}"
        if not isinstance(call_id, str) or not _CALL_ID.fullmatch(call_id) or not is_sip_address(uri):
            raise malformed(reply)
        return SipHandoff(uri, provider_call_id=call_id)

    async def check_key(self, key: Secret, limit: float) -> KeyCheck:
        reply = await self._api.asker(key, limit).send("GET", "/get-api-key-info")
        if is_out_of_credit(reply, REFUSALS):
            return KeyCheck("out_of_credit")
        if not isinstance(find(read_answer(reply, REFUSALS, key), "org_id"), str):
            raise malformed(reply)
        return KeyCheck("valid")

    async def count_lines(self, key: Secret, limit: float) -> Lines | None:
        """Retell docs, Get concurrency. Lines that burst above the limit cost extra and don't count as free."""
        reply = await self._api.asker(key, limit).send("GET", "/get-concurrency")
        answer = read_answer(reply, REFUSALS, key)
        allowed, used = (number(find(answer, name)) for name in ("concurrency_limit", "current_concurrency"))
        if allowed is None or allowed < 0:
            raise malformed(reply)
        return Lines(int(allowed), None if used is None else max(int(used), 0))

    async def end_call(self, provider_call_id: str, key: Secret, limit: float) -> None:
        if not _CALL_ID.fullmatch(provider_call_id):
            raise ProviderError(ErrorKind.BAD_REQUEST, said="not a call id of Retell")
        await self._api.asker(key, limit).tell("POST", f"/v2/stop-call/{provider_call_id}")


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
