"""Buying a number: POST /v1/agencies/{agency}/numbers with a country; and finishing what was left half way.

The purchase is written down before it is made, and looked for before it is tried again, whoever comes first: the same
request once more, or the clock. What was paid for is recorded, or given back if its client is gone.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Final

from adapters.base import ProviderError
from router.api.models import NewNumber, NumberReply
from router.api.operations import Answer, ApiRequest
from router.api.problems import Problem, invalid
from router.numbers.after import after_new_number
from router.numbers.carrier_shop import CarrierShop
from router.numbers.native_shop import NativeShop
from router.numbers.refusals import UNCLEAR, explain, unclear
from router.numbers.shops import Bought, Order, Shop
from router.particulars import particulars_of
from router.services import CARRIER, ApiServices
from router.store.keys.versions import find_key_in_use
from router.store.numbers.numbers import claim_number, find_number
from router.store.numbers.purchases import (
    Purchase,
    fail_purchase,
    find_purchase,
    finish_purchase,
    insert_purchase,
    lease_like,
    lease_open_purchases,
    note_told,
    release_purchase,
    take_made,
)
from router.store.pool import Connection
from router.store.tenants.agencies import find_agency, lock_agency
from router.store.tenants.audit import AuditEntry, insert_audit_entry
from router.store.tenants.clients import Client, find_client, lock_client
from router.telemetry import emit

_LOOKED_FOR: Final = timedelta(minutes=10)  # then it was never made
_MAY_STILL_COME: Final = timedelta(minutes=2)  # what a seller that said nothing did


class ClientGoneError(LookupError):
    """Nobody is left for whom the number was bought."""


async def buy_number(request: ApiRequest[NewNumber]) -> Answer:
    services = request.services
    client = await find_client(services.database.settings, request.agency_id, request.body.client_id)
    if client is None:
        raise invalid("client_id", "must be the id of a client of this agency")
    order = await _read_order(request, client)
    made = await _answer_made(request, order)
    if made is not None:
        return made
    shop = _open_shop(services, order.carrier)
    purchase, bought = await _resume(services, shop, order) or await _begin(services, shop, order)
    return await _record(request, shop, purchase, bought)


async def finish_open_purchases(services: ApiServices) -> None:
    """Those that somebody left half way. Raises nothing about a single one: its turn comes again."""
    for purchase in await lease_open_purchases(services.database.settings, services.clock()):
        shop = _open_shop(services, purchase.carrier)
        try:
            bought = await shop.find(purchase)
            if bought is not None:
                await _record_by_itself(services, shop, purchase, bought)
            elif services.clock() - purchase.created_at > _LOOKED_FOR:
                await fail_purchase(services.database.settings, purchase.id, "never_made")
        except ProviderError:
            continue
        except Problem:  # nobody can tell, or open the account: until it is too late to matter
            if services.clock() - purchase.created_at > _LOOKED_FOR:
                await fail_purchase(services.database.settings, purchase.id, "unknown")


async def _read_order(request: ApiRequest[NewNumber], client: Client) -> Order:
    body = request.body
    carrier = body.carrier or await _choose_carrier(request.services, request.agency_id)
    return Order(client, carrier, body.country or "", body.area_code, body.e164, _claim_of(request))


def _claim_of(request: ApiRequest[NewNumber]) -> str | None:
    """A purchase outlives the right to do an Idempotency-Key's work, and is known by it all the same."""
    claim = request.claim
    return None if claim is None else hashlib.sha256(f"{claim.scope}\n{claim.key}".encode()).hexdigest()


async def _answer_made(request: ApiRequest[NewNumber], order: Order) -> Answer | None:
    """What was bought for this request, and recorded by the clock before it was asked again. Raises Problem."""
    async with request.changes() as changes:
        e164 = await take_made(
            changes.connection,
            request.services.clock(),
            agency_id=order.client.agency_id,
            client_id=order.client.id,
            carrier=order.carrier,
            country=order.country,
            area_code=order.area_code,
            wanted=order.wanted,
            claim=order.claim,
        )
        if e164 is None:
            return None
        number = await find_number(changes.connection, order.client.agency_id, e164)
        if number is None:
            raise Problem("conflict", f"{e164} was bought for this request, and has been deleted since.")
        return changes.answer(201, NumberReply.model_validate(number))


async def _choose_carrier(services: ApiServices, agency_id: str) -> str:
    """The carrier where there is an account for it; else the active provider, if that sells numbers itself."""
    pool = services.database.settings
    if services.platform_account is not None or await find_key_in_use(pool, agency_id, CARRIER) is not None:
        return CARRIER
    agency = await find_agency(pool, agency_id)
    host = services.number_hosts.get(agency.active_provider or "") if agency else None
    return agency.active_provider or CARRIER if agency and host and host.sells_in else CARRIER


def _open_shop(services: ApiServices, carrier: str) -> Shop:
    return CarrierShop(services) if carrier == CARRIER else NativeShop(services, carrier)


