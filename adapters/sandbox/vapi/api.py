"""The API under /vapi: its parts in one, its error bodies, and what a test puts into it.

Sources: Vapi docs (API keys; Phone numbers) and its OpenAPI.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from adapters.sandbox.api import BAD_TWIML, Asked, Clock, Json, Refusal, StandIn, new_uuid
from adapters.sandbox.orgs import CarrierAccounts, Orgs
from adapters.sandbox.vapi.assistants import Assistants, Files
from adapters.sandbox.vapi.calls import NO_CREDIT, SIP_HOST, STREAM_HOST, Calls, limits
from adapters.sandbox.vapi.numbers import PhoneNumbers
from adapters.sandbox.vapi.org import VapiOrg


class Vapi(StandIn):
    """Vapi's stand-in and all that its orgs own."""

    name = "vapi"
    vital = frozenset({"phoneCallProviderDetails"})
    words: ClassVar = {"wallet": Refusal(400, NO_CREDIT)}
    messages: ClassVar = {
        401: "Invalid Key. Hot tip, you may be using the private key instead of the public key, or vice versa.",
        402: "Payment Required. Your wallet has no credits left.",
        429: "Rate limit exceeded",
    }
    shown: ClassVar = ("assistants", "phone_numbers")

    def __init__(self, carrier: CarrierAccounts, clock: Clock) -> None:
        self.orgs: Orgs[VapiOrg] = Orgs()
        self.calls = Calls(self.orgs, clock)
        self._assistants = Assistants(self.orgs, clock)
        self._numbers = PhoneNumbers(self.orgs, carrier, clock)
        self.parts = (self.calls, self._assistants, Files(self.orgs, clock), self._numbers)

    def add_org(self, key: str | None = None, name: str = "A Vapi org", *, balance: float = 25.0) -> VapiOrg:
        return self.orgs.add(VapiOrg(name, key or new_uuid(), new_uuid(), balance))

    def add_assistant(self, org: VapiOrg, name: str = "Front desk", **settings: object) -> str:
        """The new assistant's id."""
        return str(self._assistants.keep(org, {"name": name, **settings})["id"])

    def add_phone_number(self, org: VapiOrg, e164: str, account_sid: str = "AC" + "0" * 32) -> str:
        """The id of an imported Twilio number; unlike a real import this leaves the number at Twilio alone."""
        number = {"provider": "twilio", "number": e164, "twilioAccountSid": account_sid, "status": "active"}
        return str(self._numbers.keep(org, number)["id"])

    def key_of(self, asked: Asked) -> str:
        return self.orgs.key_of(asked)

    def far_ends(self) -> Mapping[tuple[str, str], Callable[..., Any]]:
        return {("stream", STREAM_HOST): self.calls.answer_stream, ("sip", SIP_HOST): self.calls.answer_sip}

    def describe_error(self, refusal: Refusal, message: str | list[str]) -> Json:
        return {"message": message, "error": HTTPStatus(refusal.status).phrase, "statusCode": refusal.status}

    def bend(self, fault: str, answer: Json) -> Json:
        details = answer.get("phoneCallProviderDetails")
        if fault == "concurrency" and "subscriptionLimits" in answer:
            call = next(org.calls[answer["id"]] for org in self.orgs if answer["id"] in org.calls)
            call.state = "blocked"
            return answer | limits(blocked=True, limit=10, remaining=0)
        if fault in BAD_TWIML and details is not None:
            return answer | {"phoneCallProviderDetails": {"twiml": BAD_TWIML[fault]}}
        return answer
