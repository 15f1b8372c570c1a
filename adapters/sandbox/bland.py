"""Stand-in for Bland's API: account, inbound numbers and sessions, and who answers its numbers and its SIP edge.

Sources: Bland docs (Account; Create Inbound Session; Number Details; Update Inbound Number; SIP Integration; the error
list of Send Call). A leg that arrives at the SIP edge as the SIP page asks is taken; nobody documents the way from
Twilio's Dial to it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import ClassVar

from starlette.responses import JSONResponse, Response

from adapters.sandbox import legs
from adapters.sandbox.api import E164, Asked, Clock, Endpoint, Json, Operation, Org, Orgs, Refusal, fresh_hex, iso
from adapters.sandbox.legs import Leg, SipAddress

SIP_HOSTS = tuple(f"{region}.sip.bland.ai" for region in ("us2", "ca2", "asia2", "eu2"))
SESSION_HEADER = "x-bland-session-id"
SESSION_LIFETIME = timedelta(hours=1)

_SIP_PORT = 5061
_US_DIGITS = 10
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


@dataclass(frozen=True, slots=True)
class Session:
    """Variables for a call that is about to come in by SIP."""

    e164: str
    request_data: Json
    expires_at: datetime


@dataclass(slots=True)
class BlandOrg(Org):
    numbers: dict[str, Json] = field(default_factory=dict)  # by E.164
    sessions: dict[str, Session] = field(default_factory=dict)  # by token
    calls: dict[str, Json] = field(default_factory=dict)


class Bland:
    """The API under /bland and all that its orgs own."""

    name = "bland"
    vital = frozenset({"token", "phone_number", "billing"})
    words: ClassVar[dict[str, Refusal]] = {"wallet": Refusal(402), "concurrency": Refusal(429, _NO_LINE)}

    def __init__(self, clock: Clock) -> None:
        self.orgs: Orgs[BlandOrg] = Orgs()
        self._clock = clock

    def add_org(self, key: str | None = None, name: str = "A Bland org", *, balance: float = 25.0) -> BlandOrg:
        return self.orgs.add(BlandOrg(name, key or fresh_hex("org_", 40), str(uuid.uuid4()), balance))

    def add_number(self, org: BlandOrg, e164: str, **settings: object) -> str:
        """An inbound number of the org's; its E.164 form."""
        org.numbers[e164] = {
            "created_at": iso(self._clock()),
            "phone_number": e164,
            "prompt": "You answer the phone.",
            "webhook": None,
            "voice_id": 2,
            "dynamic_data": None,
            "max_duration": 30,
            "fallback_number": None,
            **settings,
        }
        return e164

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/v1/me", self._me, "check"),
            Endpoint("POST", "/v1/inbound/session", self._create_session, "handoff"),
            Endpoint("GET", "/v1/inbound", self._list_numbers, "numbers"),
            Endpoint("GET", "/v1/inbound/{number}", self._get_number, "handoff"),
            Endpoint("POST", "/v1/inbound/{number}", self._update_number, "assistants"),
        ]

    def key_of(self, asked: Asked) -> str:
        """The bare key; Bland's API pages name no scheme."""
        return asked.headers.get("authorization", "")

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
        unfit = {"token": "x\r\nRoute: <sip:evil.example>", "phone_number": "12"}
        return answer | {name: value for name, value in unfit.items() if name in answer}

    def _org(self, asked: Asked, operation: Operation = "other") -> BlandOrg:
        org = self.orgs.of(self.key_of(asked))
        if operation not in org.scopes:
            raise Refusal(403)
        return org

    def _me(self, asked: Asked) -> Response:
        org = self._org(asked, "check")
        billing = {"current_balance": org.balance, "refill_to": None}
        return JSONResponse({"status": "active", "billing": billing, "total_calls": len(org.calls)})

    def _create_session(self, asked: Asked) -> Response:
        org = self._org(asked, "handoff")
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

    def _list_numbers(self, asked: Asked) -> Response:
        return JSONResponse({"inbound_numbers": list(self._org(asked).numbers.values())})

    def _number(self, asked: Asked, operation: Operation = "other") -> Json:
        number = self._org(asked, operation).numbers.get(_as_e164(asked.parameters["number"]))
        if number is None:
            raise Refusal(404)
        return number

    def _get_number(self, asked: Asked) -> Response:
        return JSONResponse(self._number(asked, "handoff"))

    def _update_number(self, asked: Asked) -> Response:
        number = self._number(asked)
        body = asked.json()
        if not body.get("prompt") and not body.get("pathway_id"):
            raise Refusal(400, "prompt is required")
        if "phone_number" in body:
            raise Refusal(400, "Unknown parameter: phone_number")
        number.update(body)
        if body.get("pathway_id"):
            number.update(dict.fromkeys(("prompt", "first_sentence", "dynamic_data", "tools", "transfer_list")))
        return JSONResponse({"status": "success", "message": "Inbound settings updated successfully"})

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


def _as_e164(written: str) -> str:
    """Bland docs, Number Details: the plus is optional, ten digits are American."""
    digits = written.removeprefix("+")
    return f"+1{digits}" if len(digits) == _US_DIGITS else f"+{digits}"
