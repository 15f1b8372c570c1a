"""Which assistant is wanted at which provider: rows that say so, written in the transaction that makes work necessary.

An assistant is kept at every provider that the client's ladder may reach: the client's own or the agency's active one,
and the fallbacks, as far as the agency has a key there. Saving a key, activating its provider or asking for a sync
starts keeping the agency's assistants there; removing them ends it.

This module is below keys, numbers and clients, which all make assistants wanted; router.assistants, above, does the
work. The row connects them; a job only wakes the worker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from adapters.portable import Wiring
from adapters.registry import Providers
from crypto import OpenError
from router.addresses import Addresses
from router.jobs import enqueue_fresh
from router.store.assistants.copies import has_assistant
from router.store.assistants.leftovers import hurry_leftovers, leave_copies
from router.store.assistants.places import (
    Place,
    list_own_copies,
    list_synced_providers,
    retry_links,
    start_sync,
    stop_sync,
)
from router.store.assistants.syncs import Which, fail_pending, want_copies
from router.store.keys.versions import StoredKey, find_key_in_use, list_keys_in_use
from router.store.numbers.registrations import drop_registrations
from router.store.pool import Connection
from router.store.tenants.agencies import Agency, find_agency
from router.store.tenants.clients import Client
from router.vault import Vault

MAPPING: Final = 3
"""Increase it when definitions are written to providers in another way: then every copy is outdated."""

SYNC: Final = "assistants.sync"
"""The job that works on one provider of one agency."""

FIRST: Final = 10
"""Priority of the provider that takes the calls; fallbacks come after it."""


async def nudge(connection: Connection, agency_id: str, provider: str, *, priority: int = 0) -> None:
    """Enqueue a job that does the work that is due there."""
    payload = {"agency_id": agency_id, "provider": provider}
    await enqueue_fresh(connection, SYNC, payload, once=f"{SYNC}/{agency_id}/{provider}", priority=priority)


def reachable_providers(
    agency: Agency, own: str | None, with_key: Collection[str], kept: Collection[str], order: Iterable[str]
) -> list[str]:
    """Where a client's assistant is to be, in the order of its ladder. `kept`: where the agency's assistants are kept;
    this matters for fallbacks only.
    """
    first = own or agency.active_provider
    fallbacks = order if agency.fallback_providers is None else agency.fallback_providers
    ladder = [*([first] if first else []), *(name for name in fallbacks if name in kept)]
    return [name for name in dict.fromkeys(ladder) if name in with_key]


@dataclass(frozen=True, slots=True)
class Wirings:
    """The addresses at which a provider reaches us about one agency's calls."""

    vault: Vault
    addresses: Addresses

    def make(self, key: StoredKey) -> Wiring:
        """Raises crypto.OpenError: the address cannot be read any more; saving the key again makes a new one."""
        token = self.vault.open_webhook_token(key)
        return Wiring(
            webhook_url=self.addresses.provider_webhook(key.kind, key.agency_id, token),
            transfer_url=self.addresses.transfer(key.kind, key.agency_id, token),
            secret=token,
        )


@dataclass(frozen=True, slots=True)
class Places:
    """Makes the Place of an agency's assistants at a provider."""

    wirings: Wirings
    providers: Providers

    def keep(self, provider: str) -> bool:
        """Whether assistants can be kept there."""
        return provider in self.providers and self.providers[provider].assistants is not None

    def of(self, key: StoredKey) -> Place:
        try:
            address = self.wirings.make(key).webhook_url
        except OpenError:  # logged already; the work itself shows it to the agency
            address = "unreadable"
        written = f"{MAPPING} {address}"
        return Place(
            agency_id=key.agency_id,
            provider=key.kind,
            form=hashlib.sha256(written.encode()).hexdigest(),
            numbered=self._depends_on_numbers(key.kind),
        )

    def _depends_on_numbers(self, provider: str) -> bool:
        """Whether copies there change when a client gets another number."""
        if provider not in self.providers:
            return False
        there = self.providers[provider]
        lives_on_numbers = there.assistants is not None and there.assistants.lives_on_numbers
        return lives_on_numbers or there.registrations is not None


