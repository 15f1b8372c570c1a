"""Linking a provider's existing assistants to clients, unlinking them, and syncing or removing all of an agency's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from adapters.base import ErrorKind, ProviderError
from adapters.facets import lost_of_link
from adapters.registry import Providers
from crypto import OpenError
from router.assistants.site import UNREADABLE, Sites
from router.errors import ConflictError, InvalidError, NoKeyError, NotFoundError, require
from router.numbers.registrations import Registrations
from router.refusals import explain_no_key, explain_refusal
from router.store.assistants.copies import (
    Failure,
    StoredAssistant,
    count_assistants,
    link_assistant,
    list_assistants,
    list_failures,
    unlink_assistant,
)
from router.store.assistants.leftovers import leave_copies
from router.store.assistants.places import stop_sync
from router.store.changes import Author, Change, Changes
from router.store.keys.versions import find_key_in_use
from router.store.pool import Connection
from router.store.tenants.agencies import Agency, lock_agency
from router.store.tenants.clients import find_client, list_clients_with_provider, lock_client
from router.telemetry import emit
from router.wanted import WantedAssistants, nudge


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """How many of the agency's assistants are synced to a provider, and each client whose sync failed."""

    provider: str
    state: Literal["idle", "running", "done", "failed"]
    done: int
    total: int
    failed: int
    failures: Sequence[Failure]


@dataclass(frozen=True, slots=True)
class ClientAssistants:
    changes: Changes
    sites: Sites
    wanted: WantedAssistants
    registrations: Registrations
    providers: Providers

    async def show_all(self, agency_id: str, client_id: str) -> Sequence[StoredAssistant]:
        """The client's assistant at each provider. Raises NotFoundError."""
        pool = self.changes.database.settings
        require(await find_client(pool, agency_id, client_id), "client")
        there = {one.provider: one for one in await list_assistants(pool, agency_id, client_id)}
        missing = StoredAssistant("", remote_id=None, state="missing", error=None, lost=())
        return [there.get(provider) or replace(missing, provider=provider) for provider in self.providers]

    async def link(
        self,
        agency_id: str,
        client_id: str,
        provider: str,
        remote_id: str,
        manage: list[Literal["webhook", "transfer"]],
        author: Author,
    ) -> StoredAssistant:
        """The next call goes to it. An assistant that we made for the client there is deleted. Raises DomainError."""
        require(await find_client(self.changes.database.settings, agency_id, client_id), "client")
        lost, managed = await self._prepare_link(agency_id, client_id, provider, remote_id, manage)
        async with self.changes.begin(author, agency_id) as change:
            await lock_client(change.connection, agency_id, client_id)
            await self.wanted.leave_client(change.connection, agency_id, client_id, provider)
            linked = await link_assistant(
                change.connection,
                agency_id,
                client_id,
                provider,
                remote_id,
                manage,
                lost,
                managed,
                self.changes.clock(),
            )
            if linked is None:
                raise NotFoundError("client")
            await change.record("assistant.linked", f"{client_id}/{provider}")
            change.done(linked)
        emit("assistant.synced", agency_id=agency_id, client_id=client_id, provider=provider, state="linked")
        return linked

    async def unlink(self, agency_id: str, client_id: str, provider: str, author: Author) -> None:
        """The assistant stays at the provider unchanged. Raises NotFoundError."""
        async with self.changes.begin(author, agency_id) as change:
            client = await lock_client(change.connection, agency_id, client_id)
            if client is None or not await unlink_assistant(change.connection, agency_id, client.id, provider):
                raise NotFoundError("link")
            await self.wanted.want_client(change.connection, client)
            await change.record("assistant.unlinked", f"{client_id}/{provider}")
            change.done(None)

    async def show_progress(self, agency_id: str, provider: str) -> SyncProgress:
        return await _read_progress(self.changes.database.settings, agency_id, provider)

    async def sync_again(self, agency_id: str, provider: str, author: Author) -> SyncProgress:
        """Sync what failed, is missing or is outdated there. Raises DomainError."""
        async with self.changes.begin(author, agency_id) as change:
            agency = await self._lock_with_key(change, agency_id, provider)
            await self.wanted.want_after_switch(change.connection, agency, [provider])
            await change.record("assistants.synced", provider)
            return change.done(await _read_progress(change.connection, agency_id, provider))

    async def remove_all(self, agency_id: str, provider: str, author: Author) -> None:
        """Delete all assistants that we made there. Raises DomainError, also while calls go there first."""
        async with self.changes.begin(author, agency_id) as change:
            agency = await self._lock_with_key(change, agency_id, provider)
            await self._refuse_if_first(change.connection, agency, provider)
            await stop_sync(change.connection, agency_id, provider)
            await leave_copies(change.connection, agency_id, self.changes.clock(), provider=provider)
            await nudge(change.connection, agency_id, provider)
            await change.record("assistants.deleted", provider)
            change.done(None)

    async def _prepare_link(
        self,
        agency_id: str,
        client_id: str,
        provider: str,
        remote_id: str,
        manage: Sequence[Literal["webhook", "transfer"]],
    ) -> tuple[Sequence[str], str | None]:
        """Check that it can take calls, and set on it what we may: what it cannot do, and the `Place.form` set on it.

        Without a key nothing is checked or set. Raises DomainError.
        """
        host = self.sites.find_host(provider)
        if host is None:
            return (), None
        key = await find_key_in_use(self.changes.database.settings, agency_id, provider)
        if key is None and manage:
            label = self.providers.label(provider)
            raise NoKeyError(
                f"Managing a linked assistant takes a key for {label}: save one with PUT /keys/{provider}."
            )
        site = self.sites.open(key) if key is not None else None
        if site is None:
            return lost_of_link(manage), None
        try:
            await host.check_link(site.open(), remote_id)
            if manage:
                numbers = await self.registrations.list_known(agency_id, client_id, provider)
                await host.manage_link(site.open(), remote_id, manage, site.wire(), numbers)
        except ProviderError as error:
            if error.kind is ErrorKind.BAD_REQUEST:
                raise InvalidError("remote_id", site.explain(error)) from None
            raise explain_refusal(self.providers.about(provider), error) from None
        except OpenError:
            raise NoKeyError(UNREADABLE) from None
        return lost_of_link(manage), site.place.form if manage else None

    async def _lock_with_key(self, change: Change, agency_id: str, provider: str) -> Agency:
        agency = require(await lock_agency(change.connection, agency_id), "agency")
        if await find_key_in_use(change.connection, agency_id, provider) is None:
            raise explain_no_key(provider, self.providers.label(provider))
        return agency

    async def _refuse_if_first(self, connection: Connection, agency: Agency, provider: str) -> None:
        label = self.providers.label(provider)
        if agency.active_provider == provider:
            raise ConflictError(f"{label} is the active provider: make another one active first.")
        if names := await list_clients_with_provider(connection, agency.id, provider):
            raise ConflictError(f"{', '.join(names[:3])} use {label} as their own provider: change that first.")


async def _read_progress(connection: Connection, agency_id: str, provider: str) -> SyncProgress:
    progress = await count_assistants(connection, agency_id, provider)
    failures = await list_failures(connection, agency_id, provider)
    return SyncProgress(provider, progress.state, progress.done, progress.total, progress.failed, failures)
