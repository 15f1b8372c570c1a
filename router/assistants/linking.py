"""Linking assistants that exist at a provider to a client, unlinking them, and syncing again by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from adapters.registry import Providers
from router.assistants.links import Links
from router.errors import ConflictError, NotFoundError
from router.refusals import explain_no_key
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
    """How far the agency's assistants are at a provider, and each client for whom it failed."""

    provider: str
    state: Literal["idle", "running", "done", "failed"]
    done: int
    total: int
    failed: int
    failures: Sequence[Failure]


@dataclass(frozen=True, slots=True)
class ClientAssistants:
    """What an agency may do about assistants itself."""

    changes: Changes
    links: Links
    wanted: WantedAssistants
    providers: Providers

    async def show_all(self, agency_id: str, client_id: str) -> Sequence[StoredAssistant]:
        """The client's assistant at each provider. Raises NotFoundError."""
        pool = self.changes.database.settings
        if await find_client(pool, agency_id, client_id) is None:
            raise NotFoundError("client")
        there = {one.provider: one for one in await list_assistants(pool, agency_id, client_id)}
        return [there.get(provider) or _missing(provider) for provider in self.providers]

    async def link(
        self,
        agency_id: str,
        client_id: str,
        provider: str,
        remote_id: str,
        manage: list[Literal["webhook", "transfer"]],
        author: Author,
    ) -> StoredAssistant:
        """Calls go to it from the next one on. One that we made for the client before is deleted there.

        Raises DomainError.
        """
        if await find_client(self.changes.database.settings, agency_id, client_id) is None:
            raise NotFoundError("client")
        found = await self.links.check(agency_id, provider, remote_id, manage)
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
                found.lost,
                found.managed,
                self.changes.clock(),
            )
            if linked is None:
                raise NotFoundError("client")
            await change.record("assistant.linked", f"{client_id}/{provider}")
            change.done(linked)
        emit("assistant.synced", agency_id=agency_id, client_id=client_id, provider=provider, state="linked")
        return linked

    async def unlink(self, agency_id: str, client_id: str, provider: str, author: Author) -> None:
        """It stays there as it is. Raises NotFoundError."""
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
        """What failed, is missing or outdated there is put there. Raises DomainError."""
        async with self.changes.begin(author, agency_id) as change:
            agency = await self._lock_with_key(change, agency_id, provider)
            await self.wanted.want_after_switch(change.connection, agency, [provider])
            await change.record("assistants.synced", provider)
            return change.done(await _read_progress(change.connection, agency_id, provider))

    async def remove_all(self, agency_id: str, provider: str, author: Author) -> None:
        """All assistants that we made there, but not while calls go there first. Raises DomainError."""
        async with self.changes.begin(author, agency_id) as change:
            agency = await self._lock_with_key(change, agency_id, provider)
            await self._refuse_if_first(change.connection, agency, provider)
            await stop_sync(change.connection, agency_id, provider)
            await leave_copies(change.connection, agency_id, self.changes.clock(), provider=provider)
            await nudge(change.connection, agency_id, provider)
            await change.record("assistants.deleted", provider)
            change.done(None)

    async def _lock_with_key(self, change: Change, agency_id: str, provider: str) -> Agency:
        agency = await lock_agency(change.connection, agency_id)
        if agency is None:
            raise NotFoundError("agency")
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


def _missing(provider: str) -> StoredAssistant:
    return StoredAssistant(provider, remote_id=None, state="missing", error=None, lost=())
