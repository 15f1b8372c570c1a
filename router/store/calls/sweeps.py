"""Ends of calls that we have not seen: calls that seem to be over, how far each carrier account has been searched for
calls that we missed, and ends that arrived before their call.

The carrier's account SIDs begin with AC. Others stand for numbers bought at a provider, and are left out.

`recount_calls_at_once` corrects the counts after ends that did not count down, because the database was away, and those
of lines in use.

While the beginning of a call waits in the spool of one process, its end may reach another one. EndCallLater
(router.store.calls.records) keeps that end, and `carry_out_early_ends` applies it once the call is there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from router.store.calls.calls import StoredCall
from router.store.calls.records import InsertCall
from router.store.pool import Connection
from router.store.rows import columns, fetch_column, fetch_rows, read, returns_row

_FIRST_REACH: Final = timedelta(days=1)  # how far back the first search of an account goes
_ENROLLED_AT_ONCE: Final = 500
_COUNTED_FOR: Final = timedelta(hours=1)  # a call without an end may be over; in doubt, the AI gets the next one
_EARLY_ENDS_KEPT: Final = timedelta(days=7)  # some calls never come: those that only Twilio's fallback took

# Calls without a recent step, and only some of each account, so that one account's troubles do not delay the others.
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

# Counts that differ from the calls in the same snapshot, and have not changed since. Rows in use are skipped until the next
# time: waiting for several of them could end in a deadlock with a call.
_RECOUNT: Final = """
WITH live AS (
    SELECT c.agency_id, counted.caller, count(*)::integer AS n
      FROM calls c
      JOIN call_steps s ON s.account_sid = c.account_sid AND s.call_sid = c.call_sid AND s.step = 'inbound'
     CROSS JOIN unnest(s.counted) AS counted (caller)
     WHERE c.ended_at IS NULL
     GROUP BY c.agency_id, counted.caller
), wrong AS (
    SELECT o.agency_id, o.caller, coalesce(live.n, 0) AS n
      FROM calls_at_once o
      JOIN calls_at_once seen ON seen.agency_id = o.agency_id AND seen.caller = o.caller AND seen.n = o.n
      LEFT JOIN live ON live.agency_id = o.agency_id AND live.caller = o.caller
     WHERE seen.n <> coalesce(live.n, 0)
       FOR UPDATE OF o SKIP LOCKED
)
UPDATE calls_at_once o
   SET n = wrong.n
  FROM wrong
 WHERE o.agency_id = wrong.agency_id AND o.caller = wrong.caller
"""

# Likewise for lines.
_RECOUNT_LINES: Final = """
WITH live AS (
    SELECT c.agency_id, c.provider, count(*)::integer AS n
      FROM calls c
     WHERE c.ended_at IS NULL AND c.outcome IS NULL AND c.provider IS NOT NULL AND c.started_at > $1
     GROUP BY c.agency_id, c.provider
), wrong AS (
    SELECT o.agency_id, o.provider, coalesce(live.n, 0) AS n
      FROM lines_in_use o
      JOIN lines_in_use seen ON seen.agency_id = o.agency_id AND seen.provider = o.provider AND seen.n = o.n
      LEFT JOIN live ON live.agency_id = o.agency_id AND live.provider = o.provider
     WHERE seen.n <> coalesce(live.n, 0)
       FOR UPDATE OF o SKIP LOCKED
)
UPDATE lines_in_use o
   SET n = wrong.n
  FROM wrong
 WHERE o.agency_id = wrong.agency_id AND o.provider = wrong.provider
"""


# Both step from account to account: there may be a million numbers on ten thousand of them.
ENROL_ACCOUNTS: Final = """
WITH RECURSIVE accounts AS (
    (SELECT account_sid FROM numbers ORDER BY account_sid LIMIT 1)
    UNION ALL
    SELECT (SELECT n.account_sid FROM numbers n WHERE n.account_sid > a.account_sid ORDER BY n.account_sid LIMIT 1)
      FROM accounts a
     WHERE a.account_sid IS NOT NULL
), new AS (
    SELECT a.account_sid
      FROM accounts a
     WHERE a.account_sid LIKE 'AC%' AND NOT EXISTS (SELECT FROM sweeps s WHERE s.account_sid = a.account_sid)
     LIMIT $3
), fresh AS MATERIALIZED (
    SELECT new.account_sid,
           (SELECT min(n.created_at) FROM numbers n
             WHERE n.account_sid = new.account_sid AND n.state <> 'elsewhere') AS since
      FROM new
)
INSERT INTO sweeps (account_sid, swept_until, next_at)
SELECT account_sid, greatest(since, $2), $1 FROM fresh WHERE since IS NOT NULL
ON CONFLICT DO NOTHING
"""

DISMISS_ACCOUNTS: Final = """
DELETE FROM sweeps s
 WHERE (SELECT true FROM numbers n WHERE n.account_sid = s.account_sid AND n.state <> 'elsewhere' LIMIT 1) IS NULL
