"""Previews, client by client, what switching to another active provider would do. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Literal

from adapters.base import ProviderError
from crypto import OpenError
from router.assistants.definition import marker_of, read_assistant
from router.assistants.site import Sites
from router.store.assistants.leftovers import list_leftovers
from router.store.assistants.places import Place, Standing, list_copies, list_synced_providers, survey
from router.store.keys.versions import StoredKey, find_pause, list_keys_in_use
from router.store.numbers.numbers import list_numbers
from router.store.tenants.agencies import Agency
from router.wanted import reachable_providers

_LOOKED_FOR: Final = 20  # clients whose copy is looked for; the sync itself looks for all
_LOOK_SECONDS: Final = 8.0
_LOOK_LIMIT: Final = 4.0


@dataclass(frozen=True, slots=True)
class PlanItem:
    """What happens to one client's assistant. `lost`: what the provider cannot do of it.

    `adopt`: a copy of ours was found there; `keep`: it is synced there, or linked.
    """

    client_id: str
    client_name: str
    action: Literal["create", "update", "adopt", "keep", "none"]
    lost: Sequence[str]
    reason: str | None


@dataclass(frozen=True, slots=True)
class Orphan:
    """An assistant of ours that no call would reach."""

    provider: str
    client_id: str
    remote_id: str | None


@dataclass(frozen=True, slots=True)
class SwitchPlan:
    """What making `provider` the active one would do. `staying_behind`: numbers bought from another provider."""

    provider: str
    items: Sequence[PlanItem]
    orphans: Sequence[Orphan]
    staying_behind: Sequence[str]


@dataclass(frozen=True, slots=True)
class SwitchPlans:
    sites: Sites
    providers: Sequence[str]  # in the order in which they stand in for each other

    async def make(self, agency: Agency, provider: str, *, quick: bool = False) -> SwitchPlan:
        """Also without a key for it: then nothing is looked for there, nor if it must be `quick`."""
        pool = self.sites.database.settings
        keys = {key.kind: key for key in await list_keys_in_use(pool, agency.id)}
        key = keys.get(provider)
        place = self.sites.places.of(key) if key else Place(agency.id, provider, form="", numbered=False)
        standings = await survey(pool, place)
        found = await self._look_for_copies(key, standings) if key and not quick else frozenset[str]()
        numbers = await list_numbers(pool, agency.id)
        return SwitchPlan(
            provider=provider,
            items=[self._plan_client(standing, provider, found) for standing in standings],
            orphans=await self._list_orphans(agency, provider, keys),
            staying_behind=[one.e164 for one in numbers if one.carrier in self.providers and one.carrier != provider],
        )

    def _plan_client(self, standing: Standing, provider: str, found: Collection[str]) -> PlanItem:
        client, host = standing.client, self.sites.find_host(provider)
        assistant = read_assistant(client, provider)
        if standing.state == "gone":
            gone = "The linked assistant does not exist there any more: link another one, or unlink it."
            return _item(standing, "none", (), gone)
        if standing.state == "linked":
            return _item(standing, "keep", standing.lost, "It is linked, and stays unchanged.")
        if assistant is None or host is None:
            return _item(standing, "none", (), "The client has no assistant yet.")
        lost = host.lost_features(assistant)
        reason = None
        if client.provider not in (None, provider):
            own = self.sites.places.providers.label(client.provider or "")
            reason = f"The client uses {own} as its own provider; this one stands by."
        if standing.is_there:
            is_current = standing.state == "synced" and standing.current
            return _item(standing, "keep" if is_current else "update", lost, reason)
        return _item(standing, "adopt" if client.id in found else "create", lost, reason)

    async def _look_for_copies(self, key: StoredKey, standings: Sequence[Standing]) -> frozenset[str]:
        """Clients that have a copy there of which we hold no record, as far as a short search finds them."""
        until = await find_pause(self.sites.database.settings, key)
        if until is not None and until > self.sites.clock():
            return frozenset()
        site, found = self.sites.open(key, _LOOK_LIMIT), set()
        if site is None:
            return frozenset()
        missing = [one.client for one in standings if one.client.assistant and not one.is_there]
        with suppress(ProviderError, OpenError, TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                for client in missing[:_LOOKED_FOR]:
                    if await site.host.find_copy(site.open(), marker_of(client.marker or client.id)):
                        found.add(client.id)
        return frozenset(found)

    async def _list_orphans(self, agency: Agency, provider: str, keys: Collection[str]) -> list[Orphan]:
        """Copies still to be deleted, and those that the ladder would no longer reach."""
        pool = self.sites.database.settings
        after = replace(agency, active_provider=provider)
        kept = await list_synced_providers(pool, agency.id)
        unreached = [
            row
            for row in await list_copies(pool, agency.id)
            if row["provider"]
            not in reachable_providers(after, row["own"], {*keys, provider}, {*kept, row["provider"]}, self.providers)
        ]
        rows = [*await list_leftovers(pool, agency.id), *unreached]
        return [Orphan(row["provider"], row["client_id"], row["remote_id"]) for row in rows]


def _item(
    standing: Standing,
    action: Literal["create", "update", "adopt", "keep", "none"],
    lost: Sequence[str],
    reason: str | None,
) -> PlanItem:
    return PlanItem(standing.client.id, standing.client.name, action, list(lost), reason)
