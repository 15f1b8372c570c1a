"""Clients of agencies, and their routing settings as JSON (the API's form) and as the words of the decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from router.routing.route import Hours, OpenSpan, Routing
from router.store.pool import Connection
from router.store.rows import columns, fetch_column, fetch_row, parameters, read, returns_row, values

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ROUTING: Final = tuple(field.name for field in fields(Routing))
_HOURS: Final = tuple(field.name for field in fields(Hours))


@dataclass(frozen=True, slots=True)
class Client:
    """One of an agency's businesses. `routing` and `assistant` are in the API's form."""

    id: str
    agency_id: str
    name: str
    personal_phone: str | None
    notify_email: str | None
    provider: str | None
    caller_id: str
    routing: dict[str, Any]
    assistant: dict[str, Any] | None
    created_at: datetime
    notify_email_confirmed: bool | None = None  # None without an address
    notify_email_problem: str | None = None  # why the last mail there was not delivered; None: it was
    marker: str | None = None  # by which its assistants are found at providers; None: by its id

    @property
    def problems(self) -> list[str]:
        """What needs attention, for people."""
        if self.notify_email_problem is None:
            return []
        return [f"Emails to {self.notify_email} are not delivered: {self.notify_email_problem}."]

    @property
    def language(self) -> str:
        """The language in which callers are spoken to, as a BCP 47 tag."""
        languages = (self.assistant or {}).get("languages") or ["en-US"]
        return str(languages[0])

    @property
    def transfer_to(self) -> str | None:
        """The phone to which its assistant transfers callers."""
        phone: str | None = (self.assistant or {}).get("transfer_to")
        return phone


_COLUMNS: Final = columns(Client)
_PARAMETERS: Final = parameters(Client)
_CLIENTS: Final = f"""SELECT {_COLUMNS} FROM clients"""
_FIND: Final = f"""{_CLIENTS} WHERE agency_id = $1 AND id = $2"""


def read_routing(value: Mapping[str, Any]) -> Routing:
    """Routing settings from the JSON of a client's row; what is absent has its default."""
    present = _present(_ROUTING, value)
    if "hours" in present:
        present["hours"] = _read_hours(present["hours"])
    return Routing(**present)


def _read_hours(value: Mapping[str, Any]) -> Hours:
    present = _present(_HOURS, value)
    return Hours(**present | {"open": tuple(_read_span(span) for span in value.get("open", ()))})


def _present(names: Iterable[str], value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value[name] for name in names if value.get(name) is not None}


def _read_span(value: dict[str, Any]) -> OpenSpan:
    days = tuple(sorted(_DAYS.index(day) for day in value["days"]))
    return OpenSpan(days, _read_minutes(value["from"]), _read_minutes(value["to"]))


def _read_minutes(clock: str) -> int:
    """Minutes after midnight of an HH:MM."""
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)


async def insert_client(connection: Connection, client: Client) -> None:
    await connection.execute(f"""INSERT INTO clients ({_COLUMNS}) VALUES ({_PARAMETERS})""", *values(client))


async def find_client(connection: Connection, agency_id: str, client_id: str) -> Client | None:
    return await fetch_row(connection, Client, _FIND, agency_id, client_id)


async def lock_client(connection: Connection, agency_id: str, client_id: str) -> Client | None:
    """Until the transaction ends, no other one can change the client."""
    return await fetch_row(connection, Client, f"""{_FIND} FOR NO KEY UPDATE""", agency_id, client_id)


async def list_clients(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[Client]:
    """Oldest first."""
    rows = await connection.fetch(
        f"""
        {_CLIENTS}
         WHERE agency_id = $1 AND (created_at, id) > (coalesce($2::timestamptz, '-infinity'), coalesce($3, ''))
         ORDER BY created_at, id
         LIMIT $4
        """,
        agency_id,
        *(after or (None, None)),
        limit,
    )
    return [read(Client, row) for row in rows]


async def is_phone_of_a_person(connection: Connection, agency_id: str, e164: str) -> bool:
    """Whether calls of one of the agency's clients ring it: as the owner's phone, or for a transfer."""
    statement = """
        SELECT id
          FROM clients
         WHERE agency_id = $1 AND (personal_phone = $2 OR assistant ->> 'transfer_to' = $2)
         LIMIT 1
    """
    return await returns_row(connection, statement, agency_id, e164)


async def list_clients_with_provider(connection: Connection, agency_id: str, provider: str) -> list[str]:
    """Names of the clients for which this provider is set."""
    statement = """SELECT name FROM clients WHERE agency_id = $1 AND provider = $2 ORDER BY created_at, id"""
    return await fetch_column(connection, statement, agency_id, provider)


async def update_client(connection: Connection, client: Client) -> None:
    await connection.execute(
        f"""UPDATE clients SET ({_COLUMNS}) = ROW ({_PARAMETERS}) WHERE id = $1 AND agency_id = $2""", *values(client)
    )


async def delete_client(connection: Connection, agency_id: str, client_id: str) -> bool:
    """With its assistants and numbers. Whether there was one."""
    return await returns_row(
        connection, """DELETE FROM clients WHERE agency_id = $1 AND id = $2 RETURNING id""", agency_id, client_id
    )
