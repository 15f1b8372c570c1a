"""What making a provider the active one would do, client by client. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from adapters.base import ProviderError
from adapters.portable import AssistantHost
from crypto import OpenError
from router.api.sync_models import OrphanReply, PlanItem, PlanReply
from router.assistants.definition import make_place, marker_of, read_assistant
from router.assistants.site import Site
from router.assistants.wanted import reachable_providers
from router.particulars import particulars_of
from router.services import ApiServices
from router.store.assistants.leftovers import list_leftovers
from router.store.assistants.places import Place, list_synced_providers
from router.store.assistants.standings import Standing, list_copies, survey
from router.store.keys.versions import StoredKey, find_pause, list_keys_in_use
from router.store.numbers.numbers import list_numbers
from router.store.tenants.agencies import Agency

_LOOKED_FOR: Final = 20  # clients without a copy whose marker is looked for; the work itself looks for all
_LOOK_SECONDS: Final = 8.0
_LOOK_LIMIT: Final = 4.0


async def make_plan(services: ApiServices, agency: Agency, provider: str) -> PlanReply:
    """Without a key for it, too: then nothing is looked for there."""
    pool = services.database.settings
    keys = {key.kind: key for key in await list_keys_in_use(pool, agency.id)}
    key, host = keys.get(provider), services.assistant_hosts.get(provider)
    place = make_place(services, key) if key else Place(agency.id, provider, form="", numbered=False)
    standings = await survey(pool, place)
    found = await _look_for_copies(services, host, key, standings) if host and key else frozenset[str]()
    numbers = await list_numbers(pool, agency.id)
    return PlanReply(
        provider=provider,
        items=[_plan_client(services, standing, provider, found) for standing in standings],
        orphans=await _list_orphans(services, agency, provider, keys),
        staying_behind=[one.e164 for one in numbers if one.carrier in services.voice and one.carrier != provider],
    )


def _plan_client(services: ApiServices, standing: Standing, provider: str, found: Collection[str]) -> PlanItem:
    client, host = standing.client, services.assistant_hosts.get(provider)
    assistant = read_assistant(client, provider)
    if standing.state == "linked":
        return _item(standing, "keep", standing.lost, "It is linked, and left alone.")
    if assistant is None or host is None:
        return _item(standing, "none", (), "It has no assistant here yet.")
    lost = host.lost_features(assistant)
    reason = None
    if client.provider not in (None, provider):
        own = particulars_of(client.provider or "").label
        reason = f"It has {own} as its own provider; this one stands by."
    if standing.is_there:
        return _item(standing, "keep" if standing.state == "synced" and standing.current else "update", lost, reason)
    return _item(standing, "adopt" if client.id in found else "create", lost, reason)


def _item(standing: Standing, action: str, lost: Sequence[str], reason: str | None) -> PlanItem:
    client = standing.client
    return PlanItem.model_validate(
        {"client_id": client.id, "client_name": client.name, "action": action, "lost": list(lost), "reason": reason}
    )


async def _look_for_copies(
    services: ApiServices, host: AssistantHost, key: StoredKey, standings: Sequence[Standing]
) -> frozenset[str]:
    """Clients whose copy is there although we know of none: as far as a short look tells."""
    until = await find_pause(services.database.settings, key)
    if until is not None and until > services.clock():
        return frozenset()
    site, found = Site(services, host, key), set()
    missing = [
        one.client.id for one in standings if one.client.assistant and one.state != "linked" and not one.is_there
    ]
    with suppress(ProviderError, OpenError, TimeoutError):
        async with asyncio.timeout(_LOOK_SECONDS):
            for client_id in missing[:_LOOKED_FOR]:
                if await host.find_copy(marker_of(client_id), site.open(), _LOOK_LIMIT):
                    found.add(client_id)
    return frozenset(found)


async def _list_orphans(
    services: ApiServices, agency: Agency, provider: str, keys: Collection[str]
) -> list[OrphanReply]:
    """What is still to be deleted, and what the ladder would not reach any more."""
    pool = services.database.settings
    after = replace(agency, active_provider=provider)
    kept = await list_synced_providers(pool, agency.id)
    left = [OrphanReply.model_validate(dict(row)) for row in await list_leftovers(pool, agency.id)]
    unreached = [
        OrphanReply(provider=row["provider"], client_id=row["client_id"], remote_id=row["remote_id"])
        for row in await list_copies(pool, agency.id)
        if row["provider"]
        not in reachable_providers(after, row["own"], {*keys, provider}, {*kept, row["provider"]}, services.voice)
    ]
    return [*left, *unreached]
