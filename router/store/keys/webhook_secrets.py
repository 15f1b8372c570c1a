"""What proves an agency's provider webhooks: the sealed secrets of its keys, former versions for a while among them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from router.store.pool import Connection
from router.store.rows import columns, read

_FORMER: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class SealedSecrets:
    """One version of a key, with what it signs webhooks with."""

    agency_id: str
    kind: str
    version: int
    sealed: str
    webhook_sealed: str | None
    webhook_token_sealed: str | None


FIND_WEBHOOK_SECRETS: Final = f"""
SELECT {columns(SealedSecrets, "k")}
  FROM agencies a
  LEFT JOIN keys k ON k.agency_id = a.id AND k.kind = $2 AND (k.retired_at IS NULL OR k.retired_at > $3)
 WHERE a.id = $1
 ORDER BY k.version DESC
"""


async def find_webhook_secrets(
    connection: Connection, agency_id: str, kind: str, now: datetime
) -> tuple[SealedSecrets, ...] | None:
    """None: there is no such agency. Empty: it has no key of that kind."""
    rows = await connection.fetch(FIND_WEBHOOK_SECRETS, agency_id, kind, now - _FORMER)
    if not rows:
        return None
    return tuple(read(SealedSecrets, row) for row in rows if row["version"] is not None)
