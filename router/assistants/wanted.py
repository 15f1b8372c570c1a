"""What is wanted where: called within the change of a key, an agency or a client that makes work necessary.

An assistant is kept at every provider that the client's ladder may reach: the client's own or the agency's active one,
and the fallbacks, as far as the agency has a key there. Saving a key, activating its provider or asking for a sync
starts keeping the agency's assistants there; removing them ends it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from router.assistants.definition import make_place
from router.jobs import enqueue_fresh
from router.services import ApiServices
from router.store.assistants.leftovers import hurry_leftovers, leave_copies
from router.store.assistants.places import list_synced_providers, start_sync, stop_sync
from router.store.assistants.standings import list_own_copies
from router.store.assistants.syncs import fail_pending, want_copies
from router.store.keys.versions import StoredKey, find_key_in_use, list_keys_in_use
from router.store.pool import Connection
from router.store.tenants.agencies import Agency, find_agency
from router.store.tenants.clients import Client

SYNC: Final = "assistants.sync"
FIRST: Final = 10
"""Priority of the provider that takes the calls; those that stand by come after it."""


async def nudge(connection: Connection, agency_id: str, provider: str, *, priority: int = 0) -> None:
    """Somebody is to look what there is to do there."""
    payload = {"agency_id": agency_id, "provider": provider}
    await enqueue_fresh(connection, SYNC, payload, once=f"{SYNC}/{agency_id}/{provider}", priority=priority)


def reachable_providers(
    agency: Agency, own: str | None, with_key: Collection[str], kept: Collection[str], order: Iterable[str]
) -> list[str]:
    """Where a client's assistant is to be, in the order of its ladder. `kept`: where the agency's assistants are kept;
    the first of the ladder needs no such start.
    """
    first = own or agency.active_provider
    fallbacks = order if agency.fallback_providers is None else agency.fallback_providers
    ladder = [*([first] if first else []), *(name for name in fallbacks if name in kept)]
    return [name for name in dict.fromkeys(ladder) if name in with_key]


async def sync_after_key(connection: Connection, services: ApiServices, agency: Agency, key: StoredKey) -> None:
    """A voice key was saved: all of the agency's assistants are put there with it."""
    if key.kind not in services.assistant_hosts:
        return
    now = services.clock()
    await start_sync(connection, agency.id, key.kind, now)
    await want_copies(connection, make_place(services, key), now, which="all")
    await hurry_leftovers(connection, agency.id, key.kind)
    await _nudge_in_order(connection, agency, key.kind)


async def end_without_key(connection: Connection, services: ApiServices, agency: Agency, provider: str) -> None:
    """The key is gone: what was still to do there cannot be done. What is there stays."""
    await stop_sync(connection, agency.id, provider)
    await fail_pending(
        connection, agency.id, provider, "There is no key for it any more.", services.clock(), key_version=None
    )


async def sync_after_recovery(connection: Connection, services: ApiServices, agency_id: str, provider: str) -> None:
    """The key works again: what failed there is tried again."""
    key = await find_key_in_use(connection, agency_id, provider)
    if key is None or provider not in services.assistant_hosts:
        return
    await want_copies(connection, make_place(services, key), services.clock(), new=False)
    await hurry_leftovers(connection, agency_id, provider)
    await nudge(connection, agency_id, provider)


async def sync_outdated(connection: Connection, services: ApiServices, agency_id: str, provider: str) -> None:
    """Our own address or our way of writing definitions may have changed: nothing of the agency's has to."""
    key = await find_key_in_use(connection, agency_id, provider)
    if key is None or provider not in services.assistant_hosts:
        return
    await want_copies(connection, make_place(services, key), services.clock(), which="outdated", new=False)
    await nudge(connection, agency_id, provider)


async def sync_after_switch(
    connection: Connection, services: ApiServices, agency: Agency, providers: Iterable[str | None]
) -> None:
    """These take calls from now on, or stand by: what is missing or outdated there is put there."""
    keys = {key.kind: key for key in await list_keys_in_use(connection, agency.id)}
    for provider in dict.fromkeys(providers):
        if provider in keys and provider in services.assistant_hosts:
            now = services.clock()
            await start_sync(connection, agency.id, provider, now)
            await want_copies(connection, make_place(services, keys[provider]), now)
            await _nudge_in_order(connection, agency, provider)


async def sync_client(connection: Connection, services: ApiServices, client: Client) -> None:
    """The client is new, or something of it or of its numbers changed: wherever it has an assistant, or is to have one."""
    agency = await find_agency(connection, client.agency_id)
    if agency is None:
        return
    if client.assistant is None:
        await leave_client(connection, services, client.agency_id, client.id)
        return
    keys = {key.kind: key for key in await list_keys_in_use(connection, agency.id)}
    kept = await list_synced_providers(connection, agency.id)
    wanted = reachable_providers(agency, client.provider, keys, kept, services.voice)
    there = await list_own_copies(connection, client.id)
    for provider in dict.fromkeys((*wanted, *(name for name in keys if name in there))):
        if provider in services.assistant_hosts:
            place = make_place(services, keys[provider])
            await want_copies(connection, place, services.clock(), client_id=client.id)
            await nudge(connection, agency.id, provider, priority=FIRST if wanted[:1] == [provider] else 0)


async def leave_client(
    connection: Connection, services: ApiServices, agency_id: str, client_id: str, provider: str | None = None
) -> None:
    """Its assistants of our making, or the one at this provider, are to be deleted there."""
    places = await leave_copies(connection, agency_id, services.clock(), client_id=client_id, provider=provider)
    for place in places:
        await nudge(connection, agency_id, place)


async def _nudge_in_order(connection: Connection, agency: Agency, provider: str) -> None:
    await nudge(connection, agency.id, provider, priority=FIRST if provider == agency.active_provider else 0)
