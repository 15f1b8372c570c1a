"""Changing a number that an agency has: its client, its registration at a provider, and releasing it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from adapters.base import ProviderError
from adapters.phone import is_e164
from router.dialling import Dialling
from router.errors import InvalidError, UnknownClientError, require
from router.numbers.configuration import FallbackUrls
from router.numbers.fallbacks import Fallbacks
from router.numbers.provider_keys import ProviderKeys
from router.numbers.redirects import REDIRECT, Redirects
from router.numbers.release import Release, forget_numbers
from router.refusals import explain_refusal
from router.store.changes import Author, Changes
from router.store.numbers.checks import postpone_look
from router.store.numbers.numbers import Number, find_number, is_answered_here, move_number, want_fallback
from router.store.numbers.registrations import GivenRegistration, save_registration
from router.store.pool import Connection
from router.store.tenants.agencies import lock_agency
from router.store.tenants.clients import find_client, is_phone_of_a_person, lock_client
from router.wanted import WantedAssistants


@dataclass(frozen=True, slots=True)
class NumberChanges:
    changes: Changes
    fallback_urls: FallbackUrls
    fallbacks: Fallbacks
    release: Release
    wanted: WantedAssistants
    dialling: Dialling
    redirects: Redirects
    provider_keys: ProviderKeys

    async def find(self, agency_id: str, e164: str) -> Number:
        """Raises NotFoundError."""
        return require(await find_number(self.changes.database.settings, agency_id, e164), "number")

    async def move(self, agency_id: str, e164: str, client_id: str, author: Author) -> Number:
        """To another client of the agency. Raises DomainError."""
        number = await self.find(agency_id, e164)
        if number.is_native and not number.is_elsewhere:
            await self._assign_native(number, client_id)
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            client = await lock_client(change.connection, agency_id, client_id)
            if client is None:
                raise UnknownClientError
            await move_number(change.connection, agency_id, e164, client.id)
            if not number.is_native and not number.is_elsewhere:
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
        given = await self._check_mode(agency_id, e164, provider, given)
        if is_e164(given.remote_id):  # calls may be handed over by dialling it
            self.dialling.check("remote_id", given.remote_id)
        async with self.changes.begin(author, agency_id) as change:
            number = require(await find_number(change.connection, agency_id, e164), "number")
            await _refuse_loop(change.connection, number, given)
            if await is_phone_of_a_person(change.connection, agency_id, given.remote_id):
                raise InvalidError(
                    "remote_id", "is the personal_phone or transfer_to of a client: calls would go in circles"
                )
            given = await save_registration(change.connection, agency_id, number.e164, provider, given)
            if given.waits_for is not None:
                await postpone_look(change.connection, agency_id, number.e164, self.changes.clock())
            client = await find_client(change.connection, agency_id, number.client_id)
            if client is not None:
                await self.wanted.want_client(change.connection, client)
            await change.record("registration.saved", f"{number.e164}/{provider}")
            return change.done(given)

    async def _check_mode(
        self, agency_id: str, e164: str, provider: str, given: GivenRegistration
    ) -> GivenRegistration:
        """With the mode that suits the number if none is given. Raises InvalidError."""
        at = self.redirects.providers[provider]
        if at.imports is None or at.registration_form is None:
            return given
        its_own = given.remote_id == e164
        mode = given.mode or (REDIRECT if its_own else "number")
        if mode != REDIRECT:
            if mode == "sip":
                await self._require_attachment(agency_id, provider, given.remote_id)
            return replace(given, mode=mode)
        if not its_own:
            raise InvalidError(
                "remote_id", f"must be {e164} itself in mode redirect: calls go to the address that its import wrote"
            )
        wait, until = self.redirects.describe_wait(provider, e164), self.redirects.wait_until()
        return replace(given, mode=mode, waits_for=wait, waits_until=until)

    async def _require_attachment(self, agency_id: str, provider: str, remote_id: str) -> None:
        """Ask the provider, as far as there is a key. Raises InvalidError."""
        key = await self.provider_keys.open(agency_id, provider)
        if key is None or key.provider.imports is None:
            return
        attached = await key.provider.imports.is_attached(key.client, remote_id)
        label = key.provider.label
        if attached is None:
            raise InvalidError("mode", f"cannot be sip now: {label} does not say whether {remote_id} is attached")
        if not attached:
            raise InvalidError(
                "mode", f"must not be sip: {label} has {remote_id} attached to no SIP trunk; attach it, or use redirect"
            )

    async def _assign_native(self, number: Number, client_id: str) -> None:
        """The provider that sold the number has to agree first."""
        client = await find_client(self.changes.database.settings, number.agency_id, client_id)
        if client is None:
            raise UnknownClientError
        try:
            await self.fallbacks.natives.assign(number, client)
        except ProviderError as error:
            raise explain_refusal(self.fallbacks.natives.providers.about(number.carrier), error) from None


async def _refuse_loop(connection: Connection, number: Number, given: GivenRegistration) -> None:
    """Dialling a number of ours would call us again. By redirect and SIP, its own entry there takes the call."""
    by_itself = given.mode in (REDIRECT, "sip") and given.remote_id == number.e164
    if not by_itself and await is_answered_here(connection, number.agency_id, given.remote_id):
        raise InvalidError("remote_id", "must be the provider's own number: dialling this one would call us again")
