"""What stands at providers now, and whether it is what is wanted: for plans, and for whoever decides what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from router.store.assistants.places import ASKED, FINGERPRINT, Place, take_client
from router.store.pool import Connection
from router.store.tenants.clients import Client


async def list_own_copies(connection: Connection, client_id: str) -> set[str]:
    """Providers at which the client has an assistant that is ours, or is to have one."""
    rows = await connection.fetch(
        "SELECT provider FROM assistants WHERE client_id = $1 AND state <> 'linked'", client_id
    )
    return {row["provider"] for row in rows}


async def list_copies(connection: Connection, agency_id: str) -> list[Any]:
    """All copies of our making: client_id, the client's own provider, provider, remote_id."""
    rows: list[Any] = await connection.fetch(
        """
        SELECT s.client_id, c.provider AS own, s.provider, s.remote_id
          FROM assistants s
          JOIN clients c ON c.id = s.client_id
         WHERE c.agency_id = $1 AND s.state <> 'linked' AND s.usable
         ORDER BY c.created_at, c.id, s.provider
        """,
        agency_id,
    )
    return rows


@dataclass(frozen=True, slots=True)
class Standing:
    """A client and its row at a place. `current`: what is there is what is wanted."""

    client: Client
    state: str | None
    remote_id: str | None
    parts: Mapping[str, str]
    current: bool
    lost: tuple[str, ...]

    @property
    def is_there(self) -> bool:
        """Whether a copy of ours is known to be there."""
        return self.state == "synced" or self.remote_id is not None or bool(self.parts)


async def survey(connection: Connection, place: Place) -> list[Standing]:
    """All clients of the agency, oldest first."""
    rows = await connection.fetch(
        f"""
        SELECT c.id, c.agency_id, c.name, c.personal_phone, c.notify_email, c.provider, c.caller_id, c.routing,
               c.assistant, c.created_at, s.state, s.remote_id, coalesce(s.parts, '{{}}') AS parts,
               coalesce(s.synced_hash = {FINGERPRINT}, false) AS current, coalesce(s.lost, '{{}}') AS lost
          FROM {ASKED}
          JOIN clients c ON c.agency_id = asked.agency_id
          LEFT JOIN assistants s ON s.client_id = c.id AND s.provider = asked.provider
         ORDER BY c.created_at, c.id
        """,  # noqa: S608  (put together from constants)
        *place.values,
    )
    return [_read_standing(dict(row)) for row in rows]


def _read_standing(row: dict[str, Any]) -> Standing:
    client = take_client(row)
    return Standing(**{**row, "lost": tuple(row["lost"])}, client=client)