"""

AGENCIES_ON: Final = """
SELECT DISTINCT k.agency_id
  FROM keys k
 WHERE k.account_sid = $1 AND k.retired_at IS NULL
   AND EXISTS (SELECT FROM numbers n WHERE n.account_sid = $1 AND n.agency_id = k.agency_id AND n.state <> 'elsewhere')
 ORDER BY k.agency_id
"""


@dataclass(frozen=True, slots=True)
class OverdueCall:
    """A call without an end, and when its last step was claimed, if any was."""

    call: StoredCall
    last_step_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccountSweep:
    """A carrier account to search. All its calls that began before `swept_until` are known."""

    account_sid: str
    swept_until: datetime


@dataclass(frozen=True, slots=True)
class OurNumber:
    """A number of ours on an account."""

    e164: str
    agency_id: str
    client_id: str
    created_at: datetime


FIND_NUMBERS_ON: Final = f"""
SELECT {columns(OurNumber)} FROM numbers WHERE account_sid = $1 AND e164 = ANY ($2) AND state <> 'elsewhere'
"""


@dataclass(frozen=True, slots=True)
class EarlyEnd:
    """A call that was closed just now."""

    call_id: str
    agency_id: str
    at: datetime
    outcome: str
    seconds: int | None


async def claim_overdue_calls(
    connection: Connection, now: datetime, *, silent_since: datetime, not_since: datetime, of_account: int, limit: int
) -> list[OverdueCall]:
    """Calls without an end or a step since `silent_since` that were not swept since `not_since`."""
    rows = await connection.fetch(CLAIM_OVERDUE, now, silent_since, not_since, of_account, limit)
    return [read(OverdueCall, row, call=read(StoredCall, row)) for row in rows]


async def enrol_accounts(connection: Connection, now: datetime) -> None:
    """Sweep every account that has numbers of ours, from its first one on but at most a day back, and no other.

    Of very many new ones, some each time.
    """
    await connection.execute(ENROL_ACCOUNTS, now, now - _FIRST_REACH, _ENROLLED_AT_ONCE)
    await connection.execute(DISMISS_ACCOUNTS)


async def claim_sweeps(connection: Connection, now: datetime, leased_until: datetime, limit: int) -> list[AccountSweep]:
    statement = f"""
        WITH due AS (
            SELECT account_sid FROM sweeps WHERE next_at <= $1 ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED
        )
        UPDATE sweeps s
           SET next_at = $2
          FROM due
         WHERE s.account_sid = due.account_sid
        RETURNING {columns(AccountSweep, "s")}
    """
    return await fetch_rows(connection, AccountSweep, statement, now, leased_until, limit)


async def finish_sweep(connection: Connection, account_sid: str, swept_until: datetime, next_at: datetime) -> None:
    statement = """UPDATE sweeps SET swept_until = greatest(swept_until, $2), next_at = $3 WHERE account_sid = $1"""
    await connection.execute(statement, account_sid, swept_until, next_at)


async def postpone_sweep(connection: Connection, account_sid: str, next_at: datetime) -> None:
    """The search failed: the next one starts where this one did."""
    await connection.execute("""UPDATE sweeps SET next_at = $2 WHERE account_sid = $1""", account_sid, next_at)


async def find_numbers_on(connection: Connection, account_sid: str, e164s: Collection[str]) -> dict[str, OurNumber]:
    """Those of the numbers that are ours on the account."""
    rows = await fetch_rows(connection, OurNumber, FIND_NUMBERS_ON, account_sid, list(e164s))
    return {number.e164: number for number in rows}


async def list_agencies_on(connection: Connection, account_sid: str) -> list[str]:
    """Agencies that have a key for the account and numbers on it."""
    return await fetch_column(connection, AGENCIES_ON, account_sid)


async def find_known_calls(connection: Connection, account_sid: str, call_sids: Sequence[str]) -> frozenset[str]:
    """Those of the account's calls that were recorded, including calls deleted since."""
    statement = """
        SELECT call_sid FROM calls WHERE account_sid = $1 AND call_sid = ANY ($2)
         UNION
        SELECT call_sid FROM deleted_calls WHERE account_sid = $1 AND call_sid = ANY ($2)
    """
    return frozenset(await fetch_column(connection, statement, account_sid, list(call_sids)))


