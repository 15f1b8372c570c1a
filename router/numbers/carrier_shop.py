"""Buying from the carrier: on the agency's own account if it has one, else on the platform's subaccount for it.

A number is bought by its E.164 form, so it cannot be bought twice, and one that carries our label was bought by us.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from adapters.carrier import Account, AvailableNumber, Carrier, NumberGone
from router.accounts import CARRIER, REQUEST_SECONDS, Accounts
from router.clock import Clock
from router.errors import ConflictError, InvalidError, NoKeyError, NotFoundError
from router.numbers.configuration import FallbackUrls
from router.numbers.shops import Bought, find_buyer
from router.numbers.subaccounts import NoPlatformAccountError, Subaccounts
from router.store.numbers.numbers import Number
from router.store.numbers.purchases import Order, Purchase, want_number
from router.store.pool import Database
from router.store.tenants.clients import Client

OFFERS: Final = 20
_OTHERS: Final = 2  # numbers that are tried when another buyer was faster


@dataclass(frozen=True, slots=True)
class CarrierShop:
    """A Shop."""

    database: Database
    accounts: Accounts
    subaccounts: Subaccounts
    carrier: Carrier
    fallback_urls: FallbackUrls
    clock: Clock

    async def find_account(self, agency_id: str) -> tuple[Account, Literal["platform", "agency"]] | None:
        """The account to search with. Searching does not require a subaccount."""
        own = await self.accounts.find_own(agency_id)
        if own is not None:
            return own, "agency"
        account = await self.accounts.find_subaccount(agency_id) or self.accounts.platform
        return None if account is None else (account, "platform")

    async def search(self, account: Account, country: str, area_code: str | None) -> list[AvailableNumber]:
        """Raises ProviderError."""
        return await self.carrier.search_numbers(account, country, area_code, OFFERS, REQUEST_SECONDS)

    async def plan(self, order: Order, purchase_id: str) -> Purchase:
        account, whose = await self._choose_account(order.agency_id)
        wanted = order.wanted or await self._choose_number(account, whose, order)
        return Purchase(
            **asdict(replace(order, wanted=wanted)),
            id=purchase_id,
            account=whose,
            account_sid=account.sid,
            named=order.wanted is not None,
            known=(),
            created_at=self.clock(),
        )

    async def make(self, purchase: Purchase) -> Bought:
        account, client = await self._open(purchase), await find_buyer(self.database.settings, purchase)
        wanted = purchase.wanted or ""
        for _ in range(_OTHERS):
            try:
                return await self._buy(account, client, purchase, wanted)
            except NumberGone:
                if there := await self._look(account, purchase, wanted):
                    return there
                other = None if purchase.named else await self._choose_other(account, purchase, wanted)
                if other is None:
                    raise
                wanted = other
                await want_number(self.database.settings, purchase.id, wanted)
        return await self._buy(account, client, purchase, wanted)

    async def find(self, purchase: Purchase) -> Bought | None:
        return await self._look(await self._open(purchase), purchase, purchase.wanted or "")

    async def give_back(self, purchase: Purchase, bought: Bought) -> None:
        await self.carrier.release_number(await self._open(purchase), bought.remote_id, REQUEST_SECONDS)

    def describe(self, purchase: Purchase, bought: Bought, client: Client) -> Number:
        """The carrier was given our addresses with the purchase; the client may have changed since."""
        current = self.fallback_urls.is_current(bought.fallback_url, client, bought.e164)
        return Number(
            account_sid=purchase.account_sid,
            e164=bought.e164,
            agency_id=purchase.agency_id,
            client_id=client.id,
            carrier=CARRIER,
            account=purchase.account,
            number_sid=bought.remote_id,
            voice_url=self.fallback_urls.addresses.voice,
            fallback_url=bought.fallback_url if current else self.fallback_urls.make(client, bought.e164),
            status_url=self.fallback_urls.addresses.status,
            state="active",
            fallback_state="ok" if current else "stale",
            created_at=self.clock(),
            bought=True,
        )

    async def _choose_account(self, agency_id: str) -> tuple[Account, Literal["platform", "agency"]]:
        own = await self.accounts.find_own(agency_id)
        if own is not None:
            return own, "agency"
        try:
            return await self.subaccounts.ensure(agency_id), "platform"
        except NoPlatformAccountError:
            raise no_account() from None
        except LookupError:
            raise NotFoundError("agency") from None

    async def _choose_number(self, account: Account, whose: str, order: Order) -> str:
        offers = await self.search(account, order.country, order.area_code)
        if not offers:
            raise _sold_out(order)
        fitting = [offer for offer in offers if offer.needs_address == "none"]
        if not fitting and whose == "platform":
            raise InvalidError("country", needs_papers(order.country))
        return (fitting or offers)[0].e164

    async def _choose_other(self, account: Account, purchase: Purchase, gone: str) -> str | None:
        """None if no similar number is left."""
        offers = await self.search(account, purchase.country, purchase.area_code)
        return next((offer.e164 for offer in offers if offer.e164 != gone and offer.needs_address == "none"), None)

    async def _buy(self, account: Account, client: Client, purchase: Purchase, e164: str) -> Bought:
        number = await self.carrier.buy_number(
            account,
            e164,
            voice_url=self.fallback_urls.addresses.voice,
            fallback_url=self.fallback_urls.make(client, e164),
            status_url=self.fallback_urls.addresses.status,
            friendly_name=purchase.label,
            limit=REQUEST_SECONDS,
        )
        return Bought(number.e164, number.sid, number.fallback_url)

    async def _look(self, account: Account, purchase: Purchase, e164: str) -> Bought | None:
        there = await self.carrier.find_number(account, e164, REQUEST_SECONDS)
        if there is None:
            return None
        if there.friendly_name != purchase.label:
            raise ConflictError(
                f"{e164} is already on that Twilio account: take it over with e164, client_id and account."
            )
        return Bought(there.e164, there.sid, there.fallback_url)

    async def _open(self, purchase: Purchase) -> Account:
        account = await self.accounts.open(purchase.agency_id, purchase.account_sid)
        if account is None:
            raise NoKeyError("The token of the Twilio account that was to buy the number is no longer saved here.")
        return account


def no_account() -> NoKeyError:
    return NoKeyError(
        "Neither the agency nor the platform has a Twilio account here: save a Twilio key, or buy from a provider that "
        "sells numbers itself.",
    )


def _sold_out(order: Order) -> InvalidError:
    place = f"{order.country}, area code {order.area_code}" if order.area_code else order.country
    field = "area_code" if order.area_code else "country"
    return InvalidError(field, f"Twilio has no number for sale in {place} now")


def needs_papers(country: str) -> str:
    return (
        f"Twilio sells numbers in {country} only to accounts with an address or a regulatory bundle on file: save the "
        "key of such a Twilio account"
    )
