"""Buying a number, and finishing what was left half way.

The purchase is written down before it is made, and looked for before it is tried again, whether the same request comes
once more or the clock finds it. What was paid for is recorded, or given back if its client is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from adapters.base import ProviderError
from router.accounts import CARRIER, Accounts
from router.errors import ConflictError, DomainError, InvalidError
from router.ids import new_id
from router.numbers.sale_refusals import UNCLEAR, explain_sale, explain_unclear
from router.numbers.shops import Bought, Shop, Shops
from router.store.changes import OURSELVES, Author, Changes
from router.store.keys.versions import find_key_in_use
from router.store.numbers.numbers import Number, claim_number, find_number
from router.store.numbers.purchases import (
    Order,
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
from router.store.tenants.clients import find_client, lock_client
from router.telemetry import emit
from router.wanted import WantedAssistants

_LOOKED_FOR: Final = timedelta(minutes=10)  # then it was never made
_MAY_STILL_COME: Final = timedelta(minutes=2)  # what a seller that said nothing did


class ClientGoneError(LookupError):
    """The client for which the number was bought does not exist any more."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What an agency wants to buy. `carrier` None: chosen by us. `e164`: one of those that are available."""

    client_id: str
    carrier: str | None
    country: str
    area_code: str | None
    e164: str | None


