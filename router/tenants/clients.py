"""Creates, changes and deletes an agency's clients; a deleted client's numbers are released."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

from router.definitions import RoutingSettings
from router.dialling import Dialling
from router.errors import InvalidError, require
from router.ids import new_id
from router.mail import Confirmations
from router.numbers.configuration import make_fallback
from router.numbers.fallbacks import Fallbacks
from router.numbers.release import Release, forget_numbers
from router.store.changes import Author, Changes
from router.store.numbers.numbers import has_number, list_numbers
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

    async def create(self, agency_id: str, fields: Mapping[str, Any], author: Author) -> Client:
        """`fields`: the client's settings by name, `routing` as RoutingSettings. Raises DomainError."""
        client = Client(id=new_id("client"), agency_id=agency_id, created_at=self.changes.clock(), **_store(fields))
        self._check(client)
        self._check_phones(client, fields)
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            await _refuse_own_number(change.connection, client)
            client = await self._enter_email(change.connection, client, author)
            await insert_client(change.connection, client)
            await self.wanted.want_client(change.connection, client)
            await change.record("client.created", client.id)
            return change.done(client)

    async def change(self, agency_id: str, client_id: str, fields: Mapping[str, Any], author: Author) -> Client:
        """`fields`: those to be changed; a routing or an assistant is replaced as a whole. Raises DomainError."""
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            client = require(await lock_client(change.connection, agency_id, client_id), "client")
            changed = replace(client, **_store(fields))
            self._check(changed)
            self._check_phones(changed, fields)
            if changed.personal_phone != client.personal_phone:
                await _refuse_own_number(change.connection, changed)
            if "notify_email" in fields:
                changed = await self._enter_email(change.connection, changed, author)
            await update_client(change.connection, changed)
            await self.wanted.want_client(change.connection, changed)
            if make_fallback(client, "") != make_fallback(changed, ""):
                await self.fallbacks.note_stale(change.connection, changed)
            numbers = await list_numbers(change.connection, agency_id, client_id=client.id)
            await change.record("client.changed", client.id)
            change.done(changed)
        await self.fallbacks.rewrite([number for number in numbers if number.fallback_state == "stale"])
        return changed

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

    def _check_phones(self, client: Client, fields: Container[str]) -> None:
        """Those of these fields: what was saved when more was allowed stands in no one's way."""
        if "personal_phone" in fields:
            self.dialling.check("personal_phone", client.personal_phone)
        if "assistant" in fields:
            self.dialling.check("assistant.transfer_to", (client.assistant or {}).get("transfer_to"))


def _store(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as the row holds them: routing as plain JSON with its defaults."""
    stored = dict(fields)
    if "routing" in stored:
        stored["routing"] = (stored["routing"] or RoutingSettings()).model_dump(mode="json", by_alias=True)
    return stored


async def _refuse_own_number(connection: Connection, client: Client) -> None:
    """It would call us, and we would ring it again. Raises InvalidError.

    Another agency's number is accepted like a stranger's, so that the answer does not reveal whose it is. If two agencies'
    numbers ring each other, loop detection and the limit on a caller's calls end it.
    """
    if client.personal_phone and await has_number(connection, client.agency_id, client.personal_phone):
        raise InvalidError("personal_phone", "must be a person's phone, not one of the agency's numbers")
