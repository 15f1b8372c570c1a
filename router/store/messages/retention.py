"""Deleting messages, and what was said on calls. The caller deletes the recordings at the carrier first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from router.store.pool import Connection
from router.store.rows import columns, fetch_rows, read

_DELETED_KNOWN: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class OldMessage:
    """A message to delete, and where its recording is."""

    id: str
    account_sid: str
    recording_sid: str
    at: datetime
    elsewhere: bool


_MESSAGES: Final = f"""SELECT {columns(OldMessage)} FROM voicemails"""


async def list_retentions(connection: Connection) -> list[tuple[str, timedelta]]:
    """Agencies that delete messages and what was said on calls, and after how long."""
    rows = await connection.fetch(
        """SELECT id, retention_days FROM agencies WHERE retention_days IS NOT NULL ORDER BY id"""
    )
    return [(row["id"], timedelta(days=row["retention_days"])) for row in rows]


async def list_messages_before(
    connection: Connection, agency_id: str, before: datetime | None, *, after: tuple[datetime, str] | None, limit: int
) -> list[OldMessage]:
    """Oldest first. `before` None: all."""
    rows = await connection.fetch(
        f"""
        {_MESSAGES}
         WHERE agency_id = $1 AND ($2::timestamptz IS NULL OR at < $2) AND ($3::timestamptz IS NULL OR (at, id) > ($3, $4))
         ORDER BY at, id
         LIMIT $5
        """,
        agency_id,
        before,
        *(after or (None, None)),
        limit,
    )
    return [read(OldMessage, row) for row in rows]


async def list_messages_of_call(connection: Connection, agency_id: str, call_id: str) -> list[OldMessage]:
    statement = f"""{_MESSAGES} WHERE agency_id = $1 AND call_id = $2 ORDER BY at, id"""
    return await fetch_rows(connection, OldMessage, statement, agency_id, call_id)


async def forget_calls_before(
    connection: Connection, agency_id: str, before: datetime, now: datetime, limit: int
) -> int:
    """Erase what was said, who called and what happened from old calls. How many there were, `limit` at most."""
    forgotten: int = await connection.fetchval(
        """
        WITH old AS (
            SELECT id FROM calls
             WHERE agency_id = $1 AND started_at < $2 AND forgotten_at IS NULL
             ORDER BY started_at
             LIMIT $4
        ), told AS (
            DELETE FROM call_events WHERE call_id IN (SELECT id FROM old)
        ), stepped AS (
            DELETE FROM call_steps WHERE call_id IN (SELECT id FROM old)
        ), said AS (
            DELETE FROM transcripts WHERE call_id IN (SELECT id FROM old)
        ), forgotten AS (
            UPDATE calls
               SET forgotten_at = $3, from_number = '', summary = NULL, transcript = NULL, provider_call_id = NULL,
                   ringing_phone = NULL, ringing_shows = NULL, ringing_until = NULL
             WHERE id IN (SELECT id FROM old)
            RETURNING id
        )
        SELECT count(*) FROM forgotten
        """,
        agency_id,
        before,
        now,
        limit,
    )
    return forgotten


async def delete_call(connection: Connection, agency_id: str, call_id: str, now: datetime) -> None:
    """With its messages, events and answers. That it was deleted is kept for a while."""
    await connection.execute(
        """
        WITH gone AS (
            DELETE FROM calls WHERE agency_id = $1 AND id = $2 RETURNING id, account_sid, call_sid
        ), noted AS (
            INSERT INTO deleted_calls (account_sid, call_sid, at) SELECT account_sid, call_sid, $3 FROM gone
            ON CONFLICT DO NOTHING
        )
        DELETE FROM call_steps WHERE call_id IN (SELECT id FROM gone)
        """,
        agency_id,
        call_id,
        now,
    )


async def forget_deletions(connection: Connection, now: datetime) -> None:
    """Of calls and messages so old that no sweep would find them at the carrier, and no callback comes for them."""
    await connection.execute("""DELETE FROM deleted_calls WHERE at < $1""", now - _DELETED_KNOWN)
    await connection.execute("""DELETE FROM deleted_messages WHERE at < $1""", now - _DELETED_KNOWN)
