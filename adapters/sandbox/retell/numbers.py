"""Stand-in for the phone numbers that Retell sells, and who answers them.

Sources: Retell's OpenAPI (create, list, update, delete phone number) and the types of retell-sdk 6.
"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from adapters.phone import is_e164
from adapters.sandbox.api import Asked, Endpoint, Json, Refusal
from adapters.sandbox.ids import new_number
from adapters.sandbox.retell.org import BAD_FORMAT, RetellOrg, RetellPart, page_of

_COUNTRIES = ("US", "CA")
_CANADIAN = 416
_AREA_CODES = range(200, 1000)
_SETTINGS = {"inbound_agents", "outbound_agents", "inbound_webhook_url", "fallback_number", "nickname"}
_PURCHASE = {"country_code", "area_code", "number_provider", "phone_number", "toll_free"}


class PhoneNumbers(RetellPart):
    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/create-phone-number", self._create, "numbers"),
            Endpoint("GET", "/v2/list-phone-numbers", self._list, "numbers"),
            Endpoint("GET", "/get-phone-number/{id}", lambda asked: JSONResponse(self._one(asked)), "numbers"),
            Endpoint("PATCH", "/update-phone-number/{id}", self._update, "numbers"),
            Endpoint("DELETE", "/delete-phone-number/{id}", self._delete, "numbers"),
        ]

    def _create(self, asked: Asked) -> Response:
        org, body = self._orgs.asking(asked), asked.json()
        country, area_code = body.get("country_code", "US"), body.get("area_code")
        if set(body) - _SETTINGS - _PURCHASE or country not in _COUNTRIES:
            raise Refusal(400)
        if area_code is not None and (
            country != "US" or not isinstance(area_code, int) or area_code not in _AREA_CODES
        ):
            raise Refusal(400, f"{BAD_FORMAT} (area_code)")
        _check(org, body)
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
        return JSONResponse(org.numbers[e164], 201)

    def _list(self, asked: Asked) -> Response:
        numbers = list(self._orgs.asking(asked).numbers.values())
        return JSONResponse(page_of(numbers, "phone_number", asked.query))

    def _one(self, asked: Asked) -> Json:
        number = self._orgs.asking(asked).numbers.get(asked.parameters["id"])
        if number is None:
            raise Refusal(404)
        return number

    def _update(self, asked: Asked) -> Response:
        number, body = self._one(asked), asked.json()
        if set(body) - _SETTINGS:
            raise Refusal(400)
        if body.get("fallback_number") == number["phone_number"]:
            raise Refusal(400, "A number cannot be its own fallback.")
        _check(self._orgs.asking(asked), body)
        number.update(body, **self._touched())
        return JSONResponse(number)

    def _delete(self, asked: Asked) -> Response:
        number = self._one(asked)
        del self._orgs.asking(asked).numbers[number["phone_number"]]
        return Response(status_code=204)


def _check(org: RetellOrg, body: Json) -> None:
    agents = body.get("inbound_agents") or []
    if agents and sum(agent.get("weight", 0) for agent in agents) != 1:
        raise Refusal(400, "Total weights must add up to 1.")
    if not all(agent.get("agent_id") in org.agents for agent in agents):
        raise Refusal(422)
    fallback = body.get("fallback_number")
    if fallback is not None and not is_e164(fallback):
        raise Refusal(400, f"{BAD_FORMAT} (fallback_number)")
