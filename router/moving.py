"""Moving everything outside to another public address: numbers, native numbers, assistants and managed links.

What is to be moved is written down at once; the jobs of a running service then do it, too. So a move may be interrupted
and repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router.addresses import Addresses
from router.assistants.work import SyncWork
from router.clock import Clock
from router.jobs import Again, Job
from router.numbers.drift import DriftWatch
from router.numbers.fallbacks import Fallbacks
from router.store.assistants.places import list_kept, list_outdated
from router.store.keys.versions import find_key_in_use
from router.store.pool import Database
from router.store.public_addresses import (
    NumberAddresses,
    Unmoved,
    count_managed_assistants,
    count_numbers,
    is_present,
    list_unmoved_numbers,
    make_present,
    want_native_numbers_moved,
    want_numbers_moved,
)
from router.wanted import SYNC, WantedAssistants


@dataclass(frozen=True, slots=True)
class Progress:
    """How much there is, and what is not at the new address yet."""

    numbers: int
    assistants: int
    unmoved: Sequence[Unmoved]

    @property
    def total(self) -> int:
        return self.numbers + self.assistants

    @property
    def waiting(self) -> list[Unmoved]:
        return [one for one in self.unmoved if one.reason is None]

    @property
    def failed(self) -> list[Unmoved]:
        return [one for one in self.unmoved if one.reason is not None]


@dataclass(frozen=True, slots=True)
class Moving:
    database: Database
    addresses: Addresses
    drift: DriftWatch
    fallbacks: Fallbacks
    sync_work: SyncWork
    wanted: WantedAssistants
    clock: Clock

    async def begin(self) -> None:
        """From here on our address is the database's, and everything is to lead to it. What failed is tried again."""
        to = NumberAddresses(self.addresses.voice, self.addresses.status, self.addresses.fallback_url)
        async with self.database.settings.acquire() as connection, connection.transaction():
            is_new = not await is_present(connection, self.addresses.public_url)
            await make_present(connection, self.addresses.public_url, self.clock())
            await want_numbers_moved(connection, to)
            if is_new:
                await want_native_numbers_moved(connection)
            for agency_id, provider in await list_kept(connection):
                await self.wanted.want_moved(connection, agency_id, provider)

    async def look(self) -> Progress:
        pool = self.database.settings
        unmoved = await list_unmoved_numbers(pool)
        for agency_id, provider in await list_kept(pool):
            key = await find_key_in_use(pool, agency_id, provider)
            if key is not None and self.wanted.places.keep(provider):
                label = self.sync_work.sites.places.providers.label(provider)
                for name, reason in await list_outdated(pool, self.wanted.places.of(key)):
                    unmoved.append(Unmoved(f"the assistant of {name} at {label}", reason))
        return Progress(await count_numbers(pool), await count_managed_assistants(pool), unmoved)

    async def carry_on(self) -> None:
        """One round of what is due. Other processes may do the same work; each piece is done by one of them."""
        await self.drift.look_at_numbers()
        await self.fallbacks.rewrite_stale_native()
        for agency_id, provider in await list_kept(self.database.settings):
            try:
                await self.sync_work.sync_assistants(Job(SYNC, {"agency_id": agency_id, "provider": provider}, 1))
            except Again:
                continue
