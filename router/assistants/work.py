"""The job that syncs clients' assistants to a provider, looks at those there, and deletes those no longer needed.

It takes a few and returns to the queue, so that an agency with many clients does not delay the others. A worker may die
at any point: its work is free when the lease has run out, and the next worker looks for our marker before it creates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from router.assistants.looking import look_at_assistant
from router.assistants.putting import put_assistant
from router.assistants.removing import remove_leftover
from router.assistants.site import LONGEST_WAIT, Site, Sites
from router.jobs import Again, Job, JobRunner
from router.numbers.registrations import Registrations
from router.store.assistants.leftovers import Leftover, claim_leftover
from router.store.assistants.places import list_kept
from router.store.assistants.syncs import Claim, claim_copy, fail_pending, find_retry, list_unattended, lock_place
from router.store.keys.versions import find_key_in_use
from router.wanted import SYNC, WantedAssistants, nudge

_NUDGE: Final = "assistants.nudge"
_COMPARE: Final = "assistants.compare"
_HANDFUL: Final = 10
_AT_ONCE: Final = 20  # agencies and providers, over all processes
_IN_A_ROW: Final = 3  # failures of the provider itself, until it gets a pause
_BUSY_WAIT: Final = 5.0


@dataclass(frozen=True, slots=True)
class SyncWork:
    sites: Sites
    registrations: Registrations
    wanted: WantedAssistants

    def register(self, runner: JobRunner) -> None:
        runner.handle(SYNC, self.sync_assistants, at_once=_AT_ONCE)
        runner.repeat(_NUDGE, "* * * * *", self.nudge_unattended)
        runner.repeat(_COMPARE, "13 * * * *", self.compare_all)

    async def nudge_unattended(self) -> None:
        """Enqueue a job for all work that is due and whose job was lost."""
        pool = self.sites.database.settings
        for agency_id, provider in await list_unattended(pool, self.sites.clock()):
            if self.sites.places.keep(provider):
                await nudge(pool, agency_id, provider)

    async def compare_all(self) -> None:
        """Sync copies that a new public address, or a new version of callrouter, has made outdated."""
        pool = self.sites.database.settings
        for agency_id, provider in await list_kept(pool):
            async with pool.acquire() as connection, connection.transaction():
                await self.wanted.want_outdated(connection, agency_id, provider)

    async def sync_assistants(self, job: Job) -> None:
        """Payload: agency_id, provider. Raises Again while there is more to do."""
        agency_id, provider = str(job.payload["agency_id"]), str(job.payload["provider"])
        failures = 0
        for _ in range(_HANDFUL):
            site = await self._open_site(agency_id, provider)
            if site is None:
                return
            work = await _take_work(site)
            if work is None:
                await _wait_for_retry(site)
                return
            if isinstance(work, Leftover):
                went_well = await remove_leftover(self.registrations, site, work)
            elif work.wanted:
                went_well = await put_assistant(self.registrations, site, work)
            else:
                went_well = await look_at_assistant(self.registrations, site, work)
            failures = 0 if went_well else failures + 1
            if failures == _IN_A_ROW:
                raise Again(LONGEST_WAIT)
        raise Again

    async def _open_site(self, agency_id: str, provider: str) -> Site | None:
        """With the key now in use: it may have been replaced a moment ago. Raises Again while it is paused."""
        pool = self.sites.database.settings
        key = await find_key_in_use(pool, agency_id, provider)
        if key is None:
            error = "The agency has no key for this provider."
            await fail_pending(pool, agency_id, provider, error, self.sites.clock(), key_version=None)
            return None
        site = self.sites.open(key)
        if site is not None:
            await site.wait_for_pause()
        return site


async def _take_work(site: Site) -> Claim | Leftover | None:
    """Raises Again while another worker is there."""
    now, agency_id = site.clock(), site.key.agency_id
    async with site.database.settings.acquire() as connection, connection.transaction():
        busy_until = await lock_place(connection, agency_id, site.provider, now)
        if busy_until is not None:
            raise Again(_until(busy_until, now, _BUSY_WAIT))
        return await claim_copy(connection, site.place, now) or await claim_leftover(
            connection, agency_id, site.provider, now
        )


async def _wait_for_retry(site: Site) -> None:
    """Raises Again if something is due soon; `nudge_unattended` finds what waits longer."""
    at = await find_retry(site.database.settings, site.key.agency_id, site.provider)
    now = site.clock()
    if at is not None and (at - now).total_seconds() <= LONGEST_WAIT:
        raise Again(_until(at, now, LONGEST_WAIT))


def _until(at: datetime, now: datetime, longest: float) -> float:
    """Seconds."""
    return min(max((at - now).total_seconds(), 0.0), longest)
