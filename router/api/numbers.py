"""Numbers of an agency: /v1/agencies/{agency}/numbers. What is done about them outside is in router.numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from router.api.models import AvailableList, NewNumber, NumberChange, NumberList, NumberReply
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.problems import invalid
from router.numbers.buying import Wish
from router.numbers.taking_over import Claim
from router.store.numbers.numbers import Number, list_numbers


def number_endpoints() -> list[Endpoint]:
    path = "/v1/agencies/{agency}/numbers"
    one = f"{path}/{{e164}}"
    return [
        Endpoint("GET", path, "List numbers", show_numbers, reply=NumberList, paged=True),
        Endpoint(
            "POST",
            path,
            "Buy a number, or take over one that exists",
            add_number,
            status=201,
            body=NewNumber,
            reply=NumberReply,
            problems=("no-key", "number-not-found", "key-rejected", "provider-unreachable"),
            description="With `country` one is bought: on the agency's own Twilio account if it has one, else on the "
            "platform's subaccount for it, or from a voice provider itself. A purchase is written down before it is "
            "made and looked for before it is tried again, so that the same request twice buys one number. "
            "Without `country` the number must be in the agency's own Twilio account or, for the platform's operator, "
            "in the platform's. The carrier is configured before the answer.",
        ),
        Endpoint(
            "GET",
            f"{path}/available",
            "Show which numbers could be bought, and from whom",
            show_available,
            reply=AvailableList,
            query=("country", "area_code"),
            description="`not_sold` says for everybody else why not. A voice provider takes a country and an area code and "
            "chooses the number itself: `e164` is null there.",
        ),
        Endpoint("GET", one, "Show a number", show_number, reply=NumberReply),
        Endpoint(
            "PATCH",
            one,
            "Give a number to another client",
            change_number,
            body=NumberChange,
            reply=NumberReply,
            problems=("no-key", "key-rejected", "provider-unreachable"),
        ),
        Endpoint(
            "DELETE",
            one,
            "Let go of a number",
            remove_number,
            status=204,
            problems=("key-rejected", "provider-unreachable"),
            description="A number on the agency's own account stays theirs: our addresses are cleared there, if they "
            "are still ours. One that was bought here on the platform's account, or from a voice provider, is given "
            "back and cannot be had again: ask whoever deletes it first.",
        ),
    ]


async def show_numbers(request: ApiRequest[None]) -> Answer:
    page = request.page
    rows = await list_numbers(request.services.database.settings, request.agency_id, after=page.after, limit=page.fetch)
    shown, cursor = page.cut(rows, lambda row: (row.created_at, row.e164))
    return Answer.of(200, NumberList(items=[_show(row) for row in shown], next_cursor=cursor))


async def show_number(request: ApiRequest[None]) -> Answer:
    changes = request.services.areas.number_changes
    return Answer.of(200, _show(await changes.find(request.agency_id, request.path["e164"])))


async def add_number(request: ApiRequest[NewNumber]) -> Answer:
    body, areas, author = request.body, request.services.areas, request.author(201, NumberReply)
    if body.country is not None:
        wish = Wish(body.client_id, body.carrier, body.country, body.area_code, body.e164)
        return Answer.of(201, _show(await areas.purchases.buy(request.agency_id, wish, author)))
    if body.e164 is None or body.account is None:  # the model has seen to that
        raise invalid("e164", "is required")
    claim = Claim(body.e164, body.account, body.client_id)
    return Answer.of(201, _show(await areas.taking_over.take_over(request.agency_id, claim, author)))


async def change_number(request: ApiRequest[NumberChange]) -> Answer:
    changes, author = request.services.areas.number_changes, request.author(200, NumberReply)
    moved = await changes.move(request.agency_id, request.path["e164"], request.body.client_id, author)
    return Answer.of(200, _show(moved))


async def remove_number(request: ApiRequest[None]) -> Answer:
    await request.services.areas.number_changes.let_go(request.agency_id, request.path["e164"], request.author())
    return Answer.of(204)


async def show_available(request: ApiRequest[None]) -> Answer:
    country, area_code = _read_query(request.query)
    offers = await request.services.areas.market.look(request.agency_id, country, area_code)
    return Answer.of(200, AvailableList.model_validate(offers))


def _read_query(query: Mapping[str, str]) -> tuple[str, str | None]:
    """Raises Problem."""
    country, area_code = query.get("country", ""), query.get("area_code") or None
    if not re.fullmatch(r"[A-Z]{2}", country):
        raise invalid("country", "is required: two capital letters, such as US (ISO 3166-1)")
    if area_code is not None and not re.fullmatch(r"[0-9]{1,6}", area_code):
        raise invalid("area_code", "must be up to six digits, without a leading zero")
    return country, area_code


def _show(number: Number) -> NumberReply:
    return NumberReply.model_validate(number)
