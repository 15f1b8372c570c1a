"""Messages that callers left, and the emails about them. The recordings themselves are at the carrier."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from router.store.pool import Connection
from router.store.rows import columns, fetch_row, read


@dataclass(frozen=True, slots=True)
class Voicemail:
    """One message."""

    id: str
    account_sid: str
    recording_sid: str
    call_id: str
    client_id: str
    from_number: str
    at: datetime
    seconds: int | None  # None: the carrier did not say
    transcript: str | None
    elsewhere: bool = False


_VOICEMAILS: Final = f"""
SELECT {columns(Voicemail, "v", without=("transcript",))}, t.said AS transcript
  FROM voicemails v
  LEFT JOIN transcripts t ON t.voicemail_id = v.id
"""


async def list_voicemails(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[Voicemail]:
    """Newest first."""
    rows = await connection.fetch(
        f"""
        {_VOICEMAILS}
         WHERE v.agency_id = $1 AND (v.at, v.id) < (coalesce($2::timestamptz, 'infinity'), coalesce($3, ''))
         ORDER BY v.at DESC, v.id DESC
         LIMIT $4
        """,
        agency_id,
        *(after or (None, None)),
        limit,
    )
    return [read(Voicemail, row) for row in rows]


async def find_voicemail(connection: Connection, agency_id: str, voicemail_id: str) -> Voicemail | None:
    statement = f"""{_VOICEMAILS} WHERE v.agency_id = $1 AND v.id = $2"""
    return await fetch_row(connection, Voicemail, statement, agency_id, voicemail_id)


async def delete_voicemail(connection: Connection, agency_id: str, voicemail_id: str, now: datetime) -> None:
    """With what it says. That it was deleted is kept for a while."""
    statement = """
        WITH gone AS (
            DELETE FROM voicemails WHERE agency_id = $1 AND id = $2 RETURNING id
        ), noted AS (
            INSERT INTO deleted_messages (voicemail_id, at) SELECT id, $3 FROM gone
            ON CONFLICT DO NOTHING
        )
        DELETE FROM transcripts WHERE voicemail_id IN (SELECT id FROM gone)
    """
    await connection.execute(statement, agency_id, voicemail_id, now)


@dataclass(frozen=True, slots=True)
class Message:
    """A message, and what an email about it needs to know of its client and call."""

    id: str
    agency_id: str
    client_id: str
    call_id: str
    call_sid: str
    account_sid: str
    recording_sid: str
    from_number: str
    at: datetime
    seconds: int | None
    transcript: str | None
    mail_state: str
    client_name: str
    notify_email: str | None
    notify_email_confirmed: bool | None
    routing: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Due:
    """A message that an email is due about, if one is `wanted`."""

    voicemail_id: str
    agency_id: str
    wanted: bool


async def claim_due_mail(connection: Connection, now: datetime, limit: int, *, wanted: bool) -> list[Due]:
    """Messages for which an email is to be enqueued in this transaction.

    Not `wanted` are those of clients without an address, or all of them if the argument says so: they are settled now.
    """
    rows = await connection.fetch(
        """
        WITH due AS (
            SELECT v.id, c.notify_email IS NOT NULL AND $3 AS wanted
              FROM voicemails v
              LEFT JOIN clients c ON c.id = v.client_id
             WHERE v.mail_state = 'new'
               AND (v.transcript_due IS NULL OR v.transcript_due <= $1
                    OR EXISTS (SELECT FROM transcripts t WHERE t.voicemail_id = v.id))
             ORDER BY v.at
             LIMIT $2
               FOR UPDATE OF v SKIP LOCKED
        )
        UPDATE voicemails v
           SET mail_state = CASE WHEN due.wanted THEN 'posted' ELSE 'none' END
          FROM due
         WHERE v.id = due.id
        RETURNING v.id AS voicemail_id, v.agency_id, due.wanted
        """,
        now,
        limit,
        wanted,
    )
    return [read(Due, row) for row in rows]


async def find_message(connection: Connection, voicemail_id: str) -> Message | None:
    statement = """
        SELECT v.id, v.agency_id, v.client_id, v.call_id, k.call_sid, v.account_sid, v.recording_sid, v.from_number,
               v.at, v.seconds, t.said AS transcript, v.mail_state, c.name AS client_name, c.notify_email,
               c.notify_email_confirmed, c.routing
          FROM voicemails v
          JOIN calls k ON k.id = v.call_id
          JOIN clients c ON c.id = v.client_id
          LEFT JOIN transcripts t ON t.voicemail_id = v.id
         WHERE v.id = $1
    """
    return await fetch_row(connection, Message, statement, voicemail_id)


async def set_mail_state(connection: Connection, voicemail_id: str, state: str) -> None:
    await connection.execute("""UPDATE voicemails SET mail_state = $2 WHERE id = $1""", voicemail_id, state)
