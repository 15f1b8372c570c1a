"""Stand-in for the phone numbers that Retell sells, and who answers them.

Sources: Retell's OpenAPI (create, list, update, delete phone number), the types of retell-sdk 6, and its docs (Outage mode:
a fallback number must be external).
"""

from __future__ import annotations

from adapters.phone import is_e164
from adapters.sandbox.api import Asked, Json, Refusal, endpoint, new_number
from adapters.sandbox.retell.org import BAD_FORMAT, RetellOrg, RetellPart, page_of

_COUNTRIES = ("US", "CA")
_CANADIAN = 416
_AREA_CODES = range(200, 1000)
_SETTINGS = {"inbound_agents", "outbound_agents", "inbound_webhook_url", "fallback_number", "nickname"}
_PURCHASE = {"country_code", "area_code", "number_provider", "phone_number", "toll_free"}


class PhoneNumbers(RetellPart):
    operation = "numbers"

    @endpoint("POST", "/create-phone-number", status=201)
    def _create(self, org: RetellOrg, asked: Asked) -> Json:
        body = asked.json()
        country, area_code = body.get("country_code", "US"), body.get("area_code")
        if set(body) - _SETTINGS - _PURCHASE or country not in _COUNTRIES:
            raise Refusal(400)
        if area_code is not None and (
            country != "US" or not isinstance(area_code, int) or area_code not in _AREA_CODES
        ):
            raise Refusal(400, f"{BAD_FORMAT} (area_code)")
        self._check(org, body)
        if not org.has_credit:
            raise Refusal(402)
        e164 = new_number(area_code or (415 if country == "US" else _CANADIAN))
        settings = {name: value for name, value in body.items() if name in _SETTINGS}
        org.numbers[e164] = {
            "phone_number": e164,
            "phone_number_type": "retell-twilio",
            "phone_number_pretty": f"({e164[2:5]}) {e164[5:8]}-{e164[8:]}",
            "area_code": int(e164[2:5]),
            **settings,
            **self._touched(),
        }
        return org.numbers[e164]

    @endpoint("GET", "/v2/list-phone-numbers")
    def _list(self, org: RetellOrg, asked: Asked) -> Json:
        return page_of(list(org.numbers.values()), "phone_number", asked.query)

    @endpoint("GET", "/get-phone-number/{id}")
    def _get(self, org: RetellOrg, asked: Asked) -> Json:
        return asked.find(org.numbers)

    @endpoint("PATCH", "/update-phone-number/{id}")
    def _update(self, org: RetellOrg, asked: Asked) -> Json:
        number, body = asked.find(org.numbers), asked.json()
        if set(body) - _SETTINGS:
            raise Refusal(400)
        self._check(org, body)
        number.update(body, **self._touched())
        return number

    @endpoint("DELETE", "/delete-phone-number/{id}")
    def _delete(self, org: RetellOrg, asked: Asked) -> None:
        asked.pop(org.numbers)

    def _check(self, org: RetellOrg, body: Json) -> None:
        agents = body.get("inbound_agents") or []
        if agents and sum(agent.get("weight", 0) for agent in agents) != 1:
            raise Refusal(400, "Total weights must add up to 1.")
        if not all(agent.get("agent_id") in org.agents for agent in agents):
            raise Refusal(422)
        fallback = body.get("fallback_number")
        if fallback is not None and not is_e164(fallback):
            raise Refusal(400, f"{BAD_FORMAT} (fallback_number)")
        if any(fallback in other.numbers for other in self._customers):
            raise Refusal(400, "The fallback number must not be a Retell number.")
