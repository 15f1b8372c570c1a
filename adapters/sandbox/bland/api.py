"""The API under /bland: its parts in one, its error bodies, and what a test puts into it.

Sources: Bland docs (the pages' error examples).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from adapters.sandbox.api import Asked, Clock, Json, Refusal, StandIn, new_id, new_uuid
from adapters.sandbox.bland.calls import NO_LINE, REDIRECT_HOST, SIP_HOSTS, Calls
from adapters.sandbox.bland.knowledge import KnowledgeBases
from adapters.sandbox.bland.numbers import InboundNumbers
from adapters.sandbox.bland.org import BlandOrg, key_of
from adapters.sandbox.bland.tools import Tools
from adapters.sandbox.bland.voices import Voices
from adapters.sandbox.orgs import CarrierAccount, CarrierAccounts, Orgs

_ERRORS = {401: "AUTH_FAILURE", 404: "NOT_FOUND"}


class Bland(StandIn):
    """Bland's stand-in and all that its orgs own."""

    name = "bland"
    vital = frozenset(
        {"token", "phone_number", "billing", "inbound_numbers", "encrypted_key", "inserted", "tools", "tool_id", "data"}
    )
    words: ClassVar = {"wallet": Refusal(402), "concurrency": Refusal(429, NO_LINE)}
    messages: ClassVar = {
        400: "Invalid parameters.",
        401: "Unauthorized",
        402: "Insufficient balance.",
        403: "Your account has been flagged.",
        404: "Inbound number not found",
        429: "Rate limit exceeded",
    }
    unfit: ClassVar = {
        "token": "x\r\nRoute: <sip:evil.example>",
        "phone_number": "12",
        "inbound_numbers": "none",
        "encrypted_key": "x\r\nx-evil: 1",
        "tools": {"of": "nobody"},
        "tool_id": "../inbound",
        "data": {"id": "../inbound", "kbs": 7},
    }

    shown: ClassVar = ("numbers", "tools", "knowledge", "sessions")

    def __init__(self, carrier: CarrierAccounts, clock: Clock) -> None:
        self.orgs: Orgs[BlandOrg] = Orgs(key_of)
        self.calls = Calls(self.orgs, clock)
        self.numbers = InboundNumbers(self.orgs, carrier, clock)
        self.knowledge = KnowledgeBases(self.orgs, clock)
        self.parts = (self.calls, self.numbers, Tools(self.orgs, clock), self.knowledge, Voices(self.orgs, clock))

    def add_org(self, key: str | None = None, name: str = "A Bland org", *, balance: float = 25.0) -> BlandOrg:
        return self.orgs.add(BlandOrg(name, key or new_id("org_", 40), new_uuid(), balance))

    def add_number(self, org: BlandOrg, e164: str, **settings: object) -> str:
        return self.numbers.add(org, e164, **settings)

    def import_number(self, org: BlandOrg, account: CarrierAccount, e164: str) -> str:
        """As if the org had connected the account and imported the number; the address that this wrote."""
        return self.numbers.bring(org, account, e164)

    def attach(self, org: BlandOrg, e164: str) -> None:
        """As if the org had attached its imported number to its SIP trunk."""
        org.attached[e164] = "ip"

    def key_of(self, asked: Asked) -> str:
        return self.orgs.key_of(asked)

    def far_ends(self) -> Mapping[tuple[str, str], Callable[..., Any]]:
        calls = self.calls
        return {
            **{("sip", host): calls.answer_sip for host in SIP_HOSTS},
            ("redirect", REDIRECT_HOST): calls.answer_redirect,
            ("number", ""): calls.answer_number,
        }

    def describe_error(self, refusal: Refusal, message: str | list[str]) -> Json:
        """Bland has two shapes: a list of errors for keys and missing things, status and message for the rest."""
        if refusal.status in _ERRORS:
            return {"data": None, "errors": [{"error": _ERRORS[refusal.status], "message": message}]}
        return {"status": "error", "message": message}
