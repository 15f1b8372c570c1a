"""Deleting messages, and what was said on calls. The caller deletes the recordings at the carrier first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from router.store.pool import Connection
from router.store.rows import columns, fetch_rows, read

_DELETED_KNOWN: Final = timedelta(days=30)
_RECORDED_LATE: Final = timedelta(days=7)
_BEFORE_ALL_CALLS: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OldMessage:
    """A message to delete, and where its recording is."""

    id: str
    account_sid: str
    recording_sid: str
    at: datetime
    elsewhere: bool


@dataclass(frozen=True, slots=True)
class AgencyRetention:
    """An agency that deletes messages and what was said on calls after so many days. `forgotten_until`: how far it has."""

    id: str
    retention_days: int
    forgotten_until: datetime | None

    @property
    def calls_since(self) -> datetime:
        """Where to look for calls to forget. Calls may be recorded days after they began, so it lies before that."""
        if self.forgotten_until is None:
            return _BEFORE_ALL_CALLS
        return self.forgotten_until - _RECORDED_LATE


_MESSAGES: Final = f"""SELECT {columns(OldMessage)} FROM voicemails"""


async def list_retentions(connection: Connection, *, after: str, limit: int) -> list[AgencyRetention]:
    """In the order of the agencies' ids, beginning behind `after`."""
    statement = f"""
        SELECT {columns(AgencyRetention)}
          FROM agencies
         WHERE retention_days IS NOT NULL AND id > $1
         ORDER BY id
         LIMIT $2
    """
    return await fetch_rows(connection, AgencyRetention, statement, after, limit)


async def list_messages_before(
    connection: Connection, agency_id: str, before: datetime | None, *, after: tuple[datetime, str] | None, limit: int
) -> list[OldMessage]:
    """Oldest first. `before` None: all."""
    rows = await connection.fetch(
        f"""
        {_MESSAGES}
         WHERE agency_id = $1 AND at < coalesce($2::timestamptz, 'infinity')
           AND (at, id) > (coalesce($3::timestamptz, '-infinity'), coalesce($4, ''))
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


FORGET_CALLS: Final = """
WITH old AS (
    SELECT id, started_at FROM calls
     WHERE agency_id = $1 AND started_at >= $2 AND started_at < $3 AND forgotten_at IS NULL
     ORDER BY started_at, id
     LIMIT $5
), told AS (
    DELETE FROM call_events WHERE call_id IN (SELECT id FROM old)
), stepped AS (
    DELETE FROM call_steps WHERE call_id IN (SELECT id FROM old)
), said AS (
    DELETE FROM transcripts WHERE call_id IN (SELECT id FROM old)
), forgotten AS (
    UPDATE calls
       SET forgotten_at = $4, from_number = '', summary = NULL, transcript = NULL, turns = NULL, provider_call_id = NULL,
           ringing_phone = NULL, ringing_shows = NULL, ringing_until = NULL
     WHERE id IN (SELECT id FROM old)
    RETURNING id
)
SELECT (SELECT count(*) FROM forgotten) AS count, (SELECT max(started_at) FROM old) AS latest
"""


async def forget_calls(
    connection: Connection, agency_id: str, *, since: datetime, before: datetime, now: datetime, limit: int
) -> tuple[int, datetime]:
    """Erase what was said, who called and what happened from calls that began then, the oldest first.

    Returns how many there were, `limit` at most, and where to go on.
    """
    [row] = await connection.fetch(FORGET_CALLS, agency_id, since, before, now, limit)
    return row["count"], row["latest"] or before


async def note_forgotten(connection: Connection, agency_id: str, until: datetime) -> None:
    """All calls of the agency that began before then are done with."""
    statement = """UPDATE agencies SET forgotten_until = greatest(forgotten_until, $2) WHERE id = $1"""
    await connection.execute(statement, agency_id, until)


DELETE_ENDED_CALLS: Final = """
WITH gone AS (
    DELETE FROM calls
     WHERE id IN (SELECT id FROM calls WHERE agency_id = $1 AND ended_at IS NOT NULL ORDER BY started_at, id LIMIT $2)
    RETURNING id
), stepped AS (
    DELETE FROM call_steps WHERE call_id IN (SELECT id FROM gone)
)
SELECT count(*) FROM gone
"""


async def delete_ended_calls(connection: Connection, agency_id: str, limit: int) -> int:
    """Of an agency that is being deleted. How many there were, `limit` at most."""
    deleted: int = await connection.fetchval(DELETE_ENDED_CALLS, agency_id, limit)
    return deleted


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
