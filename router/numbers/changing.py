"""Changing a number that an agency has: its client, its registration at a provider, and releasing it."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.base import ProviderError
from adapters.phone import is_e164
from router.dialling import Dialling
from router.errors import InvalidError, UnknownClientError, require
from router.numbers.configuration import FallbackUrls
from router.numbers.fallbacks import Fallbacks
from router.numbers.release import Release, forget_numbers
from router.refusals import explain_refusal
from router.store.changes import Author, Changes
from router.store.numbers.numbers import Number, find_number, has_number, move_number, want_fallback
from router.store.numbers.registrations import save_registration
from router.store.tenants.agencies import lock_agency
from router.store.tenants.clients import find_client, is_phone_of_a_person, lock_client
from router.wanted import WantedAssistants


@dataclass(frozen=True, slots=True)
class GivenRegistration:
    """The number at a provider that stands for ours. `mode`: how calls reach it, where there are several ways."""

    remote_id: str
    mode: str | None


@dataclass(frozen=True, slots=True)
class NumberChanges:
    changes: Changes
    fallback_urls: FallbackUrls
    fallbacks: Fallbacks
    release: Release
    wanted: WantedAssistants
    dialling: Dialling

    async def find(self, agency_id: str, e164: str) -> Number:
        """Raises NotFoundError."""
        return require(await find_number(self.changes.database.settings, agency_id, e164), "number")

    async def move(self, agency_id: str, e164: str, client_id: str, author: Author) -> Number:
        """To another client of the agency. Raises DomainError."""
        number = await self.find(agency_id, e164)
        if number.is_native:
            await self._assign_native(number, client_id)
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            client = await lock_client(change.connection, agency_id, client_id)
            if client is None:
                raise UnknownClientError
            await move_number(change.connection, agency_id, e164, client.id)
            if not number.is_native:
                url = self.fallback_urls.make(client, e164)
                await want_fallback(change.connection, agency_id, e164, url)
            await self.wanted.want_moved_number(change.connection, client, e164)
            await change.record("number.changed", e164)
        if not number.is_native:
            await self.fallbacks.rewrite([number])
        async with self.changes.begin(author, agency_id) as change:
            return change.done(require(await find_number(change.connection, agency_id, e164), "number"))

    async def let_go(self, agency_id: str, e164: str, author: Author) -> None:
        """Raises DomainError."""
        number = await self.find(agency_id, e164)
        await self.release.release_numbers([number])
        async with self.changes.begin(author, agency_id) as change:
            await forget_numbers(change.connection, [number])
            await change.record("number.deleted", e164)
            change.done(None)

    async def register(
        self, agency_id: str, e164: str, provider: str, given: GivenRegistration, author: Author
    ) -> GivenRegistration:
        """Save a registration that was made by hand. Raises DomainError."""
        if is_e164(given.remote_id):  # calls may be handed over by dialling it
            self.dialling.check("remote_id", given.remote_id)
        async with self.changes.begin(author, agency_id) as change:
            number = require(await find_number(change.connection, agency_id, e164), "number")
            if await has_number(change.connection, agency_id, given.remote_id):
                raise InvalidError("remote_id", "must be the provider's own number: this one would call us again")
            if await is_phone_of_a_person(change.connection, agency_id, given.remote_id):
                raise InvalidError(
                    "remote_id", "is the personal_phone or transfer_to of a client: calls would go in circles"
                )
            await save_registration(change.connection, agency_id, number.e164, provider, given.remote_id, given.mode)
            client = await find_client(change.connection, agency_id, number.client_id)
            if client is not None:
                await self.wanted.want_client(change.connection, client)
            await change.record("registration.saved", f"{number.e164}/{provider}")
            return change.done(given)

    async def _assign_native(self, number: Number, client_id: str) -> None:
        """The provider that sold the number has to agree first."""
        client = await find_client(self.changes.database.settings, number.agency_id, client_id)
        if client is None:
            raise UnknownClientError
        try:
            await self.fallbacks.natives.assign(number, client)
        except ProviderError as error:
            raise explain_refusal(self.fallbacks.natives.providers.about(number.carrier), error) from None
