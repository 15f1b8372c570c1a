"""The API under /bland: its parts in one, its error bodies, and what a test puts into it.

Sources: Bland docs (the pages' error examples).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Clock, Endpoint, Json, Refusal
from adapters.sandbox.bland.calls import NO_LINE, Calls
from adapters.sandbox.bland.knowledge import KnowledgeBases
from adapters.sandbox.bland.numbers import InboundNumbers
from adapters.sandbox.bland.org import BlandOrg, key_of
from adapters.sandbox.bland.tools import Tools
from adapters.sandbox.ids import new_id, new_uuid
from adapters.sandbox.legs import LegVerdict, SipAddress
from adapters.sandbox.orgs import CarrierAccounts, Orgs

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
    """Bland's stand-in and all that its orgs own."""

    name = "bland"
    vital = frozenset(
        {"token", "phone_number", "billing", "inbound_numbers", "encrypted_key", "inserted", "tools", "tool_id", "data"}
    )
    words: ClassVar[dict[str, Refusal]] = {"wallet": Refusal(402), "concurrency": Refusal(429, NO_LINE)}

    def __init__(self, carrier: CarrierAccounts, clock: Clock) -> None:
        self.orgs: Orgs[BlandOrg] = Orgs(key_of)
        self._calls = Calls(self.orgs, clock)
        self.numbers = InboundNumbers(self.orgs, carrier, clock)
        self._tools = Tools(self.orgs, clock)
        self.knowledge = KnowledgeBases(self.orgs, clock)

    def add_org(self, key: str | None = None, name: str = "A Bland org", *, balance: float = 25.0) -> BlandOrg:
        return self.orgs.add(BlandOrg(name, key or new_id("org_", 40), new_uuid(), balance))

    def add_number(self, org: BlandOrg, e164: str, **settings: object) -> str:
        """An inbound number of the org's; its E.164 form."""
        return self.numbers.add(org, e164, **settings)

    def endpoints(self) -> list[Endpoint]:
        parts = (self._calls, self.numbers, self._tools, self.knowledge)
        return [endpoint for part in parts for endpoint in part.endpoints()]

    def key_of(self, asked: Asked) -> str:
        return self.orgs.key_of(asked)

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

    def answer_sip(self, address: SipAddress) -> LegVerdict:
        return self._calls.answer_sip(address)

    def answer_number(self, e164: str) -> LegVerdict:
        return self._calls.answer_number(e164)
