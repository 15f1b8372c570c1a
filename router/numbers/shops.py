"""What a purchase needs from a seller: the carrier (carrier_shop) or a voice provider (native)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from adapters.registry import Providers
from router.accounts import CARRIER
from router.errors import InvalidError, UnknownClientError
from router.store.numbers.numbers import Number
from router.store.numbers.purchases import Order, Purchase
from router.store.pool import Connection
from router.store.tenants.clients import Client, find_client


@dataclass(frozen=True, slots=True)
class Bought:
    """A number that is there, with its id at the seller, and the fallback address that the carrier has for it.

    `has_fallback`: a voice provider has been told the owner's phone.
    """

    e164: str
    remote_id: str
    fallback_url: str = field(default="", repr=False)
    has_fallback: bool = True


class Shop(Protocol):
    """A seller. What can be known before money is spent raises DomainError; the rest raises ProviderError."""

    async def plan(self, order: Order, purchase_id: str) -> Purchase:
        """The purchase as it will be made. Raises DomainError, ProviderError."""

    async def make(self, purchase: Purchase) -> Bought:
        """Spend the money, once. Raises DomainError, ProviderError."""

    async def find(self, purchase: Purchase) -> Bought | None:
        """The number, if it was bought. Raises DomainError where the seller cannot tell, ProviderError."""

    async def give_back(self, purchase: Purchase, bought: Bought) -> None:
        """Raises ProviderError."""

    def describe(self, purchase: Purchase, bought: Bought, client: Client) -> Number:
        """The number's row."""


@dataclass(frozen=True, slots=True)
class Shops:
    """`carrier` sells the carrier's numbers; `native` holds the voice providers that sell numbers, by name."""

    carrier: Shop
    native: Mapping[str, Shop]
    providers: Providers

    def open(self, seller: str) -> Shop:
        """Raises InvalidError for one that sells no numbers."""
        if seller == CARRIER:
            return self.carrier
        shop = self.native.get(seller)
        if shop is None:
            raise InvalidError("carrier", f"must be one of {', '.join((CARRIER, *self.native))}")
        return shop


async def find_buyer(connection: Connection, order: Order) -> Client:
    """The client that the number is for. Raises UnknownClientError."""
    client = await find_client(connection, order.agency_id, order.client_id)
    if client is None:
        raise UnknownClientError
    return client
