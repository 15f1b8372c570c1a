"""Erasing the stored answers of calls that are over. The steps stay: they are what is answered only once."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from router.store.pool import Connection

# Rows in use are left for the next time. The index holds only steps that still have an answer.
ERASE_ANSWERS: Final = """
WITH old AS (
    SELECT s.account_sid, s.call_sid, s.step
      FROM call_steps s
     WHERE s.answer IS NOT NULL AND s.claimed_at < $1
       AND (s.claimed_at < $2 OR EXISTS (SELECT FROM calls c WHERE c.id = s.call_id AND c.ended_at < $1))
     ORDER BY s.claimed_at
     LIMIT $3
       FOR UPDATE OF s SKIP LOCKED
), erased AS (
    UPDATE call_steps s
       SET answer = NULL
      FROM old
     WHERE s.account_sid = old.account_sid AND s.call_sid = old.call_sid AND s.step = old.step
    RETURNING s.step
)
SELECT count(*) FROM erased
"""


async def erase_answers(connection: Connection, *, ended_before: datetime, begun_before: datetime, limit: int) -> int:
    """Of calls that ended before then, or whose step is that old. How many there were, `limit` at most."""
    erased: int = await connection.fetchval(ERASE_ANSWERS, ended_before, begun_before, limit)
    return erased
