"""Stand-in for Vapi's API: bypass calls and who answers their streams; assistants and numbers are next door.

Sources: Vapi docs (Calls: Handling with Vapi and Twilio; API keys; Phone numbers) and its OpenAPI (CreateCallDTO,
CreateCustomerDTO, CreateAssistantDTO, SubscriptionLimits). The bypass fields stand in the prose docs only.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from starlette.responses import JSONResponse, Response

from adapters.sandbox import legs
from adapters.sandbox import vapi_checks as checks
from adapters.sandbox.api import Asked, Clock, Endpoint, Json, Orgs, Refusal, bearer
from adapters.sandbox.legs import Leg, SipAddress
from adapters.sandbox.twilio import Twilio
from adapters.sandbox.vapi_assistants import Assistants
from adapters.sandbox.vapi_numbers import PhoneNumbers
from adapters.sandbox.vapi_org import Call, VapiOrg, fresh_record, keep, org_of

SIP_HOST = "sip.vapi.ai"

_NO_CREDIT = "Wallet Balance is -0.01. Purchase more credits or upgrade your subscription to make more calls."
_MESSAGES = {
    401: "Invalid Key. Hot tip, you may be using the private key instead of the public key, or vice versa.",
    402: "Payment Required. Your wallet has no credits left.",
    429: "Rate limit exceeded",
}


class Vapi:
    """The API under /vapi and all that its orgs own."""

    name = "vapi"
    vital = frozenset({"phoneCallProviderDetails"})
    words: ClassVar[dict[str, Refusal]] = {"wallet": Refusal(400, _NO_CREDIT)}

    def __init__(self, twilio: Twilio, clock: Clock) -> None:
        self.orgs: Orgs[VapiOrg] = Orgs()
        self._clock = clock
        self._assistants = Assistants(self.orgs, clock)
        self._phone_numbers = PhoneNumbers(self.orgs, twilio, clock)

    def add_org(self, key: str | None = None, name: str = "A Vapi org", *, balance: float = 25.0) -> VapiOrg:
        return self.orgs.add(VapiOrg(name=name, key=key or str(uuid.uuid4()), id=str(uuid.uuid4()), balance=balance))

    def add_assistant(self, org: VapiOrg, name: str = "Front desk", **settings: object) -> str:
        """The new assistant's id."""
        return str(keep(org, org.assistants, {"name": name, **settings}, self._clock())["id"])

    def add_phone_number(self, org: VapiOrg, e164: str, account_sid: str = "AC" + "0" * 32) -> str:
        """The id of an imported Twilio number; unlike a real import this leaves the number at Twilio alone."""
        number = {"provider": "twilio", "number": e164, "twilioAccountSid": account_sid, "status": "active"}
        return str(keep(org, org.phone_numbers, number, self._clock())["id"])

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/call", self._create_call, "handoff"),
            Endpoint("GET", "/call/{id}", self._get_call),
            Endpoint("DELETE", "/call/{id}", self._delete_call),
            *self._assistants.endpoints(),
            *self._phone_numbers.endpoints(),
        ]

    def key_of(self, asked: Asked) -> str:
        return bearer(asked)

    def refuse(self, refusal: Refusal) -> Response:
        error = HTTPStatus(refusal.status).phrase
        message = refusal.message or _MESSAGES.get(refusal.status, error)
        return JSONResponse({"message": message, "error": error, "statusCode": refusal.status}, refusal.status)

    def bend(self, fault: str, answer: Json) -> Json:
        details = answer.get("phoneCallProviderDetails")
        if fault == "concurrency" and "subscriptionLimits" in answer:
            call = next(org.calls[answer["id"]] for org in self.orgs if answer["id"] in org.calls)
            call.state = "blocked"
            return answer | {"subscriptionLimits": _limits(blocked=True, limit=10, remaining=0)}
        if fault in BAD_TWIML and details is not None:
            return answer | {"phoneCallProviderDetails": {"twiml": BAD_TWIML[fault]}}
        return answer

    def _create_call(self, asked: Asked) -> Response:
        org = org_of(self.orgs, asked)
        body = asked.json()
        checks.accept(checks.of_call(body))
        self._check_owned(org, body)
        if not org.has_credit:
            raise Refusal(400, _NO_CREDIT)
        record = fresh_record(org, self._clock()) | {
            "type": "inboundPhoneCall",
            "status": "queued",
            "phoneCallProvider": "twilio",
            "phoneCallTransport": "pstn",
            **{name: value for name, value in body.items() if name != "phoneCallProviderBypassEnabled"},
        }
        call = Call(record, {"callToken": secrets.token_hex(16), "region": "us-west-2"})
        call.state = "waiting" if org.has_free_line else "blocked"
        org.calls[record["id"]] = call
        remaining = max(0, org.concurrency_limit - org.concurrency_used - 1)
        answer = record | {
            "subscriptionLimits": _limits(
                blocked=call.state == "blocked", limit=org.concurrency_limit, remaining=remaining
            )
        }
        if body.get("phoneCallProviderBypassEnabled") is True:
            answer["phoneCallProviderDetails"] = {"twiml": _twiml(org, call)}
        return JSONResponse(answer, 201)

    def _check_owned(self, org: VapiOrg, body: Json) -> None:
        assistant_id = body.get("assistantId")
        if assistant_id is not None and assistant_id not in org.assistants:
            raise Refusal(400, f"Couldn't Get Assistant. `assistantId` {assistant_id} Does Not Exist.")
        number = org.phone_numbers.get(body["phoneNumberId"])
        if number is None:
            raise Refusal(400, f"Couldn't Get Phone Number. `phoneNumberId` {body['phoneNumberId']} Does Not Exist.")
        if body.get("phoneCallProviderBypassEnabled") and number["provider"] != "twilio":
            raise Refusal(400, "`phoneCallProviderBypassEnabled` Is Only Supported For Twilio Phone Numbers.")

    def _call(self, asked: Asked) -> Call:
        call = org_of(self.orgs, asked).calls.get(asked.parameters["id"])
        if call is None or call.state == "deleted":
            raise Refusal(404)
        return call

    def _get_call(self, asked: Asked) -> Response:
        return JSONResponse(self._call(asked).record)

    def _delete_call(self, asked: Asked) -> Response:
        call = self._call(asked)
        call.state = "deleted"
        return JSONResponse(call.record | {"status": "ended"})

    def answer_stream(self, url: str, parameters: Mapping[str, str]) -> Leg:
        """A stream is taken once, for a created call, and only with the Parameters that its TwiML named."""
        parts = urlsplit(url)
        call_id = parts.path.strip("/").removesuffix("/transport")
        if parts.scheme != "wss" or parts.query:
            return legs.rejected(self.name, legs.FORBIDDEN, "a stream is wss and takes no query string")
        return self._pick_up(call_id, parameters)

    def answer_sip(self, address: SipAddress) -> Leg:
        return self._pick_up(address.user, None)

    def _pick_up(self, call_id: str, parameters: Mapping[str, str] | None) -> Leg:
        call = next((org.calls[call_id] for org in self.orgs if call_id in org.calls), None)
        if call is None or call.state == "deleted":
            return legs.rejected(self.name, legs.NOT_FOUND, f"no such call: {call_id}")
        if call.state == "blocked":
            return legs.rejected(self.name, legs.UNAVAILABLE, "blocked by the concurrency limit", call_id)
        if call.state == "answered":
            return legs.rejected(self.name, legs.BUSY, "the call was taken already", call_id)
        if parameters is not None and (lost := sorted(set(call.parameters.items()) - set(parameters.items()))):
            return legs.rejected(self.name, legs.FORBIDDEN, f"Parameter {lost[0][0]} is missing or changed", call_id)
        call.state = "answered"
        call.record["status"] = "in-progress"
        return legs.answered(self.name, call_id)


