"""Calls: an inbound session dialled by SIP, or a Bland number dialled as any number; the proof of a key.

Bland docs: Create inbound session, SIP integration, Get inbound number. The assistant lives on Bland's number (the
registration), so that a target has no assistant of its own. That a carrier's Dial may reach the SIP edge with a session
is put together from two pages of these docs; mode "number" does without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import quote

from adapters.base import (
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
    TransferAsked,
)
from adapters.bland import webhooks
from adapters.bland.api import REFUSALS, Api, number_path, read_object
from adapters.phone import is_e164
from adapters.replies import find, is_out_of_credit, is_sip_address, malformed, number
from crypto.secret import Secret

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,900}")


class Calls(Api):
    """Takes a call whose number has a registration: the E.164 number at Bland that holds the assistant."""

    # A session is no call yet: it expires by itself, and there is no id by which to stop what never began.
    capabilities: Final = Capabilities(ends_calls=False, webhook_proof="hmac")

    _sip: str  # host, port and parameters of the SIP edge

    def missing(self, target: Target) -> Literal["assistant", "registration"] | None:
        return None if target.registration else "registration"

    async def hand_off(self, call: InboundCall, target: Target, key: Secret, limit: float) -> Handoff:
        registration = target.registration or ""
        if not is_e164(registration):
            raise ProviderError(ErrorKind.BAD_REQUEST, said="the registration at Bland is not an E.164 number")
        if target.mode == "number":
            return await self._number(registration, key, limit)
        return await self._session(call, registration, key, limit)

    async def check_key(self, key: Secret, limit: float) -> KeyCheck:
        reply = await self.send("GET", "/v1/me", key, limit)
        if is_out_of_credit(reply, REFUSALS):
            return KeyCheck("out_of_credit")
        answer = read_object(reply, key)
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
        return webhooks.verify_webhook(headers, body, secrets)

    def read_event(self, body: bytes) -> ProviderEvent:
        return webhooks.read_event(body)

    def read_transfer(self, body: bytes) -> TransferAsked:
        return webhooks.read_transfer(body)

    def answer_transfer(self, asked: TransferAsked, said: str) -> dict[str, Any]:  # noqa: ARG002 - nothing to name
        return {"result": said}

    def answer_question(
        self,
        event: ProviderEvent,  # noqa: ARG002 - see below
        assistant_id: str,  # noqa: ARG002
        variables: Mapping[str, str],  # noqa: ARG002
        metadata: Mapping[str, str],  # noqa: ARG002
    ) -> dict[str, Any]:
        raise ValueError("Bland never asks: a number there holds its assistant")

    async def _session(self, call: InboundCall, registration: str, key: Secret, limit: float) -> SipHandoff:
        reply = await self.send(
            "POST",
            "/v1/inbound/session",
            key,
            limit,
            json={"phone_number": registration, "request_data": {**call.variables, **call.metadata}},
        )
        token = find(read_object(reply, key), "token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise malformed(reply)
        uri = f"sip:{registration}@{self._sip}?x-bland-session-id={quote(token, safe='')}"
        if not is_sip_address(uri):
            raise malformed(reply)
        return SipHandoff(uri)

    async def _number(self, registration: str, key: Secret, limit: float) -> NumberHandoff:
        """Asks for the number's settings only: a number that this key does not own would be dialled in vain."""
        reply = await self.send("GET", number_path(registration), key, limit)
        read_object(reply, key)
        return NumberHandoff(registration)
