"""The part of the stand-in for Vapi that keeps phone numbers.

Sources: Vapi's OpenAPI (CreateTwilioPhoneNumberDTO, UpdateTwilioPhoneNumberDTO), its docs (Phone numbers), and what
people report of importing a number twice.
"""

from __future__ import annotations

from adapters.sandbox.api import Asked, Clock, Json, Refusal, endpoint, new_number
from adapters.sandbox.orgs import CarrierAccounts, Orgs
from adapters.sandbox.vapi import checks
from adapters.sandbox.vapi.org import Collection, VapiOrg, check_assistant_id

INBOUND_URL = "https://api.vapi.ai/twilio/inbound_call"  # what Vapi writes on a number that it imports
STATUS_URL = "https://api.vapi.ai/twilio/status"  # likewise, seen in use
SMS_URL = "https://api.vapi.ai/twilio/sms"
_OPENING = ("twilioAuthToken", "twilioApiKey", "twilioApiSecret")


class PhoneNumbers(Collection):
    prefix = "/phone-number"
    operation = "numbers"

    def __init__(self, orgs: Orgs[VapiOrg], carrier: CarrierAccounts, clock: Clock) -> None:
        super().__init__(orgs, clock)
        self._carrier = carrier

    def records(self, org: VapiOrg) -> dict[str, Json]:
        return org.phone_numbers

    @endpoint("POST", status=201)
    def _create(self, org: VapiOrg, asked: Asked) -> Json:
        body = asked.json()
        checks.accept(checks.of_number(body))
        check_assistant_id(org, body)
        if body["provider"] == "twilio":
            _check_new(org, body)
            self._take_over(body)
        elif body["provider"] == "vapi" and "sipUri" not in body:
            body = {"number": new_number(body.get("numberDesiredAreaCode", "415")), **body}
        return self.keep(org, {"status": "active", **body})

    @endpoint("PATCH", "/{id}")
    def _update(self, org: VapiOrg, asked: Asked) -> Json:
        number, body = asked.find(org.phone_numbers), asked.json()
        checks.accept(checks.of_number_change(body))
        check_assistant_id(org, body)
        if any(name in body for name in _OPENING):
            kept = {name: value for name, value in number.items() if name not in _OPENING}
            self._take_over({**kept, **body})
        return self.change(org, number, body)

    def _take_over(self, body: Json) -> None:
        """An import points the number's voice URL and status callback at Vapi, and its SMS URL unless told not to. Whether new credentials
        do so again is not documented; here they do, so that the router does not rely on the opposite.
        """
        user = body.get("twilioApiKey") or body["twilioAccountSid"]
        secret = body.get("twilioApiSecret") or body["twilioAuthToken"]
        account = self._carrier.account_for(user, secret)
        if account is None or account.sid != body["twilioAccountSid"]:
            raise Refusal(400, "Couldn't Import Twilio Number. The Twilio Credentials Are Not Valid.")
        number = account.number_called(body["number"])
        if number is None:
            raise Refusal(400, f"Number {body['number']} Not Found On Twilio.")
        number.update(voice_url=INBOUND_URL, voice_method="POST", status_callback=STATUS_URL)
        if body.get("smsEnabled", True):
            number["sms_url"] = SMS_URL


def _check_new(org: VapiOrg, body: Json) -> None:
    for number in org.phone_numbers.values():
        if all(number.get(name) == body[name] for name in ("twilioAccountSid", "number")):
            raise Refusal(
                400,
                f"Existing Phone Number {number['id']} Has Identical `twilioAccountSid` {body['twilioAccountSid']}"
                f" And `number` {body['number']}.",
            )
