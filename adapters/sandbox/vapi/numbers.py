"""The part of the stand-in for Vapi that keeps phone numbers.

Sources: Vapi's OpenAPI (CreateTwilioPhoneNumberDTO, UpdateTwilioPhoneNumberDTO), its docs (Phone numbers), and what
people report of importing a number twice.
"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Clock, Endpoint, Json, Refusal
from adapters.sandbox.ids import new_number
from adapters.sandbox.orgs import CarrierAccounts, Orgs, Part
from adapters.sandbox.vapi import checks
from adapters.sandbox.vapi.org import VapiOrg, change, keep, owned, page

INBOUND_URL = "https://api.vapi.ai/twilio/inbound_call"  # what Vapi writes on a number that it imports
SMS_URL = "https://api.vapi.ai/twilio/sms"
_OPENING = ("twilioAuthToken", "twilioApiKey", "twilioApiSecret")


class PhoneNumbers(Part[VapiOrg]):
    """/phone-number."""

    def __init__(self, orgs: Orgs[VapiOrg], carrier: CarrierAccounts, clock: Clock) -> None:
        super().__init__(orgs, clock)
        self._carrier = carrier

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/phone-number", self._list, "numbers"),
            Endpoint("POST", "/phone-number", self._create, "numbers"),
            Endpoint("GET", "/phone-number/{id}", self._get, "numbers"),
            Endpoint("PATCH", "/phone-number/{id}", self._update, "numbers"),
            Endpoint("DELETE", "/phone-number/{id}", self._delete, "numbers"),
        ]

    def _list(self, asked: Asked) -> Response:
        org = self._orgs.asking(asked)
        return JSONResponse(page(org, org.phone_numbers, asked))

    def _create(self, asked: Asked) -> Response:
        org = self._orgs.asking(asked)
        body = asked.json()
        checks.accept(checks.of_number(body))
        _check_assistant(org, body)
        if body["provider"] == "twilio":
            _check_new(org, body)
            self._take_over(body)
        elif body["provider"] == "vapi" and "sipUri" not in body:
            body = {"number": new_number(body.get("numberDesiredAreaCode", "415")), **body}
        return JSONResponse(keep(org, org.phone_numbers, {"status": "active", **body}, self._clock()), 201)

    def _get(self, asked: Asked) -> Response:
        return JSONResponse(owned(self._orgs.asking(asked).phone_numbers, asked))

    def _update(self, asked: Asked) -> Response:
        org = self._orgs.asking(asked)
        number, body = owned(org.phone_numbers, asked), asked.json()
        checks.accept(checks.of_number_change(body))
        _check_assistant(org, body)
        if any(name in body for name in _OPENING):
            kept = {name: value for name, value in number.items() if name not in _OPENING}
            self._take_over({**kept, **body})
        return JSONResponse(change(org, number, body, self._clock()))

    def _delete(self, asked: Asked) -> Response:
        org = self._orgs.asking(asked)
        return JSONResponse(org.phone_numbers.pop(owned(org.phone_numbers, asked)["id"]))

    def _take_over(self, body: Json) -> None:
        """An import points the number's voice URL at Vapi, and its SMS URL unless told not to. Whether new credentials
        do so again is not documented; here they do, so that nobody relies on the contrary.
        """
        user = body.get("twilioApiKey") or body["twilioAccountSid"]
        secret = body.get("twilioApiSecret") or body["twilioAuthToken"]
        account = self._carrier.account_for(user, secret)
        if account is None or account.sid != body["twilioAccountSid"]:
            raise Refusal(400, "Couldn't Import Twilio Number. The Twilio Credentials Are Not Valid.")
        number = account.number_called(body["number"])
        if number is None:
            raise Refusal(400, f"Number {body['number']} Not Found On Twilio.")
        number["voice_url"] = INBOUND_URL
        number["voice_method"] = "POST"
        if body.get("smsEnabled", True):
            number["sms_url"] = SMS_URL


def _check_assistant(org: VapiOrg, body: Json) -> None:
    assistant_id = body.get("assistantId")
    if assistant_id is not None and assistant_id not in org.assistants:
        raise Refusal(400, f"Couldn't Get Assistant. `assistantId` {assistant_id} Does Not Exist.")


def _check_new(org: VapiOrg, body: Json) -> None:
    for number in org.phone_numbers.values():
        if all(number.get(name) == body[name] for name in ("twilioAccountSid", "number")):
            raise Refusal(
                400,
                f"Existing Phone Number {number['id']} Has Identical `twilioAccountSid` {body['twilioAccountSid']}"
                f" And `number` {body['number']}.",
            )
