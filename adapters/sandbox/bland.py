"""Stand-in for Bland's API: account and sessions, and who answers its numbers and its SIP edge.

Sources: Bland docs (Account; Create Inbound Session; SIP Integration; the error list of Send Call). Numbers are in
`bland_numbers`, tools and knowledge in `bland_parts`. A leg that arrives at the SIP edge as the SIP page asks is taken; nobody documents the way from
Twilio's Dial to it.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from http import HTTPStatus
from typing import ClassVar

from starlette.responses import JSONResponse, Response

from adapters.sandbox import legs
from adapters.sandbox.api import E164, Asked, Clock, Endpoint, Json, Orgs, Refusal, fresh_hex, iso
from adapters.sandbox.bland_numbers import BlandNumbers
from adapters.sandbox.bland_org import BlandOrg, Session, key_of, org_of
from adapters.sandbox.bland_parts import BlandParts
from adapters.sandbox.legs import Leg, SipAddress
from adapters.sandbox.twilio import Twilio

SIP_HOSTS = tuple(f"{region}.sip.bland.ai" for region in ("us2", "ca2", "asia2", "eu2"))
SESSION_HEADER = "x-bland-session-id"
SESSION_LIFETIME = timedelta(hours=1)

_SIP_PORT = 5061
_NO_LINE = "Concurrency limit reached."
_MESSAGES = {
    400: "Invalid parameters.",
    402: "Insufficient balance.",
    403: "Your account has been flagged.",
    404: "Not found.",
    429: "Rate limit exceeded",
}
_ERRORS = {
    401: ("AUTH_FAILURE", "Unauthorized"),
    404: ("NOT_FOUND", "Inbound number not found"),
}


class Bland:
    """The API under /bland and all that its orgs own."""

    name = "bland"
    vital = frozenset(
        {"token", "phone_number", "billing", "inbound_numbers", "encrypted_key", "inserted", "tools", "tool_id", "data"}
    )
    words: ClassVar[dict[str, Refusal]] = {"wallet": Refusal(402), "concurrency": Refusal(429, _NO_LINE)}

    def __init__(self, twilio: Twilio, clock: Clock) -> None:
        self.orgs: Orgs[BlandOrg] = Orgs()
        self.numbers = BlandNumbers(self.orgs, twilio, clock)
        self.parts = BlandParts(self.orgs, clock)
        self._clock = clock

    def add_org(self, key: str | None = None, name: str = "A Bland org", *, balance: float = 25.0) -> BlandOrg:
        return self.orgs.add(BlandOrg(name, key or fresh_hex("org_", 40), str(uuid.uuid4()), balance))

    def add_number(self, org: BlandOrg, e164: str, **settings: object) -> str:
        """An inbound number of the org's; its E.164 form."""
        return self.numbers.add(org, e164, **settings)

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/v1/me", self._me, "check"),
            Endpoint("POST", "/v1/inbound/session", self._create_session, "handoff"),
            *self.numbers.endpoints(),
            *self.parts.endpoints(),
        ]

    def key_of(self, asked: Asked) -> str:
        return key_of(asked)

    def refuse(self, refusal: Refusal) -> Response:
        """Bland has two shapes: a list of errors for keys and missing things, status and message for the rest."""
        if refusal.status in _ERRORS:
            error, message = _ERRORS[refusal.status]
            content: Json = {"data": None, "errors": [{"error": error, "message": refusal.message or message}]}
        else:
            message = str(refusal.message or _MESSAGES.get(refusal.status, HTTPStatus(refusal.status).phrase))
            content = {"status": "error", "message": message}
        return JSONResponse(content, refusal.status)

    def bend(self, fault: str, answer: Json) -> Json:
        if not fault.endswith("-twiml"):
            return answer
        unfit = {
            "token": "x\r\nRoute: <sip:evil.example>",
            "phone_number": "12",
            "inbound_numbers": "none",
            "encrypted_key": "x\r\nx-evil: 1",
            "tools": {"of": "nobody"},
            "tool_id": "../inbound",
            "data": {"id": "../inbound", "kbs": 7},
        }
        return answer | {name: value for name, value in unfit.items() if name in answer}

    def _me(self, asked: Asked) -> Response:
        org = org_of(self.orgs, asked, "check")
        billing = {"current_balance": org.balance, "refill_to": None}
        return JSONResponse({"status": "active", "billing": billing, "total_calls": len(org.calls)})

    def _create_session(self, asked: Asked) -> Response:
        org = org_of(self.orgs, asked, "handoff")
        body = asked.json()
        if unknown := sorted(set(body) - {"phone_number", "request_data", "voice"}):
            raise Refusal(400, f"Unknown parameter: {unknown[0]}")
        e164 = body.get("phone_number")
        if not isinstance(e164, str) or not E164.fullmatch(e164):
            raise Refusal(400, "phone_number must be in E.164 format")
        if not isinstance(body.get("request_data", {}), dict):
            raise Refusal(400, "request_data must be an object")
        if e164 not in org.numbers:
            raise Refusal(404)
        if not org.has_credit:
            raise Refusal(402)
        if not org.has_free_line:
            raise Refusal(429, _NO_LINE)
        token = str(uuid.uuid4())
        session = Session(e164, body.get("request_data", {}), self._clock() + SESSION_LIFETIME)
        org.sessions[token] = session
        return JSONResponse({"token": token, "expires_at": iso(session.expires_at)})

    def answer_sip(self, address: SipAddress) -> Leg:
        """Bland docs, SIP Integration: TLS on port 5061 with SRTP, a number of Bland's, and the session's token."""
        if address.port != _SIP_PORT or address.parameters.get("transport") != "tls":
            return legs.rejected(self.name, legs.UNAVAILABLE, "only TLS on port 5061 is served")
        if address.parameters.get("secure") != "true":
            return legs.rejected(self.name, legs.NOT_ACCEPTABLE, "plain RTP is refused; secure=true is missing")
        org = self._owner_of(address.user)
        if org is None:
            return legs.rejected(self.name, legs.NOT_FOUND, f"no such number: {address.user}")
        session = org.sessions.get(address.headers.get(SESSION_HEADER, ""))
        if session is None or session.e164 != address.user:
            return legs.rejected(self.name, legs.FORBIDDEN, f"no session of this number in {SESSION_HEADER}")
        if self._clock() > session.expires_at:
            return legs.rejected(self.name, legs.FORBIDDEN, "the session has expired")
        return self._pick_up(org, address.user, session.request_data)

    def answer_number(self, e164: str) -> Leg:
        org = self._owner_of(e164)
        if org is None:
            return legs.rejected(None, legs.NOT_FOUND, f"nobody in the sandbox has the number {e164}")
        return self._pick_up(org, e164, {})

    def _owner_of(self, e164: str) -> BlandOrg | None:
        return next((org for org in self.orgs if e164 in org.numbers), None)

    def _pick_up(self, org: BlandOrg, e164: str, request_data: Json) -> Leg:
        call_id = str(uuid.uuid4())
        org.calls[call_id] = {"call_id": call_id, "to": e164, "inbound": True, "request_data": request_data}
        return legs.answered(self.name, call_id)
