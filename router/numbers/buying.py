"""Buying a number, and finishing purchases that were interrupted.

A purchase is recorded before it is made, and looked for before it is tried again, by a repeated request or by the job
that finishes open purchases. A number that was paid for is recorded, or released if its client no longer exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Final

from adapters.base import ProviderError
from router.accounts import CARRIER, Accounts
from router.errors import ConflictError, DomainError, QuotaError, UnknownClientError
from router.ids import new_id
from router.numbers.shops import Bought, Shop, Shops, find_buyer
from router.refusals import UNCLEAR, explain_sale, explain_unclear
from router.store.changes import OURSELVES, Author, Changes
from router.store.numbers.numbers import Number, claim_number, find_number
from router.store.numbers.purchases import (
    Order,
    Purchase,
    fail_purchase,
    find_next_purchase,
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
from router.store.tenants.agencies import lock_agency
from router.store.tenants.clients import lock_client
from router.telemetry import emit
from router.wanted import WantedAssistants

_LOOKED_FOR: Final = timedelta(minutes=10)  # a purchase not found by then was never made
_MAY_STILL_COME: Final = timedelta(minutes=2)  # a number bought from a seller that did not answer


@dataclass(frozen=True, slots=True)
class Purchases:
    changes: Changes
    accounts: Accounts
    shops: Shops
    wanted: WantedAssistants
    purchases_per_day: int

    async def buy(self, order: Order, author: Author) -> Number:
        """Raises DomainError."""
        await find_buyer(self.changes.database.settings, order)
        made = await self._find_made(order, author)
        if made is not None:
            return made
        shop = self.shops.open(order.carrier)
        purchase, bought = await self._resume(shop, order) or await self._begin(shop, order, author)
        return await self._record(shop, purchase, bought, author)

    async def finish_open(self) -> None:
        """Finish interrupted purchases. Raises neither ProviderError nor DomainError: a failed one is tried again."""
        pool, clock = self.changes.database.settings, self.changes.clock
        for purchase in await lease_open_purchases(pool, clock()):
            shop = self.shops.open(purchase.carrier)
            too_old = clock() - purchase.created_at > _LOOKED_FOR
            try:
                bought = await shop.find(purchase)
                if bought is not None:
                    await self._record(shop, purchase, bought, None)
                elif too_old:
                    await fail_purchase(pool, purchase.id, "never_made")
            except (ProviderError, UnknownClientError):
                continue
            except DomainError:  # the seller cannot tell, or the account cannot be opened
                if too_old:
                    await fail_purchase(pool, purchase.id, "unknown")

    async def _find_made(self, order: Order, author: Author) -> Number | None:
        """What an earlier try of this request bought, and `finish_open` recorded."""
        async with self.changes.begin(author, order.agency_id) as change:
            e164 = await take_made(change.connection, self.changes.clock(), order)
            if e164 is None:
                return None
            number = await find_number(change.connection, order.agency_id, e164)
            if number is None:
                raise ConflictError(f"{e164} was bought for this request, and has been deleted since.")
            return change.done(number)

    async def _resume(self, shop: Shop, order: Order) -> tuple[Purchase, Bought] | None:
        """Try an open purchase of this order again, unless its number is found."""
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

    async def _begin(self, shop: Shop, order: Order, author: Author) -> tuple[Purchase, Bought]:
        await self._check_quota(self.changes.database.settings, order.agency_id, author)
        try:
            purchase = await shop.plan(order, new_id("purchase"))
        except ProviderError as error:
            platform_pays = order.carrier == CARRIER and self.accounts.platform is not None
            about = self.shops.providers.about(order.carrier)
            raise explain_sale(about, error, platform_pays=platform_pays) from None
        async with self.changes.begin(author, order.agency_id) as change:
            await lock_agency(change.connection, order.agency_id)
            await self._check_quota(change.connection, order.agency_id, author)
            is_only = await insert_purchase(change.connection, purchase)
        if not is_only:
            label = self.shops.providers.label(order.carrier)
            raise ConflictError(
                f"Another purchase at {label} is still being made or looked for. Try again in a few minutes.",
                retry_after=120,
            )
        return purchase, await self._make(shop, purchase)

    async def _check_quota(self, connection: Connection, agency_id: str, author: Author) -> None:
        """Only what is checked with the agency's row locked is certain. Raises QuotaError."""
        now = self.changes.clock()
        until = await find_next_purchase(connection, agency_id, now, self.purchases_per_day)
        if until is None or author.is_operator:
            return
        raise QuotaError(
            f"An agency may buy {self.purchases_per_day} numbers in 24 hours, and this one has. The operator can buy more for "
            "it, or raise the limit.",
            retry_after=ceil((until - now).total_seconds()),
        )

    async def _make(self, shop: Shop, purchase: Purchase) -> Bought:
        """While the outcome is unknown, the purchase stays open."""
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
        """None also if the seller cannot be asked now."""
        current = await find_purchase(self.changes.database.settings, purchase.id)
        try:
            return await shop.find(current or purchase)
        except (ProviderError, DomainError):
            return None

    async def _record(self, shop: Shop, purchase: Purchase, bought: Bought, buyer: Author | None) -> Number:
        """`buyer` None: no request waits for it. Raises UnknownClientError after the number has been given back."""
        try:
            async with self.changes.begin(buyer or OURSELVES, purchase.agency_id) as change:
                is_new = await self._insert(change.connection, shop, purchase, bought, told=buyer is not None)
                if is_new:
                    await change.record("number.bought", bought.e164)
                elif buyer is not None:
                    await note_told(change.connection, purchase.id)
                number = await find_number(change.connection, purchase.agency_id, bought.e164)
                if number is None:
                    raise ConflictError("The number was deleted while it was being set up.")
                change.done(number)
        except UnknownClientError:
            await self._give_back(shop, purchase, bought)
            raise
        if is_new:
            emit(
                "number.bought",
                agency_id=purchase.agency_id,
                client_id=purchase.client_id,
                number=bought.e164,
                carrier=purchase.carrier,
            )
        return number

    async def _insert(
        self, connection: Connection, shop: Shop, purchase: Purchase, bought: Bought, *, told: bool
    ) -> bool:
        """False: it is recorded already. Raises UnknownClientError."""
        await lock_agency(connection, purchase.agency_id)
        client = await lock_client(connection, purchase.agency_id, purchase.client_id)
        if client is None:
            raise UnknownClientError
        if not await finish_purchase(connection, purchase.id, bought.e164, told=told):
            return False
        await claim_number(connection, shop.describe(purchase, bought, client))
        await self.wanted.want_client(connection, client)
        return True

    async def _give_back(self, shop: Shop, purchase: Purchase, bought: Bought) -> None:
        """Until that succeeds the purchase stays open, and `finish_open` tries again."""
        try:
            await shop.give_back(purchase, bought)
        except (ProviderError, DomainError):
            return
        await fail_purchase(self.changes.database.settings, purchase.id, "client_gone")

    def _explain(self, purchase: Purchase, error: ProviderError) -> DomainError:
        platform_pays = self.accounts.is_platform(purchase.account_sid)
        return explain_sale(self.shops.providers.about(purchase.carrier), error, platform_pays=platform_pays)
