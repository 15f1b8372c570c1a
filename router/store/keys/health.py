"""Health of keys in use: which are due for a check, what was found, and how many calls their providers allow at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from adapters.portable import Lines
from router.store.keys.versions import KeyStatus
from router.store.pool import Connection
from router.store.rows import columns, fetch_rows, returns_row

CHECK_AGAIN: Final = timedelta(minutes=1)
"""How long after a first bad finding the key is checked again; only a second one counts."""

# Our own calls that had a line at that moment, also if they have ended since.
_OWN_LINES: Final = """
    SELECT count(*) FROM calls c
     WHERE c.agency_id = k.agency_id AND c.provider = k.kind
       AND c.started_at BETWEEN $4::timestamptz - interval '1 hour' AND $4::timestamptz
       AND (c.ended_at IS NULL OR c.ended_at >= $4::timestamptz)
"""


@dataclass(frozen=True, slots=True)
class DueKey:
    """A key in use that is due for a check."""

    agency_id: str
    kind: str
    version: int
    sealed: str = field(repr=False)
    account_sid: str | None
    status: KeyStatus


@dataclass(frozen=True, slots=True)
class Finding:
    """What the provider or carrier says of the key. `problem` in its words; `balance` in US dollars, None: unknown."""

    status: KeyStatus
    problem: str | None = None
    balance: float | None = None
    lines: Lines | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """What a finding changed. `alert`: the agency has to be told, and was not yet."""

    change: Literal["failed", "recovered"] | None = None
    alert: bool = False


CLAIM_DUE_KEYS: Final = f"""
WITH due AS (
    SELECT agency_id, kind, version
      FROM keys
     WHERE kind = $1 AND retired_at IS NULL AND check_at <= $2
     ORDER BY check_at
     LIMIT $4
       FOR UPDATE SKIP LOCKED
)
UPDATE keys k
   SET check_at = $3
  FROM due
 WHERE k.agency_id = due.agency_id AND k.kind = due.kind AND k.version = due.version
RETURNING {columns(DueKey, "k")}
"""


async def claim_due_keys(
    connection: Connection, kind: str, now: datetime, leased_until: datetime, limit: int
) -> list[DueKey]:
    """Those that have waited longest, leased to the caller. Those not checked by `leased_until` are due again."""
    return await fetch_rows(connection, DueKey, CLAIM_DUE_KEYS, kind, now, leased_until, limit)


async def put_off(connection: Connection, key: DueKey, until: datetime) -> None:
    """The check gave no result."""
    statement = """UPDATE keys SET check_at = $4 WHERE agency_id = $1 AND kind = $2 AND version = $3"""
    await connection.execute(statement, key.agency_id, key.kind, key.version, until)


async def note_finding(
    connection: Connection, key: DueKey, finding: Finding, now: datetime, next_check: datetime
) -> Noted:
    """Save it. A bad status counts once it was found twice, a minute apart. Needs a transaction."""
    row = await connection.fetchrow(
        """
        SELECT status, suspected, alerted_at
          FROM keys
         WHERE agency_id = $1 AND kind = $2 AND version = $3 AND retired_at IS NULL
           FOR UPDATE
        """,
        key.agency_id,
        key.kind,
        key.version,
    )
    if row is None:  # replaced or deleted meanwhile
        return Noted()
    status, suspected, change = judge(row["status"], row["suspected"], finding.status)
    alert = status != "valid" and row["alerted_at"] is None
    await connection.execute(
        """
        UPDATE keys
           SET status = $4, suspected = $5, checked_at = $6, check_at = $7,
               problem = CASE WHEN $4 = 'valid' THEN NULL ELSE coalesce($8, problem) END,
               balance = CASE WHEN $9 THEN $10 ELSE balance END,
               failing_since = CASE WHEN $4 <> 'valid' THEN coalesce(failing_since, $6) END,
               unproven_at = CASE WHEN unproven_at > $6 - interval '1 day' THEN unproven_at END,
               alerted_at = CASE WHEN $4 <> 'valid' THEN coalesce(alerted_at, $6) END
         WHERE agency_id = $1 AND kind = $2 AND version = $3
        """,
        key.agency_id,
        key.kind,
        key.version,
        status,
        suspected,
        now,
        now + CHECK_AGAIN if suspected else next_check,
        finding.problem,
        finding.status == "valid" or finding.balance is not None,
        finding.balance,
    )
    if finding.lines is not None:
        await note_lines(connection, key.agency_id, key.kind, key.version, finding.lines, now)
    return Noted(change, alert)


def judge(
    status: KeyStatus, suspected: KeyStatus | None, found: KeyStatus
) -> tuple[KeyStatus, KeyStatus | None, Literal["failed", "recovered"] | None]:
    """Status, suspicion and change, after this was found."""
    if found == "valid":
        return "valid", None, None if status == "valid" else "recovered"
    if found == status:
        return status, None, None
    if found == suspected:
        return found, None, "failed"
    return status, found, None


NOTE_LINES: Final = f"""
UPDATE keys k
   SET lines_limit = $5, lines_used = $6, lines_at = $4,
       lines_others = greatest($6::integer - ({_OWN_LINES}), 0),
       overflow_told_at = CASE WHEN k.lines_limit < $5 THEN NULL ELSE k.overflow_told_at END
 WHERE k.agency_id = $1 AND k.kind = $2 AND k.version = $3 AND k.retired_at IS NULL
