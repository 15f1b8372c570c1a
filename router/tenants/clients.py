"""Creates, changes and deletes an agency's clients; a deleted client's numbers are released."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapters.phone import is_listed, is_possible
from router.definitions import RoutingSettings
from router.dialling import Dialling
from router.errors import InvalidError, require
from router.ids import new_id
from router.mail import Confirmations
from router.numbers.configuration import make_fallback
from router.numbers.fallbacks import Fallbacks
from router.numbers.release import Release, forget_numbers
from router.phones import NOT_A_PHONE, UNLISTED
from router.store.changes import Author, Changes
from router.store.numbers.numbers import list_numbers, reaches_an_assistant
from router.store.pool import Connection
from router.store.tenants.agencies import lock_agency
from router.store.tenants.clients import (
    Client,
    delete_client,
    find_client,
    insert_client,
    lock_client,
    update_client,
)
from router.wanted import WantedAssistants


@dataclass(frozen=True, slots=True)
class Clients:
    """`providers`: the voice providers in their order."""

    changes: Changes
    providers: Collection[str]
    wanted: WantedAssistants
    fallbacks: Fallbacks
    release: Release
    dialling: Dialling
    confirmations: Confirmations

    async def find(self, agency_id: str, client_id: str) -> Client:
        """Raises NotFoundError."""
        return require(await find_client(self.changes.database.settings, agency_id, client_id), "client")

    async def create(
        self, agency_id: str, fields: Mapping[str, Any], author: Author, *, accept_unlisted: bool = False
    ) -> Client:
        """`fields`: the client's settings by name, `routing` as RoutingSettings. Raises DomainError."""
        client = Client(id=new_id("client"), agency_id=agency_id, created_at=self.changes.clock(), **_store(fields))
        self._check(client)
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            await self._check_phones(change.connection, client, None, accept_unlisted=accept_unlisted)
            client = await self._enter_email(change.connection, client, author)
            await insert_client(change.connection, client)
            await self.wanted.want_client(change.connection, client)
            await change.record("client.created", client.id)
            return change.done(client)

    async def copy(
        self,
        agency_id: str,
        client_id: str,
        fields: Mapping[str, Any],
        author: Author,
        *,
        accept_unlisted: bool = False,
    ) -> Client:
        """A new client with the settings and the assistant of this one. `fields`: its own name, phones and email address,
        which are those of other people. Raises DomainError.
        """
        model = await self.find(agency_id, client_id)
        own = dict(fields)
        transfer_to = own.pop("transfer_to", None)
        assistant = None
        if model.assistant is not None:
            assistant = {name: value for name, value in model.assistant.items() if name != "transfer_to"}
            assistant |= {"transfer_to": transfer_to} if transfer_to else {}
        elif transfer_to:
            raise InvalidError("transfer_to", "is for a client that has an assistant")
        same = {
            "provider": model.provider,
            "caller_id": model.caller_id,
            "routing": RoutingSettings.model_validate(model.routing),
            "assistant": assistant,
        }
        try:
            return await self.create(agency_id, own | same, author, accept_unlisted=accept_unlisted)
        except InvalidError as error:
            raise InvalidError(error.field.removeprefix("assistant."), error.message) from None

    async def change(
        self,
        agency_id: str,
        client_id: str,
        fields: Mapping[str, Any],
        author: Author,
        *,
        accept_unlisted: bool = False,
    ) -> Client:
        """`fields`: those to be changed; a routing or an assistant is replaced as a whole. Raises DomainError."""
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            client = require(await lock_client(change.connection, agency_id, client_id), "client")
            changed = replace(client, **_store(fields))
            self._check(changed)
            await self._check_phones(change.connection, changed, client, accept_unlisted=accept_unlisted)
            if "notify_email" in fields:
                changed = await self._enter_email(change.connection, changed, author)
            if changed.notify_email != client.notify_email:
                changed = replace(changed, notify_email_problem=None)
            await update_client(change.connection, changed)
            await self.wanted.want_client(change.connection, changed)
            if _has_another_fallback(client, changed):
                await self.fallbacks.note_stale(change.connection, changed)
            numbers = await list_numbers(change.connection, agency_id, client_id=client.id)
            await change.record("client.changed", client.id)
            change.done(changed)
        await self.fallbacks.rewrite([number for number in numbers if number.fallback_state == "stale"])
        return changed

    async def send_link(self, agency_id: str, client_id: str, author: Author) -> str:
        """Ask `notify_email` again to confirm; returns the address. Raises DomainError."""
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            client = require(await lock_client(change.connection, agency_id, client_id), "client")
            return change.done(await self.confirmations.send_again(change, agency_id, client.notify_email))

    async def delete(self, agency_id: str, client_id: str, author: Author) -> None:
        """Its numbers are released first. Raises DomainError."""
        numbers = await list_numbers(self.changes.database.settings, agency_id, client_id=client_id)
        await self.release.release_numbers(numbers)
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            client = require(await lock_client(change.connection, agency_id, client_id), "client")
            await forget_numbers(change.connection, numbers)
            await self.wanted.leave_client(change.connection, agency_id, client.id)
            await delete_client(change.connection, agency_id, client.id)
            await change.record("client.deleted", client_id)
            change.done(None)

    async def _enter_email(self, connection: Connection, client: Client, author: Author) -> Client:
        confirmed = await self.confirmations.enter(connection, client.agency_id, client.notify_email, author)
        return replace(client, notify_email_confirmed=confirmed)

    def _check(self, client: Client) -> None:
        known = ", ".join(self.providers)
        if client.provider is not None and client.provider not in self.providers:
            raise InvalidError("provider", f"must be one of {known}, or null")
        if any(provider not in self.providers for provider in (client.assistant or {}).get("voice") or ()):
            raise InvalidError("assistant.voice", f"may only contain {known}")
        rings = RoutingSettings.model_validate(client.routing).rings
        if rings and client.personal_phone is None:
            raise InvalidError("personal_phone", f"is required when {rings} rings the owner")

    async def _check_phones(
        self, connection: Connection, client: Client, former: Client | None, *, accept_unlisted: bool
    ) -> None:
        """Only those that change: what was saved when more was allowed stands in no one's way. Raises InvalidError.

        Another agency's number is accepted like a stranger's, so that the answer does not reveal whose it is. If two
        agencies' numbers ring each other, loop detection and the limit on a caller's calls end it.
        """
        known = set() if former is None else set(_phones_of(former))
        for field, phone in set(_phones_of(client)) - known:
            if not is_possible(phone):
                raise InvalidError(field, NOT_A_PHONE)
            self.dialling.check(field, phone)
            if not accept_unlisted and not is_listed(phone):
                raise InvalidError(field, UNLISTED)
            if await reaches_an_assistant(connection, client.agency_id, phone):
                raise InvalidError(
                    field, "must be a person's phone, not one of the agency's numbers: it would call us again"
                )


def _phones_of(client: Client) -> Iterator[tuple[str, str]]:
    """The phones that its calls may ring, each with its field in the API."""
    if client.personal_phone is not None:
        yield "personal_phone", client.personal_phone
    if client.transfer_to is not None:
        yield "assistant.transfer_to", client.transfer_to


def _store(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as the row holds them: routing as plain JSON with its defaults."""
    stored = dict(fields)
    if "routing" in stored:
        stored["routing"] = (stored["routing"] or RoutingSettings()).model_dump(mode="json", by_alias=True)
    return stored


def _has_another_fallback(before: Client, after: Client) -> bool:
    """At the carrier, or at a provider that sold a number: it knows the owner's phone, whatever the routing says."""
    return before.personal_phone != after.personal_phone or make_fallback(before, "") != make_fallback(after, "")
