"""When each number is checked, and how its configuration at the carrier differs from ours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from router.store.numbers.numbers import NUMBER, Number
from router.store.pool import Connection
from router.store.rows import read

_LEASE: Final = timedelta(seconds=120)

# Steps from account to account, whose longest due number is the first in the index: of a million numbers, most may be due.
LEASE_DUE_NUMBERS: Final = f"""
WITH RECURSIVE accounts AS (
    (SELECT account_sid FROM numbers WHERE carrier = 'twilio' AND state = 'active' ORDER BY account_sid LIMIT 1)
    UNION ALL
    SELECT (SELECT n.account_sid
              FROM numbers n
             WHERE n.carrier = 'twilio' AND n.state = 'active' AND n.account_sid > a.account_sid
             ORDER BY n.account_sid
             LIMIT 1)
      FROM accounts a
     WHERE a.account_sid IS NOT NULL
), longest_due AS (
    SELECT a.account_sid
      FROM accounts a
     CROSS JOIN LATERAL (SELECT n.look_after
                           FROM numbers n
                          WHERE n.carrier = 'twilio' AND n.state = 'active' AND n.account_sid = a.account_sid
                          ORDER BY n.look_after NULLS FIRST
                          LIMIT 1) AS first
     WHERE first.look_after IS NULL OR first.look_after <= $1
     ORDER BY first.look_after NULLS FIRST, a.account_sid
     LIMIT $4
), due AS (
    SELECT first.*
      FROM longest_due
     CROSS JOIN LATERAL (SELECT n.agency_id, n.e164, n.look_after
                           FROM numbers n
                          WHERE n.carrier = 'twilio' AND n.state = 'active' AND n.account_sid = longest_due.account_sid
                          ORDER BY n.look_after NULLS FIRST
                          LIMIT $3) AS first
     WHERE first.look_after IS NULL OR first.look_after <= $1
     ORDER BY first.look_after NULLS FIRST
     LIMIT $4
)
UPDATE numbers n
   SET look_after = $2
  FROM due
 WHERE n.agency_id = due.agency_id AND n.e164 = due.e164 AND (n.look_after IS NULL OR n.look_after <= $1)
RETURNING {NUMBER}
"""


async def lease_due_numbers(connection: Connection, now: datetime, *, of_an_account: int, limit: int) -> list[Number]:
    """Carrier numbers that are due for a check, the longest due first, so many of each account; leased for a while."""
    rows = await connection.fetch(LEASE_DUE_NUMBERS, now, now + _LEASE, of_an_account, limit)
    return [read(Number, row, registrations={}, problems=(), on_subaccount=False) for row in rows]


async def lease_stale_native(connection: Connection, now: datetime, until: datetime, limit: int = 50) -> list[Number]:
    """Numbers at voice providers whose fallback is not set there yet, leased until `until`."""
    rows = await connection.fetch(
        f"""
        UPDATE numbers n
           SET look_after = $2
         WHERE (n.agency_id, n.e164) IN (
               SELECT agency_id, e164
                 FROM numbers
                WHERE account = 'provider' AND state = 'active' AND fallback_state = 'stale'
                  AND (look_after IS NULL OR look_after <= $1)
                ORDER BY look_after NULLS FIRST
                LIMIT $3
                  FOR UPDATE SKIP LOCKED)
        RETURNING {NUMBER}
        """,
        now,
        until,
        limit,
    )
    return [read(Number, row, registrations={}, problems=(), on_subaccount=False) for row in rows]


async def note_look(
    connection: Connection, number: Number, drift: str | None, now: datetime, next_look: datetime
) -> None:
    """Save the result of a check, unless the number has been released or moved to another address. While a provider's
    address is awaited on it, the next check is a minute away.
    """
    statement = """
        UPDATE numbers n
           SET drift = $3, checked_at = $4,
               look_after = CASE WHEN EXISTS (SELECT FROM registrations r
                                               WHERE r.agency_id = n.agency_id AND r.e164 = n.e164 AND r.waits_until > $4)
                                 THEN $4::timestamptz + interval '1 minute' ELSE $5 END
         WHERE agency_id = $1 AND e164 = $2 AND voice_url = $6 AND state <> 'elsewhere'
    """
    await connection.execute(statement, number.agency_id, number.e164, drift, now, next_look, number.voice_url)


async def postpone_look(connection: Connection, agency_id: str, e164: str, until: datetime) -> None:
    """The check gave no result: the carrier could not be asked."""
    await connection.execute(
        """UPDATE numbers SET look_after = $3 WHERE agency_id = $1 AND e164 = $2""", agency_id, e164, until
    )


async def postpone_account(connection: Connection, account_sid: str, e164s: Sequence[str], until: datetime) -> None:
    """The carrier asks for a pause: the leased numbers are due after it, and no other of the account before."""
    statement = """
        UPDATE numbers
           SET look_after = $3
         WHERE account_sid = $1 AND carrier = 'twilio' AND (look_after IS NULL OR look_after < $3 OR e164 = ANY ($2))
    """
    await connection.execute(statement, account_sid, e164s, until)


async def note_new_sid(connection: Connection, number: Number, number_sid: str) -> None:
    """The carrier has the number under another id: it was released and bought again."""
    statement = """UPDATE numbers SET number_sid = $3 WHERE agency_id = $1 AND e164 = $2"""
    await connection.execute(statement, number.agency_id, number.e164, number_sid)
