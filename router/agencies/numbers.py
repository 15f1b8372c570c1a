"""Numbers of an agency: /v1/agencies/{agency}/numbers.

Taking one over: it is looked up in the carrier account, claimed here, configured there, and only then active. One
that a crash left half way can be taken over again a minute later.
"""

from __future__ import annotations

from adapters.base import Account, CarrierNumber, ProviderError
from router.agencies.carriers import (
    REQUEST_SECONDS,
    configure,
    make_fallback_url,
    open_account,
    refusal,
    release_numbers,
    rewrite_fallbacks,
)
from router.agencies.endpoints import Answer, ApiRequest, Changes, Endpoint
from router.agencies.models import NewNumber, NumberChange, NumberList, NumberReply
from router.agencies.problems import Problem, invalid, not_found
from router.agencies.services import CARRIER
from router.store.agencies import lock_agency
from router.store.clients import Client, is_personal_phone, lock_client
from router.store.keys import find_key_in_use
from router.store.numbers import (
    Number,
    activate_number,
    claim_number,
    confirm_fallback,
    delete_numbers,
    find_number,
    list_numbers,
    move_number,
    want_fallback,
)


def number_endpoints() -> list[Endpoint]:
    path = "/v1/agencies/{agency}/numbers"
    one = f"{path}/{{e164}}"
    return [
        Endpoint("GET", path, "List numbers", show_numbers, reply=NumberList, paged=True),
        Endpoint(
            "POST",
            path,
            "Take over a number that exists",
            take_over,
            status=201,
            body=NewNumber,
            reply=NumberReply,
            problems=("no-key", "number-not-found", "key-rejected", "provider-unreachable"),
            description="It must be in the agency's own carrier account, or, for the platform's operator, in the "
            "platform's. The carrier is configured before the answer.",
        ),
        Endpoint("GET", one, "Show a number", show_number, reply=NumberReply),
        Endpoint("PATCH", one, "Give a number to another client", change_number, body=NumberChange, reply=NumberReply),
        Endpoint(
            "DELETE",
            one,
            "Let go of a number",
            remove_number,
            status=204,
            problems=("provider-unreachable",),
            description="Our addresses are cleared at the carrier, if they are still ours. The number itself stays.",
        ),
    ]


async def show_numbers(request: ApiRequest[None]) -> Answer:
    page = request.page
    rows = await list_numbers(request.services.database.settings, request.agency_id, after=page.after, limit=page.fetch)
    shown, cursor = page.cut(rows, lambda row: (row.created_at, row.e164))
    return Answer.of(200, NumberList(items=[_show(row) for row in shown], next_cursor=cursor))


async def show_number(request: ApiRequest[None]) -> Answer:
    return Answer.of(200, _show(await _find(request)))


async def take_over(request: ApiRequest[NewNumber]) -> Answer:
    body, services = request.body, request.services
    account = await _choose_account(request)
    try:
        there = await services.carrier.find_number(account, body.e164, REQUEST_SECONDS)
    except ProviderError as error:
        raise refusal(CARRIER, error) from None
    if there is None:
        raise Problem("number-not-found", f"{body.e164} is not in the account {account.sid}.")
    async with request.changes() as changes:
        number = await _claim(request, changes, account, there)
    try:
        await configure(services, account, number)
    except ProviderError as error:
        await delete_numbers(services.database.settings, number.agency_id, [number.e164])
        raise refusal(CARRIER, error) from None
    async with request.changes() as changes:
        await activate_number(changes.connection, number.agency_id, number.e164)
        await confirm_fallback(changes.connection, number.agency_id, number.e164, number.fallback_url)
        await changes.record("number.taken_over", number.e164)
        found = await find_number(changes.connection, number.agency_id, number.e164)
        if found is None:
            raise Problem("conflict", "The number was deleted while it was being set up.")
        return changes.answer(201, _show(found))


async def change_number(request: ApiRequest[NumberChange]) -> Answer:
    services = request.services
    async with request.changes() as changes:
        client = await _lock_client(changes, request.agency_id, request.body.client_id)
        number = await find_number(changes.connection, request.agency_id, request.path["e164"])
        if number is None:
            raise not_found("number")
        await move_number(changes.connection, number.agency_id, number.e164, client.id)
        fallback_url = make_fallback_url(services, client, number.e164)
        await want_fallback(changes.connection, number.agency_id, number.e164, fallback_url)
        await changes.record("number.changed", number.e164)
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
        await delete_numbers(changes.connection, number.agency_id, [number.e164])
        await changes.record("number.deleted", number.e164)
        return changes.answer(204)


async def _find(request: ApiRequest[None]) -> Number:
    number = await find_number(request.services.database.settings, request.agency_id, request.path["e164"])
    if number is None:
        raise not_found("number")
    return number


async def _choose_account(request: ApiRequest[NewNumber]) -> Account:
    """Raises Problem, also for an agency that would help itself on the platform's account."""
    services = request.services
    if request.body.account == "platform":
        if not request.actor.is_admin:
            raise invalid(
                "account", 'must be "agency": only the operator takes over numbers of the platform\'s account'
            )
        if services.platform_account is None:
            raise Problem(
                "no-key", "The platform has no Twilio account: set CALLROUTER_TWILIO_ACCOUNT_SID and _AUTH_TOKEN."
            )
        return services.platform_account
    key = await find_key_in_use(services.database.settings, request.agency_id, CARRIER)
    account = await open_account(services, request.agency_id, key.account_sid) if key and key.account_sid else None
    if account is None:
        raise Problem("no-key", f"The agency has no Twilio account here: save one with PUT /keys/{CARRIER} first.")
    return account


async def _claim(request: ApiRequest[NewNumber], changes: Changes, account: Account, there: CarrierNumber) -> Number:
    """The number is ours from here on, unless somebody else has it. Raises Problem."""
    body, services = request.body, request.services
    await _check_account_unchanged(request, changes, account)
    client = await _lock_client(changes, request.agency_id, body.client_id)
    if await is_personal_phone(changes.connection, request.agency_id, body.e164):
        raise invalid("e164", "is the personal_phone of a client: ringing it would go round in circles")
    number = Number(
        account_sid=account.sid,
        e164=body.e164,
        agency_id=request.agency_id,
        client_id=client.id,
        carrier=CARRIER,
        account=body.account,
        number_sid=there.sid,
        voice_url=services.voice_url,
        fallback_url=make_fallback_url(services, client, body.e164),
        status_url=services.status_url,
        state="pending",
        fallback_state="stale",
        created_at=services.clock(),
    )
    if not await claim_number(changes.connection, number):
        raise Problem("conflict", f"{body.e164} is set up already, here or on this account.")
    return number


async def _check_account_unchanged(request: ApiRequest[NewNumber], changes: Changes, account: Account) -> None:
    """With the agency locked, its token cannot be taken away from under its new number."""
    await lock_agency(changes.connection, request.agency_id)
    if request.body.account == "platform":
        return
    key = await find_key_in_use(changes.connection, request.agency_id, CARRIER)
    if key is None or key.account_sid != account.sid:
        raise Problem("conflict", "The agency's Twilio key was changed at the same moment. Try again.")


async def _lock_client(changes: Changes, agency_id: str, client_id: str) -> Client:
    client = await lock_client(changes.connection, agency_id, client_id)
    if client is None:
        raise invalid("client_id", "must be the id of a client of this agency")
    return client


def _show(number: Number) -> NumberReply:
    return NumberReply.model_validate(number)