@dataclass(frozen=True, slots=True)
class Purchases:
    """Buys numbers for agencies."""

    changes: Changes
    accounts: Accounts
    shops: Shops
    wanted: WantedAssistants

    async def buy(self, agency_id: str, wish: Wish, author: Author) -> Number:
        """Raises DomainError."""
        client = await find_client(self.changes.database.settings, agency_id, wish.client_id)
        if client is None:
            raise _no_client()
        carrier = wish.carrier or await self._choose_carrier(agency_id)
        order = Order(client, carrier, wish.country, wish.area_code, wish.e164, author.claim)
        made = await self._find_made(order, author)
        if made is not None:
            return made
        shop = self.shops.open(order.carrier)
        purchase, bought = await self._resume(shop, order) or await self._begin(shop, order)
        return await self._record(shop, purchase, bought, author)

    async def finish_open(self) -> None:
        """Those that were left half way. Raises nothing about a single one: its turn comes again."""
        pool, clock = self.changes.database.settings, self.changes.clock
        for purchase in await lease_open_purchases(pool, clock()):
            shop = self.shops.open(purchase.carrier)
            try:
                bought = await shop.find(purchase)
                if bought is not None:
                    await self._record_by_itself(shop, purchase, bought)
                elif clock() - purchase.created_at > _LOOKED_FOR:
                    await fail_purchase(pool, purchase.id, "never_made")
            except ProviderError:
                continue
            except DomainError:  # it cannot be told, or the account not be opened: until it is too late to matter
                if clock() - purchase.created_at > _LOOKED_FOR:
                    await fail_purchase(pool, purchase.id, "unknown")

    async def _choose_carrier(self, agency_id: str) -> str:
        """The carrier where there is an account for it; else the active provider, if that sells numbers itself."""
        pool = self.changes.database.settings
        if self.accounts.platform is not None or await find_key_in_use(pool, agency_id, CARRIER) is not None:
            return CARRIER
        agency = await find_agency(pool, agency_id)
        active = (agency.active_provider if agency else None) or CARRIER
        return active if active in self.shops.native else CARRIER

    async def _find_made(self, order: Order, author: Author) -> Number | None:
        """What was bought for this request, and recorded by the clock before it was asked again."""
        agency_id = order.client.agency_id
        async with self.changes.begin(author, agency_id) as change:
            e164 = await take_made(change.connection, self.changes.clock(), order)
            if e164 is None:
                return None
            number = await find_number(change.connection, agency_id, e164)
            if number is None:
                raise ConflictError(f"{e164} was bought for this request, and has been deleted since.")
            return change.done(number)

    async def _resume(self, shop: Shop, order: Order) -> tuple[Purchase, Bought] | None:
        """A second try of a purchase of which it is not known whether it was made."""
        pool, now = self.changes.database.settings, self.changes.clock()
        purchase = await lease_like(pool, now, order)
        if purchase is None:
            return None
        try:
            bought = await shop.find(purchase)
        except ProviderError as error:
            await release_purchase(pool, purchase.id, now)
            raise self._explain(purchase, error) from None
        except DomainError:
            await release_purchase(pool, purchase.id, now)
            raise
        if bought is not None:
            return purchase, bought
        if purchase.wanted is None and now - purchase.created_at < _MAY_STILL_COME:
            await release_purchase(pool, purchase.id, now)
            raise explain_unclear(self.shops.providers.label(purchase.carrier))
        return purchase, await self._make(shop, purchase)

    async def _begin(self, shop: Shop, order: Order) -> tuple[Purchase, Bought]:
        try:
            purchase = replace(await shop.plan(order, new_id("purchase")), claim=order.claim)
        except ProviderError as error:
            platform_pays = order.carrier == CARRIER and self.accounts.platform is not None
            about = self.shops.providers.about(order.carrier)
            raise explain_sale(about, error, platform_pays=platform_pays) from None
        if not await insert_purchase(self.changes.database.settings, purchase):
            label = self.shops.providers.label(order.carrier)
            raise ConflictError(
                f"Another purchase at {label} is still being made or looked for. Try again in a few minutes.",
                retry_after=120,
            )
        return purchase, await self._make(shop, purchase)

    async def _make(self, shop: Shop, purchase: Purchase) -> Bought:
        """Where it is not known whether it was made, the purchase stays open."""
        pool = self.changes.database.settings
        try:
            return await shop.make(purchase)
        except ProviderError as error:
            if error.kind not in UNCLEAR:
                await fail_purchase(pool, purchase.id, error.kind.value)
                raise self._explain(purchase, error) from None
        except DomainError:
            await fail_purchase(pool, purchase.id, "refused")
            raise
        bought = await self._look(shop, purchase)
        if bought is None:
            await release_purchase(pool, purchase.id, self.changes.clock())
            raise explain_unclear(self.shops.providers.label(purchase.carrier))
        return bought

    async def _look(self, shop: Shop, purchase: Purchase) -> Bought | None:
        """None also if that cannot be told now."""
        current = await find_purchase(self.changes.database.settings, purchase.id)
        try:
            return await shop.find(current or purchase)
        except (ProviderError, DomainError):
            return None

    async def _record(self, shop: Shop, purchase: Purchase, bought: Bought, author: Author) -> Number:
        try:
            async with self.changes.begin(author, purchase.agency_id) as change:
                if await self._insert(change.connection, shop, purchase, bought, told=True):
                    await change.record("number.bought", bought.e164)
                else:
                    await note_told(change.connection, purchase.id)
                number = await find_number(change.connection, purchase.agency_id, bought.e164)
                if number is None:
                    raise ConflictError("The number was deleted while it was being set up.")
                change.done(number)
        except ClientGoneError:
            await self._give_back(shop, purchase, bought)
            raise _no_client() from None
        _tell(purchase, bought)
        return number

    async def _record_by_itself(self, shop: Shop, purchase: Purchase, bought: Bought) -> None:
        """For a request that never came back."""
        try:
            async with self.changes.begin(OURSELVES, purchase.agency_id) as change:
                if not await self._insert(change.connection, shop, purchase, bought, told=False):
                    return
                await change.record("number.bought", bought.e164)
        except ClientGoneError:
            await self._give_back(shop, purchase, bought)
            return
        _tell(purchase, bought)

    async def _insert(
        self, connection: Connection, shop: Shop, purchase: Purchase, bought: Bought, *, told: bool
    ) -> bool:
        """False: it is recorded already. Raises ClientGoneError."""
        await lock_agency(connection, purchase.agency_id)
        client = await lock_client(connection, purchase.agency_id, purchase.client_id)
        if client is None:
            raise ClientGoneError
        if not await finish_purchase(connection, purchase.id, bought.e164, told=told):
            return False
        await claim_number(connection, shop.describe(purchase, bought, client))
        await self.wanted.want_client(connection, client)
        return True

    async def _give_back(self, shop: Shop, purchase: Purchase, bought: Bought) -> None:
        """The purchase stays open while it cannot be: the clock tries again."""
        try:
            await shop.give_back(purchase, bought)
        except (ProviderError, DomainError):
            return
        await fail_purchase(self.changes.database.settings, purchase.id, "client_gone")

    def _explain(self, purchase: Purchase, error: ProviderError) -> DomainError:
        platform_pays = self.accounts.is_platform(purchase.account_sid)
        return explain_sale(self.shops.providers.about(purchase.carrier), error, platform_pays=platform_pays)


def _no_client() -> InvalidError:
    return InvalidError("client_id", "must be the id of a client of this agency")


def _tell(purchase: Purchase, bought: Bought) -> None:
    emit(
        "number.bought",
        agency_id=purchase.agency_id,
        client_id=purchase.client_id,
        number=bought.e164,
        carrier=purchase.carrier,
    )
