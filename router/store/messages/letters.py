"""Letters that wait to be sent, as ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from router.store.pool import Connection
from router.store.rows import columns, fetch_column, fetch_row, returns_row


@dataclass(frozen=True, slots=True)
class WaitingLetter:
    """`kind` is the kind of letter, `tried` the number of failed attempts."""

    id: int
    kind: str
    ids: Mapping[str, Any]
    tried: int
    posted_at: datetime


async def insert_letter(
    connection: Connection, agency_id: str, kind: str, ids: Mapping[str, str | int], once: str, now: datetime
) -> None:
    """Unless one with the same `once` waits."""
    statement = """
        INSERT INTO letters (agency_id, kind, ids, once, posted_at, due_at) VALUES ($1, $2, $3, $4, $5, $5)
        ON CONFLICT (kind, once) DO NOTHING
    """
    await connection.execute(statement, agency_id, kind, ids, once, now)


async def find_next_letter(connection: Connection, agency_id: str) -> datetime | None:
    """When the agency's next letter is due."""
    statement = """SELECT min(due_at) FROM letters WHERE agency_id = $1"""
    found: datetime | None = await connection.fetchval(statement, agency_id)
    return found


async def claim_letter(connection: Connection, agency_id: str, now: datetime, until: datetime) -> WaitingLetter | None:
    """One that is due. It is not due again before `until`."""
    statement = f"""
        UPDATE letters SET due_at = $3, waits = false
         WHERE id = (SELECT id FROM letters WHERE agency_id = $1 AND due_at <= $2
                      ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING {columns(WaitingLetter)}
    """
    return await fetch_row(connection, WaitingLetter, statement, agency_id, now, until)


async def postpone_letter(connection: Connection, letter_id: int, due_at: datetime) -> None:
    """After a failed attempt."""
    statement = """UPDATE letters SET due_at = $2, tried = tried + 1 WHERE id = $1"""
    await connection.execute(statement, letter_id, due_at)


async def hold_letter(connection: Connection, letter_id: int, due_at: datetime) -> None:
    """Until its address confirms, or to be looked at again then."""
    await connection.execute("""UPDATE letters SET due_at = $2, waits = true WHERE id = $1""", letter_id, due_at)


async def release_letters(connection: Connection, agency_id: str, now: datetime) -> bool:
    """Those that were held are due again: an address has confirmed. Whether there were any."""
    statement = """UPDATE letters SET due_at = $2, waits = false WHERE agency_id = $1 AND waits RETURNING id"""
    return await returns_row(connection, statement, agency_id, now)


async def postpone_letters(
    connection: Connection, agency_id: str, letter_id: int, now: datetime, due_at: datetime
) -> None:
    """The one that is claimed, and all of the agency's that are due."""
    statement = """UPDATE letters SET due_at = $4 WHERE agency_id = $1 AND (id = $2 OR due_at <= $3)"""
    await connection.execute(statement, agency_id, letter_id, now, due_at)


async def delete_letter(connection: Connection, letter_id: int) -> None:
    """It is sent, or never will be."""
    await connection.execute("""DELETE FROM letters WHERE id = $1""", letter_id)


async def list_agencies_with_letters(connection: Connection, now: datetime) -> list[str]:
    """Those with a letter that is due."""
    statement = """SELECT DISTINCT agency_id FROM letters WHERE due_at <= $1"""
    return await fetch_column(connection, statement, now)
