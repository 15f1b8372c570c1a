"""What stands at providers now, and whether it is what is wanted: for plans, and for whoever decides what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from router.store.assistants.places import ASKED, FINGERPRINT, Place
from router.store.pool import Connection
from router.store.rows import columns, read, sql
from router.store.tenants.clients import Client


async def list_own_copies(connection: Connection, client_id: str) -> set[str]:
    """Providers at which the client has an assistant that is ours, or is to have one."""
    rows = await connection.fetch(
        """SELECT provider FROM assistants WHERE client_id = $1 AND state <> 'linked'""", client_id
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
    parts: Mapping[str, str] = field(metadata=sql("coalesce(t.parts, '{}')"))
    current: bool
    lost: tuple[str, ...] = field(metadata=sql("coalesce(t.lost, '{}')"))

    @property
    def is_there(self) -> bool:
        """Whether a copy of ours is known to be there."""
        return self.state == "synced" or self.remote_id is not None or bool(self.parts)


_STANDING: Final = f"""{columns(Client, "c")}, {columns(Standing, "s", without=("client", "current"))}"""


async def survey(connection: Connection, place: Place) -> list[Standing]:
    """All clients of the agency, oldest first."""
    rows = await connection.fetch(
        f"""
        SELECT {_STANDING}, coalesce(s.synced_hash = {FINGERPRINT}, false) AS current
          FROM {ASKED}
          JOIN clients c ON c.agency_id = asked.agency_id
          LEFT JOIN assistants s ON s.client_id = c.id AND s.provider = asked.provider
         ORDER BY c.created_at, c.id
        """,
        *place.values,
    )
    return [read(Standing, row, client=read(Client, row)) for row in rows]