@dataclass(frozen=True, slots=True)
class WantedAssistants:
    """All methods are called within the transaction of a change, with the agency locked."""

    places: Places
    providers: tuple[str, ...]  # in the order of fallback
    clock: Callable[[], datetime]

    async def want_after_key(self, connection: Connection, agency: Agency, key: StoredKey) -> None:
        """A voice key was saved: all of the agency's assistants are written there with it."""
        if not self.places.keep(key.kind):
            return
        now = self.clock()
        await start_sync(connection, agency.id, key.kind, now)
        await want_copies(connection, self.places.of(key), now, which="all")
        await hurry_leftovers(connection, agency.id, key.kind)
        await _nudge_in_order(connection, agency, key.kind)

    async def end_without_key(self, connection: Connection, agency: Agency, provider: str) -> None:
        """The key is gone: waiting work there fails. Existing copies stay."""
        await stop_sync(connection, agency.id, provider)
        error = "There is no key for it any more."
        await fail_pending(connection, agency.id, provider, error, self.clock(), key_version=None)

    async def want_after_recovery(self, connection: Connection, agency_id: str, provider: str) -> None:
        """The key works again: what failed there is tried again."""
        await hurry_leftovers(connection, agency_id, provider)
        await self._want_again(connection, agency_id, provider, "faulty")

    async def want_outdated(self, connection: Connection, agency_id: str, provider: str) -> None:
        """Our address or our way of writing definitions may have changed, without a change by the agency."""
        await self._want_again(connection, agency_id, provider, "outdated")

    async def want_moved(self, connection: Connection, agency_id: str, provider: str) -> None:
        """Our address has changed: what has the former one is written again, and what failed is tried again."""
        key = await find_key_in_use(connection, agency_id, provider)
        if key is not None and self.places.keep(provider):
            await retry_links(connection, self.places.of(key))
        await self._want_again(connection, agency_id, provider, "faulty")

    async def _want_again(self, connection: Connection, agency_id: str, provider: str, which: Which) -> None:
        key = await find_key_in_use(connection, agency_id, provider)
        if key is None or not self.places.keep(provider):
            return
        await want_copies(connection, self.places.of(key), self.clock(), which=which, new=False)
        await nudge(connection, agency_id, provider)

    async def want_after_switch(self, connection: Connection, agency: Agency, providers: Iterable[str | None]) -> None:
        """These providers take calls from now on, or are fallbacks: missing and outdated copies there are written."""
        keys = {key.kind: key for key in await list_keys_in_use(connection, agency.id)}
        for provider in dict.fromkeys(providers):
            if provider in keys and self.places.keep(provider):
                now = self.clock()
                await start_sync(connection, agency.id, provider, now)
                await want_copies(connection, self.places.of(keys[provider]), now)
                await _nudge_in_order(connection, agency, provider)

    async def want_client(self, connection: Connection, client: Client) -> None:
        """The client is new, or it or its numbers changed: write its assistant everywhere it is or should be."""
        agency = await find_agency(connection, client.agency_id)
        if agency is None:
            return
        if client.assistant is None:
            await self.leave_client(connection, client.agency_id, client.id)
            return
        keys = {key.kind: key for key in await list_keys_in_use(connection, agency.id)}
        kept = await list_synced_providers(connection, agency.id)
        wanted = reachable_providers(agency, client.provider, keys, kept, self.providers)
        there = await list_own_copies(connection, client.id)
        for provider in dict.fromkeys((*wanted, *(name for name in keys if name in there))):
            if self.places.keep(provider):
                place = self.places.of(keys[provider])
                await want_copies(connection, place, self.clock(), client_id=client.id)
                await nudge(connection, agency.id, provider, priority=FIRST if wanted[:1] == [provider] else 0)

    async def want_moved_number(self, connection: Connection, client: Client, e164: str) -> None:
        """A number moved to this client. If the client has no assistant, our registrations of the number are dropped:
        the former client's assistant would go on answering there.
        """
        if not await has_assistant(connection, client.id):
            await drop_registrations(connection, client.agency_id, e164=e164)
        await self.want_client(connection, client)

    async def leave_client(
        self, connection: Connection, agency_id: str, client_id: str, provider: str | None = None
    ) -> None:
        """Delete its assistants made by us, or the one at this provider."""
        places = await leave_copies(connection, agency_id, self.clock(), client_id=client_id, provider=provider)
        for place in places:
            await nudge(connection, agency_id, place)


async def _nudge_in_order(connection: Connection, agency: Agency, provider: str) -> None:
    await nudge(connection, agency.id, provider, priority=FIRST if provider == agency.active_provider else 0)
