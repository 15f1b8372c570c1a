"""What carriers and providers sign their webhooks with: sealed keys and secrets, including recently retired versions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from router.store.keys.versions import RETIRED_KEPT
from router.store.pool import Connection
from router.store.rows import columns, fetch_rows, read


@dataclass(frozen=True, slots=True)
class SealedToken:
    """A carrier account's auth token as one agency saved it, and the shared keys that may sign instead, sealed together."""

    agency_id: str
    kind: str
    version: int
    sealed: str
    webhook_sealed: str | None = None
    shared_key_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SealedSecrets:
    """One version of a key, with what it signs webhooks with. Tokens are those of the version in use alone."""

    agency_id: str
    kind: str
    version: int
    sealed: str
    webhook_sealed: str | None
    webhook_token_sealed: str | None
    signed_at: datetime | None
    former_tokens: tuple[str, ...]


ACCOUNT_TOKENS: Final = f"""
SELECT {columns(SealedToken)}
  FROM keys
 WHERE account_sid = $1 AND (retired_at IS NULL OR retired_at > $2)
 ORDER BY retired_at NULLS FIRST, saved_at DESC
"""

FIND_WEBHOOK_SECRETS: Final = f"""
SELECT {columns(SealedSecrets, "k", without=("webhook_token_sealed", "former_tokens"))},
       CASE WHEN k.retired_at IS NULL THEN k.webhook_token_sealed END AS webhook_token_sealed,
       CASE WHEN k.retired_at IS NOT NULL THEN '{{}}'
            ELSE ARRAY(SELECT f.sealed FROM former_webhook_tokens f
                        WHERE f.agency_id = $1 AND f.kind = $2 AND f.until > $4
                        ORDER BY f.until DESC
                        LIMIT 5) END AS former_tokens
  FROM agencies a
  LEFT JOIN keys k ON k.agency_id = a.id AND k.kind = $2 AND (k.retired_at IS NULL OR k.retired_at > $3)
 WHERE a.id = $1
 ORDER BY k.version DESC
"""


async def find_account_tokens(connection: Connection, account_sid: str, now: datetime) -> tuple[SealedToken, ...]:
    """All tokens that may have signed for this account: the saved ones, and during a rotation the former."""
    return tuple(await fetch_rows(connection, SealedToken, ACCOUNT_TOKENS, account_sid, now - RETIRED_KEPT))


async def find_webhook_secrets(
    connection: Connection, agency_id: str, kind: str, now: datetime
) -> tuple[SealedSecrets, ...] | None:
    """None: there is no such agency. Empty: it has no key of that kind."""
    rows = await connection.fetch(FIND_WEBHOOK_SECRETS, agency_id, kind, now - RETIRED_KEPT, now)
    if not rows:
        return None
    return tuple(read(SealedSecrets, row) for row in rows if row["version"] is not None)
