"""With what a carrier account signs: the sealed tokens that agencies saved for it, former ones for a while among them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from router.store.pool import Connection
from router.store.rows import columns, read

_ROTATION: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class SealedToken:
    """A carrier account's auth token as one agency saved it."""

    agency_id: str
    kind: str
    version: int
    sealed: str


ACCOUNT_TOKENS: Final = f"""
SELECT {columns(SealedToken)}
  FROM keys
 WHERE account_sid = $1 AND (retired_at IS NULL OR retired_at > $2)
 ORDER BY retired_at NULLS FIRST, saved_at DESC
"""


async def find_account_tokens(connection: Connection, account_sid: str, now: datetime) -> tuple[SealedToken, ...]:
    """All tokens that may have signed for this account: the saved ones, and during a rotation the former."""
    return tuple(read(SealedToken, row) for row in await connection.fetch(ACCOUNT_TOKENS, account_sid, now - _ROTATION))
