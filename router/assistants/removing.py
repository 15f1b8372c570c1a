"""Deletes copies at providers that no client needs any more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from adapters.base import ErrorKind, ProviderError
from crypto import OpenError
from router.assistants.definition import marker_of
from router.assistants.site import KEY_IS_BAD, POLICY, TOO_MUCH, UNREADABLE, WORK_SECONDS, Site, Sites
from router.numbers.registrations import Registrations
from router.store.assistants.leftovers import (
    Leftover,
    claim_leftover,
    forget_leftover,
    is_wanted_again,
    leave_copies,
    postpone_leftover,
)
from router.store.keys.versions import list_keys_in_use
from router.store.pool import DATABASE_ERRORS
from router.telemetry import emit

_MUCH_LATER: Final = timedelta(hours=6)


async def remove_leftover(registrations: Registrations, site: Site, leftover: Leftover) -> bool:
    """False when the provider itself seems to be in trouble.

    Raises Again when the provider asks for a pause, and DATABASE_ERRORS; then the lease runs out.
    """
    pool = site.database.settings
    try:
        async with asyncio.timeout(WORK_SECONDS):
            await _remove(registrations, site, leftover)
    except ProviderError as error:
        return await _note_refusal(site, leftover, error)
    except OpenError:
        await postpone_leftover(pool, leftover, UNREADABLE, _later(site, _MUCH_LATER))
        return True
    except asyncio.CancelledError:
        await postpone_leftover(pool, leftover, None, None)
        raise
    except TimeoutError:
        return await _note_refusal(site, leftover, ProviderError(ErrorKind.TIMEOUT))
    except DATABASE_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001  it must not delay the others
        _tell(leftover, "our_mistake", error)
        await postpone_leftover(
            pool,
            leftover,
            "This failed because of a fault in callrouter, which has been logged.",
            _later(site, _MUCH_LATER),
        )
        return True
    await forget_leftover(pool, leftover)
    return True


@dataclass(frozen=True, slots=True)
class Removal:
    sites: Sites
    registrations: Registrations

    async def remove_all(self, agency_id: str, seconds: float) -> None:
        """Delete the agency's copies at all providers within `seconds`, before the agency itself is deleted.

        The rest stays at the provider, in the agency's own account there. Raises DATABASE_ERRORS.
        """
        pool = self.sites.database.settings
        await leave_copies(pool, agency_id, self.sites.clock())
        sites = [self.sites.open(key) for key in await list_keys_in_use(pool, agency_id)]
        working = [asyncio.create_task(_remove_all_at(self.registrations, site)) for site in sites if site is not None]
        if working:
            _, late = await asyncio.wait(working, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)


async def _remove_all_at(registrations: Registrations, site: Site) -> None:
    """Until nothing is left that could be deleted."""
    pool = site.database.settings
    while leftover := await claim_leftover(pool, site.key.agency_id, site.provider, site.clock()):
        await remove_leftover(registrations, site, leftover)


async def _remove(registrations: Registrations, site: Site, leftover: Leftover) -> None:
    if await is_wanted_again(site.database.settings, leftover):
        return
    copy = leftover.copy or await site.host.find_copy(site.open(), marker_of(leftover.marker or leftover.client_id))
    if copy is None:
        return
    there = await registrations.list_known(leftover.agency_id, leftover.client_id, site.provider)
    await site.host.delete_copy(site.open(), copy, there)
    emit("assistant.removed", agency_id=leftover.agency_id, client_id=leftover.client_id, provider=leftover.provider)


async def _note_refusal(site: Site, leftover: Leftover, error: ProviderError) -> bool:
    """It is never given up: the last wait is repeated."""
    pool = site.database.settings
    if error.kind in TOO_MUCH:
        await postpone_leftover(pool, leftover, None, None)
        raise await site.pause(error)
    _tell(leftover, error.kind.value)
    own = error.kind in KEY_IS_BAD or error.kind is ErrorKind.BAD_REQUEST
    wait = None if own else POLICY.wait(leftover.tried + 1)
    await postpone_leftover(pool, leftover, site.explain(error), _later(site, wait or _MUCH_LATER))
    return own


def _later(site: Site, wait: timedelta) -> datetime:
    return site.clock() + wait


def _tell(leftover: Leftover, reason: str, error: Exception | None = None) -> None:
    emit(
        "assistant.failed",
        agency_id=leftover.agency_id,
        client_id=leftover.client_id,
        provider=leftover.provider,
        reason=reason,
        tried=leftover.tried + 1,
        exception=error,
    )
