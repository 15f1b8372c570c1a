"""What the sweep needs to know: calls that seem to be over, and how far each carrier account has been looked through.

Accounts of providers' own numbers are none of the carrier's and left out: their SIDs do not begin with AC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from router.store.calls.calls import StoredCall
from router.store.calls.records import InsertCall
from router.store.pool import Connection
from router.store.rows import columns, read

_FIRST_REACH: Final = timedelta(days=1)  # how far back an account is looked through that never was

# Silent ones, and of each account only some, so that no account's troubles keep the others waiting.
CLAIM_OVERDUE: Final = f"""
WITH overdue AS (
    SELECT c.id, row_number() OVER (PARTITION BY c.account_sid ORDER BY coalesce(c.swept_at, c.started_at)) AS place
      FROM calls c
     WHERE c.ended_at IS NULL AND c.started_at < $2 AND (c.swept_at IS NULL OR c.swept_at < $3)
       AND c.account_sid LIKE 'AC%'
       AND NOT EXISTS (SELECT FROM call_steps s WHERE s.call_id = c.id AND s.claimed_at >= $2)
), chosen AS (
    SELECT id FROM overdue WHERE place <= $4 ORDER BY place, id LIMIT $5
)
UPDATE calls c
   SET swept_at = $1
  FROM chosen
 WHERE c.id = chosen.id AND c.ended_at IS NULL AND (c.swept_at IS NULL OR c.swept_at < $3)
RETURNING {columns(StoredCall, "c")},
          (SELECT max(s.claimed_at) FROM call_steps s WHERE s.call_id = c.id) AS last_step_at
"""


@dataclass(frozen=True, slots=True)
class OverdueCall:
    """A call without an end, and when its last step was taken; None if none ever was."""

    call: StoredCall
    last_step_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccountSweep:
    """A carrier account that is to be looked through. All its calls that began before `swept_until` are known."""

    account_sid: str
    swept_until: datetime


@dataclass(frozen=True, slots=True)
class OurNumber:
    """A number of ours on an account."""

    e164: str
    agency_id: str
    client_id: str
    created_at: datetime


_CALL: Final = columns(StoredCall, "c")
_SWEEP: Final = columns(AccountSweep, "s")
_NUMBER: Final = columns(OurNumber)


async def claim_overdue_calls(
    connection: Connection, now: datetime, *, silent_since: datetime, not_since: datetime, of_account: int, limit: int
) -> list[OverdueCall]:
    """Calls without an end or a step since `silent_since`, claimed until somebody's `not_since` is past `now`."""
    rows = await connection.fetch(CLAIM_OVERDUE, now, silent_since, not_since, of_account, limit)
    return [read(OverdueCall, row, call=read(StoredCall, row)) for row in rows]


async def enrol_accounts(connection: Connection, now: datetime) -> None:
    """Every account that has numbers of ours, from the first of them on; no other."""
    await connection.execute(
        """
        INSERT INTO sweeps (account_sid, swept_until, next_at)
        SELECT n.account_sid, greatest(min(n.created_at), $2), $1
          FROM numbers n
         WHERE n.account_sid LIKE 'AC%' AND NOT EXISTS (SELECT FROM sweeps s WHERE s.account_sid = n.account_sid)
         GROUP BY n.account_sid
        ON CONFLICT DO NOTHING
        """,
        now,
        now - _FIRST_REACH,
    )
    await connection.execute(
        """
        DELETE FROM sweeps s WHERE NOT EXISTS (SELECT FROM numbers n WHERE n.account_sid = s.account_sid)
        """
    )


async def claim_sweeps(connection: Connection, now: datetime, leased_until: datetime, limit: int) -> list[AccountSweep]:
    rows = await connection.fetch(
        f"""
        WITH due AS (
            SELECT account_sid FROM sweeps WHERE next_at <= $1 ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED
        )
        UPDATE sweeps s
           SET next_at = $2
          FROM due
         WHERE s.account_sid = due.account_sid
        RETURNING {_SWEEP}
        """,
        now,
        leased_until,
        limit,
    )
    return [read(AccountSweep, row) for row in rows]


async def finish_sweep(connection: Connection, account_sid: str, swept_until: datetime, next_at: datetime) -> None:
    await connection.execute(
        """UPDATE sweeps SET swept_until = greatest(swept_until, $2), next_at = $3 WHERE account_sid = $1""",
        account_sid,
        swept_until,
        next_at,
    )


async def postpone_sweep(connection: Connection, account_sid: str, next_at: datetime) -> None:
    """It could not be looked through; the next time all of it is."""
    await connection.execute("""UPDATE sweeps SET next_at = $2 WHERE account_sid = $1""", account_sid, next_at)


async def list_numbers_on(connection: Connection, account_sid: str) -> list[OurNumber]:
    rows = await connection.fetch(
        f"""
        SELECT {_NUMBER}
          FROM numbers
         WHERE account_sid = $1
        """,
        account_sid,
    )
    return [read(OurNumber, row) for row in rows]


async def find_known_calls(connection: Connection, account_sid: str, call_sids: Sequence[str]) -> frozenset[str]:
    """Those of the account's calls that were recorded, also if they were deleted here since."""
    rows = await connection.fetch(
        """
        SELECT call_sid FROM calls WHERE account_sid = $1 AND call_sid = ANY ($2)
         UNION
        SELECT call_sid FROM deleted_calls WHERE account_sid = $1 AND call_sid = ANY ($2)
        """,
        account_sid,
        list(call_sids),
    )
    return frozenset(row["call_sid"] for row in rows)


async def find_unfiled(
    connection: Connection, account_sid: str, recordings: Sequence[tuple[str, str]]
) -> list[tuple[str, StoredCall]]:
    """Of recordings (each with its CallSid) those of recorded calls that are no message yet, with the call."""
    sids, calls = [sid for sid, _ in recordings], [call_sid for _, call_sid in recordings]
    rows = await connection.fetch(
        f"""
        SELECT asked.recording_sid, {_CALL}
          FROM unnest($2::text[], $3::text[]) AS asked (recording_sid, call_sid)
          JOIN calls c ON c.account_sid = $1 AND c.call_sid = asked.call_sid
         WHERE NOT EXISTS (SELECT FROM voicemails v WHERE v.account_sid = $1 AND v.recording_sid = asked.recording_sid)
        """,
        account_sid,
        sids,
        calls,
    )
    return [(row["recording_sid"], read(StoredCall, row)) for row in rows]


async def insert_found_call(connection: Connection, call: InsertCall, now: datetime) -> bool:
    """Record a call that never reached us. False: it is recorded already, or its agency is gone."""
    found = await connection.fetchval(
        """
        INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at,
                           swept_at)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
         WHERE EXISTS (SELECT FROM agencies WHERE id = $4)
        ON CONFLICT DO NOTHING
        RETURNING id
        """,
        call.call_id,
        call.account_sid,
        call.call_sid,
        call.agency_id,
        call.client_id,
        call.from_number,
        call.to_number,
        call.started_at,
        now,
    )
    return found is not None
