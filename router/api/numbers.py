"""Numbers of an agency: /v1/agencies/{agency}/numbers. What is done about them outside is in router.numbers."""

from __future__ import annotations

from typing import Any

from adapters.base import ProviderError
from router.api.models import NewNumber, NumberChange, NumberList, NumberReply
from router.api.operations import Answer, ApiRequest, Changes, Endpoint
from router.api.problems import invalid, not_found
from router.numbers.after import after_moved_number
from router.numbers.buying import buy_number
from router.numbers.carriers import make_fallback_url, refusal
from router.numbers.fallbacks import rewrite_fallbacks
from router.numbers.market import market_endpoint
from router.numbers.native_shop import assign_native
from router.numbers.release import forget_numbers, release_numbers
from router.numbers.taking_over import take_over
from router.store.numbers.numbers import Number, find_number, list_numbers, move_number, want_fallback
from router.store.tenants.agencies import lock_agency
from router.store.tenants.clients import Client, find_client, lock_client


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
        market_endpoint(),
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
    return Answer.of(200, _show(await _find(request)))


async def add_number(request: ApiRequest[NewNumber]) -> Answer:
    return await (take_over(request) if request.body.country is None else buy_number(request))


async def change_number(request: ApiRequest[NumberChange]) -> Answer:
    services, number = request.services, await _find(request)
    if number.is_native:
        await _assign(request, number)
    async with request.changes() as changes:
        await lock_agency(changes.connection, request.agency_id)
        client = await _lock_client(changes, request.agency_id, request.body.client_id)
        await move_number(changes.connection, number.agency_id, number.e164, client.id)
        if not number.is_native:
            fallback_url = make_fallback_url(services, client, number.e164)
            await want_fallback(changes.connection, number.agency_id, number.e164, fallback_url)
        await after_moved_number(changes.connection, services, client, number.e164)
        await changes.record("number.changed", number.e164)
    if not number.is_native:
        await rewrite_fallbacks(services, [number])
    async with request.changes() as changes:
        moved = await find_number(changes.connection, number.agency_id, number.e164)
        if moved is None:
            raise not_found("number")
        return changes.answer(200, _show(moved))


async def remove_number(request: ApiRequest[None]) -> Answer:
    number = await _find(request)
    await release_numbers(request.services, [number])
    async with request.changes() as changes:
        await forget_numbers(changes.connection, [number])
        await changes.record("number.deleted", number.e164)
        return changes.answer(204)


async def _assign(request: ApiRequest[NumberChange], number: Number) -> None:
    """A number of a provider's own: its provider has to agree first. Raises Problem."""
    services = request.services
    client = await find_client(services.database.settings, request.agency_id, request.body.client_id)
    if client is None:
        raise invalid("client_id", "must be the id of a client of this agency")
    try:
        await assign_native(services, number, client)
    except ProviderError as error:
        raise refusal(number.carrier, error) from None


async def _find(request: ApiRequest[Any]) -> Number:
    number = await find_number(request.services.database.settings, request.agency_id, request.path["e164"])
    if number is None:
        raise not_found("number")
    return number


async def _lock_client(changes: Changes, agency_id: str, client_id: str) -> Client:
    client = await lock_client(changes.connection, agency_id, client_id)
    if client is None:
        raise invalid("client_id", "must be the id of a client of this agency")
    return client


def _show(number: Number) -> NumberReply:
    return NumberReply.model_validate(number)