async def _resume(services: ApiServices, shop: Shop, order: Order) -> tuple[Purchase, Bought] | None:
    """A second try of a purchase of which nobody knows whether it was made. Raises Problem."""
    now = services.clock()
    purchase = await lease_like(
        services.database.settings,
        now,
        agency_id=order.client.agency_id,
        client_id=order.client.id,
        carrier=order.carrier,
        country=order.country,
        area_code=order.area_code,
        wanted=order.wanted,
        claim=order.claim,
    )
    if purchase is None:
        return None
    try:
        bought = await shop.find(purchase)
    except ProviderError as error:
        await release_purchase(services.database.settings, purchase.id, now)
        raise explain(services, purchase.account_sid, purchase.carrier, error) from None
    except Problem:
        await release_purchase(services.database.settings, purchase.id, now)
        raise
    if bought is not None:
        return purchase, bought
    if purchase.wanted is None and now - purchase.created_at < _MAY_STILL_COME:
        await release_purchase(services.database.settings, purchase.id, now)
        raise unclear(purchase.carrier)
    return purchase, await _make(services, shop, purchase)


async def _begin(services: ApiServices, shop: Shop, order: Order) -> tuple[Purchase, Bought]:
    """Raises Problem."""
    try:
        purchase = replace(await shop.plan(order, services.new_id("purchase")), claim=order.claim)
    except ProviderError as error:
        platform = services.platform_account
        raise explain(services, platform.sid if platform else "", order.carrier, error) from None
    if not await insert_purchase(services.database.settings, purchase):
        label = particulars_of(order.carrier).label
        raise Problem(
            "conflict",
            f"Another purchase at {label} is still being made or looked for. Try again in a few minutes.",
            headers={"Retry-After": "120"},
        )
    return purchase, await _make(services, shop, purchase)


async def _make(services: ApiServices, shop: Shop, purchase: Purchase) -> Bought:
    """Raises Problem; where nobody knows whether it was made, it stays open."""
    pool = services.database.settings
    try:
        return await shop.make(purchase)
    except ProviderError as error:
        if error.kind not in UNCLEAR:
            await fail_purchase(pool, purchase.id, error.kind.value)
            raise explain(services, purchase.account_sid, purchase.carrier, error) from None
    except Problem:
        await fail_purchase(pool, purchase.id, "refused")
        raise
    bought = await _look(services, shop, purchase)
    if bought is None:
        await release_purchase(pool, purchase.id, services.clock())
        raise unclear(purchase.carrier)
    return bought


async def _look(services: ApiServices, shop: Shop, purchase: Purchase) -> Bought | None:
    """None also if that cannot be told now."""
    current = await find_purchase(services.database.settings, purchase.id)
    try:
        return await shop.find(current or purchase)
    except (ProviderError, Problem):
        return None


async def _record(request: ApiRequest[NewNumber], shop: Shop, purchase: Purchase, bought: Bought) -> Answer:
    services = request.services
    try:
        async with request.changes() as changes:
            if await _insert(services, changes.connection, shop, purchase, bought, told=True):
                await changes.record("number.bought", bought.e164)
            else:
                await note_told(changes.connection, purchase.id)
            number = await find_number(changes.connection, purchase.agency_id, bought.e164)
            if number is None:
                raise Problem("conflict", "The number was deleted while it was being set up.")
            answer = changes.answer(201, NumberReply.model_validate(number))
    except ClientGoneError:
        await _give_back(services, shop, purchase, bought)
        raise invalid("client_id", "must be the id of a client of this agency") from None
    _tell(purchase, bought)
    return answer


async def _record_by_itself(services: ApiServices, shop: Shop, purchase: Purchase, bought: Bought) -> None:
    """As nobody waits for it: for a request that never came back."""
    pool = services.database.settings
    try:
        async with pool.acquire() as connection, connection.transaction():
            if not await _insert(services, connection, shop, purchase, bought, told=False):
                return
            entry = AuditEntry(
                services.new_id("audit"), services.clock(), "callrouter", "number.bought", bought.e164, None
            )
            await insert_audit_entry(connection, purchase.agency_id, entry)
    except ClientGoneError:
        await _give_back(services, shop, purchase, bought)
        return
    _tell(purchase, bought)


async def _insert(
    services: ApiServices, connection: Connection, shop: Shop, purchase: Purchase, bought: Bought, *, told: bool
) -> bool:
    """False: somebody else has recorded it. Raises ClientGoneError."""
    await lock_agency(connection, purchase.agency_id)
    client = await lock_client(connection, purchase.agency_id, purchase.client_id)
    if client is None:
        raise ClientGoneError
    if not await finish_purchase(connection, purchase.id, bought.e164, told=told):
        return False
    await claim_number(connection, shop.describe(purchase, bought, client))
    await after_new_number(connection, services, client)
    return True


async def _give_back(services: ApiServices, shop: Shop, purchase: Purchase, bought: Bought) -> None:
    """The purchase stays open while it cannot be: the clock tries again."""
    try:
        await shop.give_back(purchase, bought)
    except (ProviderError, Problem):
        return
    await fail_purchase(services.database.settings, purchase.id, "client_gone")


def _tell(purchase: Purchase, bought: Bought) -> None:
    emit(
        "number.bought",
        agency_id=purchase.agency_id,
        client_id=purchase.client_id,
        number=bought.e164,
        carrier=purchase.carrier,
    )
