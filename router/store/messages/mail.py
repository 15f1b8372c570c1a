"""Which messages a mail is due about, and what became of it. The messages themselves are router.store.messages.voicemails'."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from router.store.pool import Connection
from router.store.rows import read


@dataclass(frozen=True, slots=True)
class Message:
    """A message, and what a mail about it needs to know of its client and call."""

    id: str
    agency_id: str
    client_id: str
    call_id: str
    call_sid: str
    account_sid: str
    recording_sid: str
    from_number: str
    at: datetime
    seconds: int
    transcript: str | None
    mail_state: str
    client_name: str
    notify_email: str | None
    routing: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Due:
    """A message that somebody waits to hear of, or that nobody `wanted` to hear of."""

    voicemail_id: str
    agency_id: str
    wanted: bool


async def claim_due_mail(connection: Connection, now: datetime, limit: int, *, wanted: bool) -> list[Due]:
    """Messages that a letter is to be posted about in this transaction.

    None about those of clients without an address, nor where no mail is `wanted` at all: they are done with.
    """
    rows = await connection.fetch(
        """
        WITH due AS (
            SELECT v.id, c.notify_email IS NOT NULL AND $3 AS wanted
              FROM voicemails v
              LEFT JOIN clients c ON c.id = v.client_id
             WHERE v.mail_state = 'new' AND (v.transcript_due IS NULL OR v.transcript_due <= $1)
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
    row = await connection.fetchrow(
        """
        SELECT v.id, v.agency_id, v.client_id, v.call_id, k.call_sid, v.account_sid, v.recording_sid, v.from_number,
               v.at, v.seconds, v.transcript, v.mail_state, c.name AS client_name, c.notify_email, c.routing
          FROM voicemails v
          JOIN calls k ON k.id = v.call_id
          JOIN clients c ON c.id = v.client_id
         WHERE v.id = $1
        """,
        voicemail_id,
    )
    return read(Message, row) if row else None


async def set_mail_state(connection: Connection, voicemail_id: str, state: str) -> None:
    await connection.execute("""UPDATE voicemails SET mail_state = $2 WHERE id = $1""", voicemail_id, state)