def _twiml(org: VapiOrg, call: Call) -> str:
    call_id = call.record["id"]
    if org.handoff_form == "sip":
        return f"<Response><Dial><Sip>sip:{call_id}@{SIP_HOST}</Sip></Dial></Response>"
    parameters = "".join(
        f"<Parameter name={quoteattr(name)} value={quoteattr(value)}/>" for name, value in call.parameters.items()
    )
    stream = f'<Stream url="wss://api.vapi.ai/{call_id}/transport" name="vapi-{call_id}">{parameters}</Stream>'
    return f'<?xml version="1.0" encoding="UTF-8"?><Response><Connect>{stream}</Connect></Response>'


BAD_TWIML = {
    "bad-twiml": "<Response><Say>Goodbye</Say><Redirect>https://evil.example/</Redirect></Response>",
    "doctype-twiml": '<!DOCTYPE r [<!ENTITY u "wss://evil.example/">]><Response><Connect><Stream url="&u;"/></Connect></Response>',
    "broken-twiml": '<Response><Connect><Stream url="wss://api.vapi.ai/x"></Connect>',
    "insecure-twiml": '<Response><Connect><Stream url="ws://api.vapi.ai/x/transport"/></Connect></Response>',
}


def _limits(*, blocked: bool, limit: int, remaining: int) -> Json:
    return {"concurrencyBlocked": blocked, "concurrencyLimit": limit, "remainingConcurrentCalls": remaining}
