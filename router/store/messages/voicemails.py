"""Messages that callers left. The recordings themselves are at the carrier."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from router.store.pool import Connection
from router.store.rows import columns, read


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
    seconds: int
    transcript: str | None


_VOICEMAIL: Final = columns(Voicemail)


async def list_voicemails(
    connection: Connection, agency_id: str, *, after: tuple[datetime, str] | None, limit: int
) -> list[Voicemail]:
    """Newest first."""
    at, voicemail_id = after or (None, None)
    rows = await connection.fetch(
        f"""
        SELECT {_VOICEMAIL}
          FROM voicemails
         WHERE agency_id = $1 AND ($2::timestamptz IS NULL OR (at, id) < ($2, $3))
         ORDER BY at DESC, id DESC
         LIMIT $4
        """,
        agency_id,
        at,
        voicemail_id,
        limit,
    )
    return [read(Voicemail, row) for row in rows]


async def find_voicemail(connection: Connection, agency_id: str, voicemail_id: str) -> Voicemail | None:
    row = await connection.fetchrow(
        f"""
        SELECT {_VOICEMAIL}
          FROM voicemails
         WHERE agency_id = $1 AND id = $2
        """,
        agency_id,
        voicemail_id,
    )
    return read(Voicemail, row) if row else None


async def delete_voicemail(connection: Connection, agency_id: str, voicemail_id: str) -> None:
    await connection.execute("""DELETE FROM voicemails WHERE agency_id = $1 AND id = $2""", agency_id, voicemail_id)
