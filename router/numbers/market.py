"""Which numbers are for sale, from which seller, and who sells one by default. Buys nothing and creates no account."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.base import ProviderError
from adapters.registry import Providers
from adapters.twilio import ABOUT
from router.accounts import CARRIER
from router.errors import require
from router.numbers.carrier_shop import CarrierShop, needs_papers, no_account
from router.numbers.native import explain_not_sold
from router.refusals import explain_no_key, explain_sale
from router.store.keys.versions import find_key_in_use
from router.store.pool import Database
from router.store.tenants.agencies import find_agency
from router.store.tenants.clients import find_client


@dataclass(frozen=True, slots=True)
class Available:
    """A number for sale. `e164` None: the seller chooses the number."""

    carrier: str
    country: str
    e164: str | None
    locality: str | None
    region: str | None


@dataclass(frozen=True, slots=True)
class NotSold:
    carrier: str
    reason: str


@dataclass(frozen=True, slots=True)
class Offers:
    """`default_carrier`: who sells a number if the request names no carrier."""

    default_carrier: str
    items: list[Available] = field(default_factory=list)
    not_sold: list[NotSold] = field(default_factory=list)

    def refuse(self, carrier: str, reason: str) -> None:
        self.not_sold.append(NotSold(carrier, f"{reason.rstrip('.')}."))


@dataclass(frozen=True, slots=True)
class Market:
    database: Database
    carrier_shop: CarrierShop
    providers: Providers

    async def choose_seller(
        self, agency_id: str, client_id: str | None, country: str, area_code: str | None, e164: str | None = None
    ) -> str:
        """Who sells the number if the request names no carrier. Only the carrier sells a chosen number, and only its
        numbers are answered by a client's own provider. Raises NotFoundError.
        """
        pool = self.database.settings
        agency = require(await find_agency(pool, agency_id), "agency")
        client = await find_client(pool, agency_id, client_id) if client_id else None
        if e164 is not None or (client is not None and client.provider not in (None, agency.active_provider)):
            return CARRIER
        provider = self.providers.get(agency.active_provider or "")
        if agency.numbers_from == "carrier" or provider is None or provider.shop is None:
            return CARRIER
        refusal = explain_not_sold(provider.label, provider.shop, country, area_code)
        return CARRIER if refusal is not None else provider.name

    async def look(self, agency_id: str, country: str, area_code: str | None, client_id: str | None = None) -> Offers:
        """`client_id`: for which client. Raises NotFoundError."""
        offers = Offers(await self.choose_seller(agency_id, client_id, country, area_code))
        await self._look_at_carrier(offers, agency_id, country, area_code)
        for provider, one in self.providers.items():
            label, shop = one.label, one.shop
            if shop is None:
                reason = f"{label} does not sell numbers: buy one from Twilio, and {label} takes its calls"
                offers.refuse(provider, reason)
            elif (refusal := explain_not_sold(label, shop, country, area_code)) is not None:
                offers.refuse(provider, refusal.message)
            elif await find_key_in_use(self.database.settings, agency_id, provider) is None:
                offers.refuse(provider, explain_no_key(provider, label).detail)
            else:
                offers.items.append(Available(provider, country, e164=None, locality=None, region=None))
        return offers

    async def _look_at_carrier(self, offers: Offers, agency_id: str, country: str, area_code: str | None) -> None:
        found = await self.carrier_shop.find_account(agency_id)
        if found is None:
            offers.refuse(CARRIER, no_account().detail)
            return
        account, whose = found
        try:
            there = await self.carrier_shop.search(account, country, area_code)
        except ProviderError as error:
            platform_pays = self.carrier_shop.accounts.is_platform(account.sid)
            offers.refuse(CARRIER, explain_sale(ABOUT, error, platform_pays=platform_pays).detail)
            return
        fitting = [one for one in there if whose == "agency" or one.needs_address == "none"]
        if not there:
            place = f"{country}, area code {area_code}" if area_code else country
            offers.refuse(CARRIER, f"Twilio has no number for sale in {place} now")
        elif not fitting:
            offers.refuse(CARRIER, needs_papers(country))
        offers.items.extend(Available(CARRIER, one.country, one.e164, one.locality, one.region) for one in fitting)
