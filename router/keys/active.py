"""Which provider is an agency's active one, and what it takes to be."""

from __future__ import annotations

from dataclasses import replace

from router.refusals import explain_no_key
from router.store.keys.versions import find_key_in_use
from router.store.pool import Connection
from router.store.tenants.agencies import Agency


def activate_provider(agency: Agency, provider: str | None) -> Agency:
    """The one before it goes on taking the calls of clients that are not there yet."""
    if provider == agency.active_provider:
        return agency
    return replace(agency, active_provider=provider, former_provider=agency.active_provider)


async def require_key(connection: Connection, agency_id: str, provider: str, label: str) -> None:
    """Raises NoKeyError."""
    if await find_key_in_use(connection, agency_id, provider) is None:
        raise explain_no_key(provider, label)