"""


async def note_lines(
    connection: Connection, agency_id: str, kind: str, version: int, lines: Lines, at: datetime
) -> None:
    """How many calls at once the provider allowed the agency at that moment."""
    await connection.execute(NOTE_LINES, agency_id, kind, version, at, lines.limit, lines.used)


NOTE_NO_CREDIT: Final = """
UPDATE keys SET credit_refused_at = $4
 WHERE agency_id = $1 AND kind = $2 AND version = $3 AND retired_at IS NULL
"""


async def note_no_credit(connection: Connection, agency_id: str, kind: str, version: int, now: datetime) -> None:
    """A live call was refused for lack of credit."""
    await connection.execute(NOTE_NO_CREDIT, agency_id, kind, version, now)


LACKS_CREDIT: Final = """
SELECT EXISTS (
    SELECT
      FROM keys k
     WHERE k.agency_id = $1 AND k.kind = $2 AND k.version = $3 AND k.credit_refused_at IS NOT NULL
       AND NOT EXISTS (
           SELECT
             FROM calls c
             JOIN call_events e ON e.call_id = c.id
            WHERE c.agency_id = k.agency_id AND c.started_at > k.credit_refused_at
              AND e.provider = k.kind AND e.event = 'handoff.succeeded' AND e.at > k.credit_refused_at + $4::interval
       )
)
"""


async def lacks_credit(connection: Connection, key: DueKey) -> bool:
    """Whether a live call was refused for lack of credit, and none was taken since. A call counts as taken some time
    after: some providers take calls at first, and end them for lack of credit.
    """
    return bool(await connection.fetchval(LACKS_CREDIT, key.agency_id, key.kind, key.version, 2 * CHECK_AGAIN))


HASTEN_CHECK: Final = """
UPDATE keys SET check_at = $4
 WHERE agency_id = $1 AND kind = $2 AND version = $3 AND retired_at IS NULL AND check_at > $4 AND checked_at < $5
"""


async def hasten_check(connection: Connection, agency_id: str, kind: str, version: int, now: datetime) -> None:
    """A live call was refused: check this key now, unless that has just been done."""
    await connection.execute(HASTEN_CHECK, agency_id, kind, version, now, now - CHECK_AGAIN)


NOTE_OVERFLOW: Final = """
UPDATE keys SET overflow_told_at = $4
 WHERE agency_id = $1 AND kind = $2 AND version = $3 AND retired_at IS NULL AND overflow_told_at IS NULL
RETURNING version
"""


async def note_overflow(connection: Connection, agency_id: str, kind: str, version: int, now: datetime) -> bool:
    """A call went elsewhere because no line was free. Whether the agency still has to be told, once for each limit."""
    return await returns_row(connection, NOTE_OVERFLOW, agency_id, kind, version, now)
