"""The numbers that Twilio's stand-in has for sale, always the same ones, and what it asks for them.

The numbers are those that regulators keep for films. Source: Twilio docs, AvailablePhoneNumber resources.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from adapters.sandbox.api import Json


@dataclass(frozen=True, slots=True)
class Shelf:
    """A hundred numbers in a row. `price` in US dollars a month, the first of which is paid at once."""

    country: str
    kind: str  # as in addresses: Local, Mobile, National, TollFree
    beginning: str  # E.164 but for the last two digits
    locality: str | None = None
    region: str | None = None
    address: str = "none"  # none, any, local, foreign
    bundle: bool = False  # whether a regulatory bundle is required as well
    price: float = 1.15

    def __iter__(self) -> Iterator[str]:
        return (f"{self.beginning}{number:02d}" for number in range(100))


COUNTRIES: Final = {
    "AU": "Australia",
    "CA": "Canada",
    "DE": "Germany",
    "FR": "France",
    "GB": "United Kingdom",
    "LT": "Lithuania",
    "US": "United States",
}
SHELVES: Final = (
    Shelf("US", "Local", "+121255501", "New York", "NY"),
    Shelf("US", "Local", "+141555501", "San Francisco", "CA"),
    Shelf("US", "Local", "+151255501", "Austin", "TX"),
    Shelf("US", "TollFree", "+180055501", price=2.15),
    Shelf("CA", "Local", "+141655501", "Toronto", "ON"),
    Shelf("CA", "Local", "+160455501", "Vancouver", "BC"),
    Shelf("GB", "Local", "+4420794600", "London", address="any", bundle=True),
    Shelf("GB", "Local", "+4416149600", "Manchester", address="any", bundle=True),
    Shelf("GB", "Mobile", "+4477009001", address="any", bundle=True),
    Shelf("DE", "Local", "+4930231250", "Berlin", address="local"),
    Shelf("DE", "Local", "+4989999980", "München", address="local"),
    Shelf("AU", "Local", "+612701001", "Sydney", address="any", price=3.0),
    Shelf("AU", "Mobile", "+614915701", address="any", price=6.5),
    Shelf("FR", "National", "+331990001", address="none"),
    Shelf("LT", "Mobile", "+3706000001", address="none"),
)
_SUBRESOURCES: Final = {"Local": "local", "Mobile": "mobile", "National": "national", "TollFree": "toll_free"}


def shelf_of(e164: str) -> Shelf | None:
    return next((shelf for shelf in SHELVES if e164 in set(shelf)), None)


def describe_country(home: str, country: str) -> Json:
    uri = f"{home}/AvailablePhoneNumbers/{country}"
    kinds = [kind for kind in _SUBRESOURCES if any(s.country == country and s.kind == kind for s in SHELVES)]
    return {
        "country_code": country,
        "country": COUNTRIES[country],
        "uri": f"{uri}.json",
        "beta": False,
        "subresource_uris": {_SUBRESOURCES[kind]: f"{uri}/{kind}.json" for kind in kinds},
    }


def is_wanted(e164: str, query: dict[str, str]) -> bool:
    """Whether a number meets AreaCode (North America only) and Contains, in which an asterisk is any digit."""
    area_code, pattern = query.get("AreaCode"), query.get("Contains")
    if area_code and e164.startswith("+1") and not e164.startswith(f"+1{area_code}"):
        return False
    return not pattern or re.search(re.escape(pattern.lstrip("+")).replace(r"\*", r"\d"), e164) is not None


def describe_offer(shelf: Shelf, e164: str) -> Json:
    return {
        "friendly_name": e164,
        "phone_number": e164,
        "locality": shelf.locality,
        "region": shelf.region,
        **dict.fromkeys(("lata", "rate_center", "latitude", "longitude", "postal_code")),
        "iso_country": shelf.country,
        "address_requirements": shelf.address,
        "beta": False,
        "capabilities": {"voice": True, "SMS": True, "MMS": shelf.country in {"US", "CA"}},
    }
