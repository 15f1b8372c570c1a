"""What follows from a change of a client's numbers: its assistants have to know them, and the other way round."""

from __future__ import annotations

from router.assistants.wanted import sync_client
from router.services import ApiServices
from router.store.assistants.copies import has_assistant
from router.store.numbers.registrations import drop_registrations
from router.store.pool import Connection
from router.store.tenants.clients import Client


async def after_new_number(connection: Connection, services: ApiServices, client: Client) -> None:
    """Within the change that gave it to the client. Needs the agency and the client locked."""
    await sync_client(connection, services, client)


async def after_moved_number(connection: Connection, services: ApiServices, client: Client, e164: str) -> None:
    """Likewise. Without an assistant the former client's would go on answering a counterpart of ours: it goes."""
    if not await has_assistant(connection, client.id):
        await drop_registrations(connection, client.agency_id, e164=e164)
    await sync_client(connection, services, client)