async def find_unfiled(
    connection: Connection, account_sid: str, recordings: Sequence[tuple[str, str]]
) -> list[tuple[str, StoredCall]]:
    """Of recordings (each with its CallSid), those that belong to a recorded call and are not filed yet, with the call."""
    sids, calls = [sid for sid, _ in recordings], [call_sid for _, call_sid in recordings]
    statement = f"""
        SELECT asked.recording_sid, {columns(StoredCall, "c")}
          FROM unnest($2::text[], $3::text[]) AS asked (recording_sid, call_sid)
          JOIN calls c ON c.account_sid = $1 AND c.call_sid = asked.call_sid
         WHERE NOT EXISTS (
               SELECT FROM voicemails v
                WHERE v.account_sid = $1 AND v.recording_sid = asked.recording_sid AND v.agency_id = c.agency_id)
    """
    rows = await connection.fetch(statement, account_sid, sids, calls)
    return [(row["recording_sid"], read(StoredCall, row)) for row in rows]


async def insert_found_call(connection: Connection, call: InsertCall, now: datetime) -> bool:
    """Record a call that never reached us. False: it is recorded already, or its agency is gone."""
    statement = """
        INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at,
                           swept_at)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
         WHERE EXISTS (SELECT FROM agencies WHERE id = $4)
        ON CONFLICT DO NOTHING
        RETURNING id
    """
    return await returns_row(connection, statement, *call.fields.values(), now)


async def carry_out_early_ends(connection: Connection, now: datetime) -> list[EarlyEnd]:
    """End the calls that have arrived since. Ends of calls that never arrived are forgotten after a week."""
    statement = """
        WITH due AS (
            DELETE FROM early_ends e USING calls c WHERE c.id = e.call_id
            RETURNING e.call_id, e.event_id, e.at, e.seconds, e.agency_id IN (c.agency_id, '') AS proven
        ), ended AS (
            UPDATE calls c
               SET ended_at = due.at, seconds = due.seconds,
                   ringing_phone = NULL, ringing_shows = NULL, ringing_until = NULL,
                   outcome = coalesce(outcome, CASE WHEN answered_by IN ('ai', 'owner') THEN answered_by END,
                                      'abandoned')
              FROM due
             WHERE c.id = due.call_id AND due.proven AND c.ended_at IS NULL
            RETURNING c.id, c.agency_id, c.outcome, c.seconds, due.event_id, due.at
        ), timed AS (
            UPDATE calls c
               SET seconds = coalesce(due.seconds, c.seconds)
              FROM due
             WHERE c.id = due.call_id AND due.proven AND c.ended_at IS NOT NULL
        ), told AS (
            INSERT INTO call_events (id, call_id, at, event, step, reason)
            SELECT event_id, id, at, 'call.ended', 'end', outcome FROM ended
            ON CONFLICT DO NOTHING
        )
        SELECT id AS call_id, agency_id, at, outcome, seconds FROM ended
    """
    ended = await fetch_rows(connection, EarlyEnd, statement)
    await connection.execute("""DELETE FROM early_ends WHERE at < $1""", now - _EARLY_ENDS_KEPT)
    return ended


async def recount_calls_at_once(connection: Connection, now: datetime) -> None:
    """Correct the counts. A call that has no end after an hour is no longer counted."""
    let_go = """
        UPDATE call_steps s
           SET counted = NULL
          FROM calls c
         WHERE c.ended_at IS NULL AND c.started_at < $1
           AND s.account_sid = c.account_sid AND s.call_sid = c.call_sid AND s.step = 'inbound'
           AND s.counted IS NOT NULL
    """
    forget = """
        WITH idle AS (SELECT agency_id, caller FROM calls_at_once WHERE n = 0 FOR UPDATE SKIP LOCKED)
        DELETE FROM calls_at_once o USING idle WHERE o.agency_id = idle.agency_id AND o.caller = idle.caller
    """
    await connection.execute(let_go, now - _COUNTED_FOR)
    await connection.execute(_RECOUNT)
    await connection.execute(forget)
    await connection.execute(_RECOUNT_LINES, now - _COUNTED_FOR)
