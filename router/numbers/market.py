"""What could be bought, and from whom: /v1/agencies/{agency}/numbers/available. Buys nothing, and makes no account."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from adapters.base import ProviderError
from router.api.models import AvailableList, AvailableReply, NotSoldReply
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.problems import invalid
from router.numbers.carrier_shop import find_search_account, needs_papers, no_account, search
from router.numbers.native_shop import no_key, not_sold_in
from router.numbers.refusals import explain
from router.particulars import particulars_of
from router.services import CARRIER
from router.store.keys.versions import find_key_in_use

_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_AREA_CODE: Final = re.compile(r"[0-9]{1,6}")


@dataclass(slots=True)
class _Market:
    """What was found so far."""

    items: list[AvailableReply] = field(default_factory=list)
    not_sold: list[NotSoldReply] = field(default_factory=list)

    def refuse(self, carrier: str, reason: str) -> None:
        self.not_sold.append(NotSoldReply(carrier=carrier, reason=f"{reason.rstrip('.')}."))


def market_endpoint() -> Endpoint:
    return Endpoint(
        "GET",
        "/v1/agencies/{agency}/numbers/available",
        "Show which numbers could be bought, and from whom",
        show_available,
        reply=AvailableList,
        query=("country", "area_code"),
        description="`not_sold` says for everybody else why not. A voice provider takes a country and an area code and "
        "chooses the number itself: `e164` is null there.",
    )


async def show_available(request: ApiRequest[None]) -> Answer:
    country, area_code = _read_query(request.query)
    market = _Market()
    await _look_at_carrier(request, market, country, area_code)
    for provider, host in request.services.number_hosts.items():
        label = particulars_of(provider).label
        if not host.sells_in:
            market.refuse(provider, f"{label} sells no numbers here: buy one from Twilio, and {label} takes its calls")
        elif country not in host.sells_in:
            market.refuse(provider, not_sold_in(label, country, host.sells_in))
        elif await find_key_in_use(request.services.database.settings, request.agency_id, provider) is None:
            market.refuse(provider, no_key(provider).detail)
        else:
            market.items.append(
                AvailableReply(carrier=provider, country=country, e164=None, locality=None, region=None)
            )
    return Answer.of(200, AvailableList(items=market.items, not_sold=market.not_sold, next_cursor=None))


async def _look_at_carrier(request: ApiRequest[None], market: _Market, country: str, area_code: str | None) -> None:
    services = request.services
    found = await find_search_account(services, request.agency_id)
    if found is None:
        market.refuse(CARRIER, no_account().detail)
        return
    account, whose = found
    try:
        offers = await search(services, account, country, area_code)
    except ProviderError as error:
        market.refuse(CARRIER, explain(services, account.sid, CARRIER, error).detail)
        return
    fitting = [offer for offer in offers if whose == "agency" or offer.needs_address == "none"]
    if not offers:
        place = f"{country}, area code {area_code}" if area_code else country
        market.refuse(CARRIER, f"Twilio has no number for sale in {place} now")
    elif not fitting:
        market.refuse(CARRIER, needs_papers(country))
    market.items += [
        AvailableReply(
            carrier=CARRIER, country=offer.country, e164=offer.e164, locality=offer.locality, region=offer.region
        )
        for offer in fitting
    ]


def _read_query(query: Mapping[str, str]) -> tuple[str, str | None]:
    """Raises Problem."""
    country, area_code = query.get("country", ""), query.get("area_code") or None
    if not _COUNTRY.fullmatch(country):
        raise invalid("country", "is required: two capital letters, such as US (ISO 3166-1)")
    if area_code is not None and not _AREA_CODE.fullmatch(area_code):
        raise invalid("area_code", "must be up to six digits, without a leading zero")
    return country, area_code
