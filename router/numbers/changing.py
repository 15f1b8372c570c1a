"""Giving a number to another client, and letting go of one."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.base import ProviderError
from router.errors import InvalidError, NotFoundError
from router.numbers.configuration import FallbackUrls
from router.numbers.fallbacks import Fallbacks
from router.numbers.release import Release, forget_numbers
from router.refusals import explain_refusal
from router.store.changes import Author, Changes
from router.store.numbers.numbers import Number, find_number, move_number, want_fallback
from router.store.tenants.agencies import lock_agency
from router.store.tenants.clients import find_client, lock_client
from router.wanted import WantedAssistants


@dataclass(frozen=True, slots=True)
class NumberChanges:
    """Changes what an agency has already."""

    changes: Changes
    fallback_urls: FallbackUrls
    fallbacks: Fallbacks
    release: Release
    wanted: WantedAssistants

    async def find(self, agency_id: str, e164: str) -> Number:
        """Raises NotFoundError."""
        number = await find_number(self.changes.database.settings, agency_id, e164)
        if number is None:
            raise NotFoundError("number")
        return number

    async def move(self, agency_id: str, e164: str, client_id: str, author: Author) -> Number:
        """To another client of the agency. Raises DomainError."""
        number = await self.find(agency_id, e164)
        if number.is_native:
            await self._assign_native(number, client_id)
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            client = await lock_client(change.connection, agency_id, client_id)
            if client is None:
                raise _no_client()
            await move_number(change.connection, agency_id, e164, client.id)
            if not number.is_native:
                url = self.fallback_urls.make(client, e164)
                await want_fallback(change.connection, agency_id, e164, url)
            await self.wanted.want_moved_number(change.connection, client, e164)
            await change.record("number.changed", e164)
        if not number.is_native:
            await self.fallbacks.rewrite([number])
        async with self.changes.begin(author, agency_id) as change:
            moved = await find_number(change.connection, agency_id, e164)
            if moved is None:
                raise NotFoundError("number")
            return change.done(moved)

    async def let_go(self, agency_id: str, e164: str, author: Author) -> None:
        """Raises DomainError."""
        number = await self.find(agency_id, e164)
        await self.release.release_numbers([number])
        async with self.changes.begin(author, agency_id) as change:
            await forget_numbers(change.connection, [number])
            await change.record("number.deleted", e164)
            change.done(None)

    async def _assign_native(self, number: Number, client_id: str) -> None:
        """A number of a provider's own: its provider has to agree first."""
        client = await find_client(self.changes.database.settings, number.agency_id, client_id)
        if client is None:
            raise _no_client()
        try:
            await self.fallbacks.natives.assign(number, client)
        except ProviderError as error:
            raise explain_refusal(self.fallbacks.natives.providers.about(number.carrier), error) from None


def _no_client() -> InvalidError:
    return InvalidError("client_id", "must be the id of a client of this agency")
