"""Stand-in for Vapi's API: bypass calls, assistants, phone numbers, and who answers a stream.

Sources: Vapi docs (Calls: Handling with Vapi and Twilio; API keys; Phone numbers) and its OpenAPI (CreateCallDTO,
CreateCustomerDTO, CreateAssistantDTO, SubscriptionLimits). The bypass fields stand in the prose docs only.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import ClassVar, Literal
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from starlette.responses import JSONResponse, Response

from adapters.sandbox import legs
from adapters.sandbox import vapi_checks as checks
from adapters.sandbox.api import Asked, Clock, Endpoint, Json, Operation, Org, Orgs, Refusal, bearer, iso
from adapters.sandbox.legs import Leg, SipAddress
from adapters.sandbox.twilio import Twilio

INBOUND_URL = "https://api.vapi.ai/twilio/inbound_call"  # what Vapi writes on a number that it imports
SIP_HOST = "sip.vapi.ai"

_NO_CREDIT = "Wallet Balance is -0.01. Purchase more credits or upgrade your subscription to make more calls."
_MESSAGES = {
    401: "Invalid Key. Hot tip, you may be using the private key instead of the public key, or vice versa.",
    402: "Payment Required. Your wallet has no credits left.",
    429: "Rate limit exceeded",
}


@dataclass(slots=True)
class Call:
    """A created bypass call, good for one stream that brings these parameters along."""

    record: Json
    parameters: dict[str, str]
    state: Literal["waiting", "blocked", "answered", "deleted"] = "waiting"


@dataclass(slots=True)
class VapiOrg(Org):
    assistants: dict[str, Json] = field(default_factory=dict)
    phone_numbers: dict[str, Json] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    handoff_form: Literal["stream", "sip"] = "stream"


class Vapi:
    """The API under /vapi and all that its orgs own."""

    name = "vapi"
    vital = frozenset({"phoneCallProviderDetails"})
    words: ClassVar[dict[str, Refusal]] = {"wallet": Refusal(400, _NO_CREDIT)}

    def __init__(self, twilio: Twilio, clock: Clock) -> None:
        self.orgs: Orgs[VapiOrg] = Orgs()
        self._twilio = twilio
        self._clock = clock

    def add_org(self, key: str | None = None, name: str = "A Vapi org", *, balance: float = 25.0) -> VapiOrg:
        return self.orgs.add(VapiOrg(name=name, key=key or str(uuid.uuid4()), id=str(uuid.uuid4()), balance=balance))

    def add_assistant(self, org: VapiOrg, name: str = "Front desk", **settings: object) -> str:
        """The new assistant's id."""
        return str(self._keep(org, org.assistants, {"name": name, **settings})["id"])

    def add_phone_number(self, org: VapiOrg, e164: str, account_sid: str = "AC" + "0" * 32) -> str:
        """The id of an imported Twilio number; unlike a real import this leaves the number at Twilio alone."""
        number = {"provider": "twilio", "number": e164, "twilioAccountSid": account_sid, "status": "active"}
        return str(self._keep(org, org.phone_numbers, number)["id"])

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/call", self._create_call, "handoff"),
            Endpoint("GET", "/call/{id}", self._get_call),
            Endpoint("DELETE", "/call/{id}", self._delete_call),
            Endpoint("GET", "/assistant", self._list_assistants, _listing),
            Endpoint("POST", "/assistant", self._create_assistant, "assistants"),
            Endpoint("GET", "/assistant/{id}", lambda asked: self._get(asked, "assistants"), "assistants"),
            Endpoint("PATCH", "/assistant/{id}", self._update_assistant, "assistants"),
            Endpoint("DELETE", "/assistant/{id}", lambda asked: self._delete(asked, "assistants"), "assistants"),
            Endpoint("GET", "/phone-number", self._list_phone_numbers, "numbers"),
            Endpoint("POST", "/phone-number", self._create_phone_number, "numbers"),
            Endpoint("GET", "/phone-number/{id}", lambda asked: self._get(asked, "phone_numbers"), "numbers"),
            Endpoint("PATCH", "/phone-number/{id}", self._update_phone_number, "numbers"),
            Endpoint("DELETE", "/phone-number/{id}", lambda asked: self._delete(asked, "phone_numbers"), "numbers"),
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

    def _org(self, asked: Asked, operation: Operation = "other") -> VapiOrg:
        org = self.orgs.of(self.key_of(asked))
        if operation not in org.scopes:
            raise Refusal(403)
        return org

    def _create_call(self, asked: Asked) -> Response:
        org = self._org(asked, "handoff")
        body = asked.json()
        checks.accept(checks.of_call(body))
        self._check_owned(org, body)
        if not org.has_credit:
            raise Refusal(400, _NO_CREDIT)
        record = self._record(org) | {
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
        call = self._org(asked).calls.get(asked.parameters["id"])
        if call is None or call.state == "deleted":
            raise Refusal(404)
        return call

    def _get_call(self, asked: Asked) -> Response:
        return JSONResponse(self._call(asked).record)

    def _delete_call(self, asked: Asked) -> Response:
        call = self._call(asked)
        call.state = "deleted"
        return JSONResponse(call.record | {"status": "ended"})

    def _list_assistants(self, asked: Asked) -> Response:
        org = self._org(asked, "check")
        return JSONResponse(_page(asked, org.assistants.values()))

    def _list_phone_numbers(self, asked: Asked) -> Response:
        return JSONResponse(_page(asked, self._org(asked).phone_numbers.values()))

    def _create_assistant(self, asked: Asked) -> Response:
        org = self._org(asked)
        checks.accept(checks.of_assistant(asked.json()))
        return JSONResponse(self._keep(org, org.assistants, asked.json()), 201)

    def _update_assistant(self, asked: Asked) -> Response:
        assistant = self._owned(asked, "assistants")
        checks.accept(checks.of_assistant(asked.json()))
        assistant.update(asked.json(), updatedAt=iso(self._clock()))
        return JSONResponse(assistant)

    def _create_phone_number(self, asked: Asked) -> Response:
        org = self._org(asked)
        body = asked.json()
        checks.accept(checks.of_number(body))
        if body["provider"] == "twilio":
            self._take_over(body)
        elif body["provider"] == "vapi" and "sipUri" not in body:
            body = {"number": f"+1{body.get('numberDesiredAreaCode', '415')}{secrets.randbelow(10**7):07d}", **body}
        return JSONResponse(self._keep(org, org.phone_numbers, {"status": "active", **body}), 201)

    def _take_over(self, body: Json) -> None:
        """An import points the number's voice URL at Vapi, and its SMS URL unless told not to."""
        user = body.get("twilioApiKey") or body["twilioAccountSid"]
        secret = body.get("twilioApiSecret") or body["twilioAuthToken"]
        account = self._twilio.account_for(user, secret)
        if account is None or account.sid != body["twilioAccountSid"]:
            raise Refusal(400, "Couldn't Import Twilio Number. The Twilio Credentials Are Not Valid.")
        number = account.number_called(body["number"])
        if number is None:
            raise Refusal(400, f"Number {body['number']} Not Found On Twilio.")
        number["voice_url"] = INBOUND_URL
        number["voice_method"] = "POST"
        if body.get("smsEnabled", True):
            number["sms_url"] = "https://api.vapi.ai/twilio/sms"

    def _update_phone_number(self, asked: Asked) -> Response:
        number = self._owned(asked, "phone_numbers")
        checks.accept(checks.of_number_change(asked.json()))
        number.update(asked.json(), updatedAt=iso(self._clock()))
        return JSONResponse(number)

    def _owned(self, asked: Asked, shelf: Literal["assistants", "phone_numbers"]) -> Json:
        org = self._org(asked)
        owned = (org.assistants if shelf == "assistants" else org.phone_numbers).get(asked.parameters["id"])
        if owned is None:
            raise Refusal(404)
        return owned

    def _get(self, asked: Asked, shelf: Literal["assistants", "phone_numbers"]) -> Response:
        return JSONResponse(self._owned(asked, shelf))

    def _delete(self, asked: Asked, shelf: Literal["assistants", "phone_numbers"]) -> Response:
        owned = self._owned(asked, shelf)
        org = self._org(asked)
        (org.assistants if shelf == "assistants" else org.phone_numbers).pop(owned["id"])
        return JSONResponse(owned)

    def _record(self, org: VapiOrg) -> Json:
        now = iso(self._clock())
        return {"id": str(uuid.uuid4()), "orgId": org.id, "createdAt": now, "updatedAt": now}

    def _keep(self, org: VapiOrg, shelf: dict[str, Json], body: Json) -> Json:
        record = body | self._record(org)
        shelf[record["id"]] = record
        return record

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


def _listing(query: Mapping[str, str]) -> Operation:
    """A list of one assistant is how a key is tried (Vapi docs: API keys)."""
    return "check" if query.get("limit") == "1" else "assistants"


def _limits(*, blocked: bool, limit: int, remaining: int) -> Json:
    return {"concurrencyBlocked": blocked, "concurrencyLimit": limit, "remainingConcurrentCalls": remaining}


def _page(asked: Asked, records: Iterable[Json]) -> list[Json]:
    limit = asked.query.get("limit", "100")
    if not limit.isdecimal():
        raise Refusal(400, ["limit must be a number conforming to the specified constraints"])
    return list(records)[: int(limit)]
