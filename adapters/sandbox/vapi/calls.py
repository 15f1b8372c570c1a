"""The part of the stand-in for Vapi that takes calls: bypass calls, and who answers their streams.

Sources: Vapi docs (Calls: Handling with Vapi and Twilio; Live call control) and its OpenAPI (CreateCallDTO, CreateCustomerDTO,
SubscriptionLimits). The bypass fields stand in the prose docs only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from starlette.responses import JSONResponse, Response

from adapters.sandbox import legs
from adapters.sandbox.api import Asked, Endpoint, Json, Part, Refusal, endpoint, new_id
from adapters.sandbox.audio import play_conversation
from adapters.sandbox.legs import LegVerdict, SipAddress
from adapters.sandbox.talks import DEMO
from adapters.sandbox.vapi import checks
from adapters.sandbox.vapi.org import Call, VapiOrg, check_assistant_id, fresh_record

SIP_HOST = "sip.vapi.ai"
STREAM_HOST = "api.vapi.ai"
NO_CREDIT = "Wallet Balance is -0.01. Purchase more credits or upgrade your subscription to make more calls."


class Calls(Part[VapiOrg]):
    """Calls, and the far end of their legs."""

    prefix = "/call"

    @endpoint("POST", operation="handoff", status=201)
    def _create(self, org: VapiOrg, asked: Asked) -> Json:
        body = asked.json()
        checks.accept(checks.of_call(body))
        _check_owned(org, body)
        if not org.has_credit:
            raise Refusal(400, NO_CREDIT)
        record = fresh_record(org, self._clock()) | {
            "type": "inboundPhoneCall",
            "status": "queued",
            "phoneCallProvider": "twilio",
            "phoneCallTransport": "pstn",
            **{name: value for name, value in body.items() if name != "phoneCallProviderBypassEnabled"},
        }
        record["monitor"] = {"controlUrl": f"http://{asked.headers['host']}/vapi/control/{record['id']}"}
        call = Call(record, {"callToken": new_id(), "region": "us-west-2"})
        call.state = "waiting" if org.has_free_line else "blocked"
        org.calls[record["id"]] = call
        remaining = max(0, org.concurrency_limit - org.concurrency_used - 1)
        answer = record | limits(blocked=not org.has_free_line, limit=org.concurrency_limit, remaining=remaining)
        if body.get("phoneCallProviderBypassEnabled") is True:
            answer["phoneCallProviderDetails"] = {"twiml": _twiml(org, call)}
        return answer

    def _find(self, org: VapiOrg, asked: Asked) -> Call:
        return asked.find({call_id: call for call_id, call in org.calls.items() if call.state != "deleted"})

    @endpoint("GET", "/{id}")
    def _get(self, org: VapiOrg, asked: Asked) -> Json:
        address = f"http://{asked.headers['host']}/vapi/storage/{asked.id}.wav"
        if asked.id.startswith(DEMO) and asked.id not in org.forgotten:
            return {"id": asked.id, "status": "ended", "artifact": {"recordingUrl": address}}
        call = self._find(org, asked)
        return call.record | ({"artifact": {"recordingUrl": address}} if call.state in ("answered", "ended") else {})

    @endpoint("DELETE", "/{id}")
    def _delete(self, org: VapiOrg, asked: Asked) -> Json:
        if asked.id.startswith(DEMO) and asked.id not in org.forgotten:
            org.forgotten.add(asked.id)
            return {"id": asked.id, "status": "ended"}
        call = self._find(org, asked)
        call.state = "deleted"
        return call.record | {"status": "ended"}

    def endpoints(self) -> Iterator[Endpoint]:
        yield from super().endpoints()
        yield Endpoint("POST", "/control/{id}", self._control)
        yield Endpoint("GET", "/storage/{id}.wav", play_conversation)

    def _control(self, asked: Asked) -> Response:
        """Controls a live call. The address is all that it takes: no key (Vapi docs: Live call control)."""
        call = next((org.calls[asked.id] for org in self._customers if asked.id in org.calls), None)
        if call is None or call.state not in ("waiting", "answered"):
            raise Refusal(404, "Call not found or not live.")
        if asked.json().get("type") != "end-call":
            raise Refusal(400, "type must be one of the following values: end-call")
        call.state = "ended"
        call.record |= {"status": "ended", "endedReason": "manually-canceled"}
        return JSONResponse({})

    def answer_stream(self, url: str, parameters: Mapping[str, str]) -> LegVerdict:
        """A stream is taken once, for a created call, and only with the Parameters that its TwiML named."""
        parts = urlsplit(url)
        call_id = parts.path.strip("/").removesuffix("/transport")
        if parts.scheme != "wss" or parts.query:
            return legs.rejected("vapi", legs.FORBIDDEN, "a stream is wss and takes no query string")
        return self._pick_up(call_id, parameters)

    def answer_sip(self, address: SipAddress) -> LegVerdict:
        return self._pick_up(address.user, None)

    def _pick_up(self, call_id: str, parameters: Mapping[str, str] | None) -> LegVerdict:
        call = next((org.calls[call_id] for org in self._customers if call_id in org.calls), None)
        if call is None or call.state in ("ended", "deleted"):
            return legs.rejected("vapi", legs.NOT_FOUND, f"no such call: {call_id}")
        if call.state == "blocked":
            return legs.rejected("vapi", legs.UNAVAILABLE, "blocked by the concurrency limit", call_id)
        if call.state == "answered":
            return legs.rejected("vapi", legs.BUSY, "the call was taken already", call_id)
        if parameters is not None and (lost := sorted(set(call.parameters.items()) - set(parameters.items()))):
            return legs.rejected("vapi", legs.FORBIDDEN, f"Parameter {lost[0][0]} is missing or changed", call_id)
        call.state = "answered"
        call.record["status"] = "in-progress"
        return legs.answered("vapi", call_id)


def _check_owned(org: VapiOrg, body: Json) -> None:
    check_assistant_id(org, body)
    number = org.phone_numbers.get(body["phoneNumberId"])
    if number is None:
        raise Refusal(400, f"Couldn't Get Phone Number. `phoneNumberId` {body['phoneNumberId']} Does Not Exist.")
    if body.get("phoneCallProviderBypassEnabled") and number["provider"] != "twilio":
        raise Refusal(400, "`phoneCallProviderBypassEnabled` Is Only Supported For Twilio Phone Numbers.")


def limits(*, blocked: bool, limit: int, remaining: int) -> Json:
    counts = {"concurrencyBlocked": blocked, "concurrencyLimit": limit, "remainingConcurrentCalls": remaining}
    return {"subscriptionLimits": counts}


def _twiml(org: VapiOrg, call: Call) -> str:
    call_id = call.record["id"]
    if org.handoff_form == "sip":
        return f"<Response><Dial><Sip>sip:{call_id}@{SIP_HOST}</Sip></Dial></Response>"
    parameters = "".join(
        f"<Parameter name={quoteattr(name)} value={quoteattr(value)}/>" for name, value in call.parameters.items()
    )
    stream = f'<Stream url="wss://{STREAM_HOST}/{call_id}/transport" name="vapi-{call_id}">{parameters}</Stream>'
    return f'<?xml version="1.0" encoding="UTF-8"?><Response><Connect>{stream}</Connect></Response>'
