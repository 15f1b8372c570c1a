"""Registrations that an agency gives by hand: which number at a provider stands for this one."""

from __future__ import annotations

from dataclasses import dataclass

from router.errors import InvalidError, NotFoundError
from router.store.changes import Author, Changes
from router.store.numbers.numbers import find_number, is_our_number
from router.store.numbers.registrations import save_registration
from router.store.tenants.clients import find_client
from router.wanted import WantedAssistants


@dataclass(frozen=True, slots=True)
class GivenRegistration:
    """`mode`: how calls reach it, where there are several ways."""

    remote_id: str
    mode: str | None


@dataclass(frozen=True, slots=True)
class GivenRegistrations:
    """Saves them."""

    changes: Changes
    wanted: WantedAssistants

    async def save(
        self, agency_id: str, e164: str, provider: str, given: GivenRegistration, author: Author
    ) -> GivenRegistration:
        """Raises DomainError."""
        async with self.changes.begin(author, agency_id) as change:
            number = await find_number(change.connection, agency_id, e164)
            if number is None:
                raise NotFoundError("number")
            if await is_our_number(change.connection, given.remote_id):
                raise InvalidError(
                    "remote_id", "must be the provider's own number: this one is answered here, and would call us"
                )
            await save_registration(change.connection, agency_id, number.e164, provider, given.remote_id, given.mode)
            client = await find_client(change.connection, agency_id, number.client_id)
            if client is not None:
                await self.wanted.want_client(change.connection, client)
            await change.record("registration.saved", f"{number.e164}/{provider}")
            return change.done(given)
