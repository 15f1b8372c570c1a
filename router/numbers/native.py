"""Buying from a voice provider itself. Only that provider answers calls to such a number; they never pass through us.

A provider takes a country and an area code, not a number, so a second purchase would buy another number. One that was
bought is recognised by our label or, where a number has none, because the account did not have it before: that is why
there is one purchase at a time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import phonenumbers

from adapters.base import ProviderError
from adapters.facets import NumberOrder, ShopFacet
from adapters.portable import Copy, NativeNumber, Wiring
from adapters.registry import Providers
from crypto import OpenError
from router.clock import Clock
from router.dialling import Dialling
from router.errors import ConflictError, InvalidError, NoKeyError
from router.numbers.provider_keys import OpenedKey, ProviderKeys
from router.numbers.shops import Bought, find_buyer
from router.refusals import explain_no_key
from router.store.assistants.copies import find_usable_copy
from router.store.numbers.numbers import Number, list_numbers_of_account
from router.store.numbers.purchases import Order, Purchase
from router.store.pool import Database
from router.store.tenants.clients import Client
from router.wanted import Wirings


@dataclass(frozen=True, slots=True)
class NativeShop:
    """A Shop."""

    provider: str
    natives: NativeNumbers
    clock: Clock

    async def plan(self, order: Order, purchase_id: str) -> Purchase:
        key, shop = await self._open(order.agency_id)
        if order.wanted is not None:
            raise InvalidError("e164", f"cannot be chosen at {self._label}: give a country and an area code")
        refusal = explain_not_sold(self._label, shop, order.country, order.area_code)
        if refusal is not None:
            raise refusal
        await self.natives.find_answering_copy(await self._find_buyer(order), self.provider)
        there = await shop.list_numbers(key.client)
        return Purchase(
            **asdict(order),
            id=purchase_id,
            account="provider",
            account_sid=self.provider,
            named=False,
            known=sorted(number.e164 for number in there),
            created_at=self.clock(),
        )

    async def make(self, purchase: Purchase) -> Bought:
        key, shop = await self._open(purchase.agency_id)
        client = await self._find_buyer(purchase)
        copy = await self.natives.find_answering_copy(client, self.provider)
        order = NumberOrder(
            country=purchase.country,
            area_code=purchase.area_code,
            label=purchase.label,
            copy=copy,
            wiring=self.natives.wire(key),
            fallback=self.natives.dialling.only(client.personal_phone),
        )
        bought = await shop.buy(key.client, order)
        return Bought(bought.e164, bought.remote_id, has_fallback=await _has_fallback(shop, key.client, bought, order))

    async def find(self, purchase: Purchase) -> Bought | None:
        key, shop = await self._open(purchase.agency_id)
        there = await shop.list_numbers(key.client)
        labelled = [number for number in there if number.label == purchase.label]
        if labelled:
            return Bought(labelled[0].e164, labelled[0].remote_id, has_fallback=not shop.sets_fallback_later)
        if shop.labels_purchases:
            return None
        pool = self.natives.database.settings
        known = {*purchase.known, *await list_numbers_of_account(pool, self.provider)}
        new = [number for number in there if number.e164 not in known and _fits(number, purchase)]
        if len(new) > 1:
            raise ConflictError(
                f"Several new numbers are at {self._label}, and none is marked as bought here: check there, and "
                "release those that are not needed.",
            )
        return Bought(new[0].e164, new[0].remote_id, has_fallback=not shop.sets_fallback_later) if new else None

    async def give_back(self, purchase: Purchase, bought: Bought) -> None:
        key, shop = await self._open(purchase.agency_id)
        await shop.release(key.client, NativeNumber(bought.e164, bought.remote_id))

    def describe(self, purchase: Purchase, bought: Bought, client: Client) -> Number:
        return Number(
            account_sid=self.provider,
            e164=bought.e164,
            agency_id=purchase.agency_id,
            client_id=client.id,
            carrier=self.provider,
            account="provider",
            number_sid=bought.remote_id,
            voice_url="",
            fallback_url="",
            status_url="",
            state="active",
            fallback_state="ok" if bought.has_fallback else "stale",
            created_at=self.clock(),
            bought=True,
        )

    @property
    def _label(self) -> str:
        return self.natives.providers.label(self.provider)

    async def _find_buyer(self, order: Order) -> Client:
        return await find_buyer(self.natives.database.settings, order)

    async def _open(self, agency_id: str) -> tuple[OpenedKey, ShopFacet[Any]]:
        return await self.natives.open_shop(agency_id, self.provider)


@dataclass(frozen=True, slots=True)
class NativeNumbers:
    database: Database
    providers: Providers
    provider_keys: ProviderKeys
    wirings: Wirings
    dialling: Dialling

    async def open_shop(self, agency_id: str, provider: str) -> tuple[OpenedKey, ShopFacet[Any]]:
        """Raises NoKeyError."""
        key = await self.provider_keys.open(agency_id, provider)
        if key is None or key.provider.shop is None:
            raise explain_no_key(provider, self.providers.label(provider))
        return key, key.provider.shop

    async def find_answering_copy(self, client: Client, provider: str) -> Copy | None:
        """The assistant that answers a native number. None where it is put on the number afterwards.

        Raises ConflictError if the client has none: callers would hear nothing.
        """
        assistants = self.providers[provider].assistants
        copy = await find_usable_copy(self.database.settings, client.agency_id, client.id, provider)
        if copy is not None and copy.remote_id is not None:
            return copy
        if assistants is not None and assistants.lives_on_numbers and client.assistant is not None:
            return copy
        label = self.providers.label(provider)
        raise ConflictError(
            f"Only an assistant at {label} can answer a number bought from {label}, and the client has none there yet: "
            "create one and wait until it has synced, or buy the number from Twilio.",
        )

    async def assign(self, number: Number, client: Client) -> None:
        """Let this client's assistant answer from now on. Raises DomainError, ProviderError."""
        key, shop = await self.open_shop(number.agency_id, number.carrier)
        copy = await self.find_answering_copy(client, number.carrier)
        there = NativeNumber(number.e164, number.number_sid)
        fallback = self.dialling.only(client.personal_phone)
        await shop.assign(key.client, there, copy, self.wire(key), fallback)

    def wire(self, key: OpenedKey) -> Wiring:
        """Raises NoKeyError for a webhook address that no longer opens: saving the key again makes a new one."""
        try:
            return self.wirings.make(key.stored)
        except OpenError:
            raise NoKeyError(
                f"The {key.provider.label} key's webhook address can no longer be read: save the key again."
            ) from None


def explain_not_sold(label: str, shop: ShopFacet[Any], country: str, area_code: str | None) -> InvalidError | None:
    """None if it sells such numbers."""
    if country not in shop.sells_in:
        return InvalidError("country", f"{label} sells numbers only in {' and '.join(shop.sells_in)}, not in {country}")
    if area_code and country not in shop.area_codes_in:
        places = " and ".join(shop.area_codes_in) or "no country"
        return InvalidError("area_code", f"{label} lets you choose an area code in {places}, not in {country}")
    return None


async def _has_fallback(shop: ShopFacet[Any], client: Any, bought: NativeNumber, order: NumberOrder) -> bool:
    """Whether the number has its fallback number now. If not, a job sets it: the purchase itself has succeeded."""
    if shop.sets_fallback_later and order.fallback is not None:
        try:
            await shop.assign(client, bought, order.copy, order.wiring, order.fallback)
        except ProviderError:
            return False
    return True


def _fits(number: NativeNumber, purchase: Purchase) -> bool:
    beginning = f"+{phonenumbers.country_code_for_region(purchase.country)}{purchase.area_code or ''}"
    return number.e164.startswith(beginning)
