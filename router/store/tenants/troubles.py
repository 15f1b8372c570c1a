"""What is wrong with agencies, as far as rows tell: keys, balance, lines, numbers, sync, deliveries and mail.

None of it counts calls, so it may be asked for with every page of the console.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from router.store.pool import Connection
from router.store.rows import fetch_row, fetch_rows

Kind: TypeAlias = Literal[
    "key_failing",
    "key_unproven",
    "out_of_credit",
    "low_balance",
    "lines_full",
    "number_pending",
    "number_elsewhere",
    "number_drifted",
    "number_fallback_stale",
    "registration_missing",
    "assistant_failed",
    "assistant_gone",
    "endpoint_failing",
    "endpoint_gone",
    "alert_email_undelivered",
    "alert_email_unconfirmed",
    "notify_email_undelivered",
    "notify_email_unconfirmed",
]

_MOST_OF_ONE: Final = 100  # of an agency
_FIRST: Final = """
ARRAY['endpoint_gone', 'endpoint_failing', 'number_pending', 'number_drifted', 'assistant_failed', 'assistant_gone']
"""
"""After those of keys: what alerts are sent for, and what is bad. An agency may have any number of the others."""

LOW_BALANCE: Final = 5.0  # US dollars


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong. `target`: a key's kind, a number, or the id of a client or an endpoint; empty: the agency
    itself. `name`: how people know the target. `provider` if it is about one. `said`: the other side's words, or an amount.
    """

    agency_id: str
    kind: Kind
    target: str
    name: str
    provider: str | None
    said: str | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """An agency, the providers whose keys work, and what of it has been set up."""

    id: str
    name: str
    active_provider: str | None
    fallback_providers: tuple[str, ...] | None
    alert_email: str | None
    created_at: datetime
    working: tuple[str, ...]
    has_key: bool
    has_client: bool
    has_assistant: bool
    has_number: bool
    has_call: bool
    has_endpoint: bool


_KEY: Final = """FROM keys k WHERE k.agency_id = ANY ($1) AND k.retired_at IS NULL"""
_NUMBER: Final = """FROM numbers n WHERE n.agency_id = ANY ($1)"""
_ASSISTANT: Final = """
  FROM clients c JOIN assistants s ON s.client_id = c.id
 WHERE c.agency_id = ANY ($1)
"""

TROUBLES: Final = f"""
SELECT agency_id, kind, target, name, provider, said, since
  FROM (
    SELECT found.agency_id, kind, target, name, provider, said, since,
           row_number() OVER (PARTITION BY found.agency_id
                              ORDER BY coalesce(provider = target, false) DESC,
                                       array_position({_FIRST}, kind), kind, name, provider) AS place
      FROM (
        SELECT k.agency_id, CASE WHEN k.unproven_at IS NULL THEN 'key_failing' ELSE 'key_unproven' END AS kind,
               k.kind AS target, k.kind AS name, k.kind AS provider, k.problem AS said,
               coalesce(k.failing_since, k.unproven_at) AS since
          {_KEY} AND (k.status = 'failing' OR k.unproven_at IS NOT NULL)
         UNION ALL
        SELECT k.agency_id, 'out_of_credit', k.kind, k.kind, k.kind, k.problem, k.failing_since
          {_KEY} AND k.status = 'out_of_credit'
         UNION ALL
        SELECT k.agency_id, 'low_balance', k.kind, k.kind, k.kind, round(k.balance, 2)::text, NULL
          {_KEY} AND k.status = 'valid' AND k.balance < $2
         UNION ALL
        SELECT k.agency_id, 'lines_full', k.kind, k.kind, k.kind, k.lines_limit::text, k.lines_at
          {_KEY} AND k.status = 'valid' AND k.lines_used >= k.lines_limit
         UNION ALL
        SELECT n.agency_id,
               CASE n.state WHEN 'pending' THEN 'number_pending' ELSE 'number_elsewhere' END, n.e164, n.e164, NULL, NULL,
               n.created_at
          {_NUMBER} AND (n.state = 'elsewhere' OR n.state = 'pending' AND n.created_at < $3)
         UNION ALL
        SELECT n.agency_id, CASE WHEN n.drift IS NULL THEN 'number_fallback_stale' ELSE 'number_drifted' END,
               n.e164, n.e164, NULL, n.drift, n.checked_at
          {_NUMBER} AND n.state = 'active' AND (n.drift IS NOT NULL OR n.fallback_state = 'stale')
         UNION ALL
        SELECT r.agency_id, 'registration_missing', r.e164, r.e164, r.provider, coalesce(r.error, r.waits_for), NULL
          FROM registrations r
         WHERE r.agency_id = ANY ($1) AND coalesce(r.error, r.waits_for) IS NOT NULL
         UNION ALL
        SELECT c.agency_id, CASE s.state WHEN 'failed' THEN 'assistant_failed' ELSE 'assistant_gone' END,
               c.id, c.name, s.provider, s.error, s.updated_at
          {_ASSISTANT} AND (s.state = 'failed' OR s.state = 'linked' AND NOT s.usable)
         UNION ALL
        SELECT e.agency_id, CASE WHEN e.gone_at IS NULL THEN 'endpoint_failing' ELSE 'endpoint_gone' END,
               e.id, e.url, NULL, e.failures::text, e.gone_at
          FROM endpoints e
         WHERE e.agency_id = ANY ($1) AND (e.gone_at IS NOT NULL OR NOT e.paused AND e.resting_until IS NOT NULL)
         UNION ALL
        SELECT a.id, CASE WHEN a.alert_email_problem IS NULL THEN 'alert_email_unconfirmed'
                          ELSE 'alert_email_undelivered' END, '', a.alert_email, NULL, a.alert_email_problem, NULL
          FROM agencies a
         WHERE a.id = ANY ($1) AND (a.alert_email_problem IS NOT NULL OR NOT a.alert_email_confirmed)
         UNION ALL
        SELECT c.agency_id, CASE WHEN c.notify_email_problem IS NULL THEN 'notify_email_unconfirmed'
                                 ELSE 'notify_email_undelivered' END, c.id, c.name, NULL, c.notify_email_problem, NULL
          FROM clients c
         WHERE c.agency_id = ANY ($1) AND (c.notify_email_problem IS NOT NULL OR NOT c.notify_email_confirmed)
      ) AS found
  ) AS placed
 WHERE place <= {_MOST_OF_ONE}
 ORDER BY agency_id, place
"""

_STANDING: Final = """
SELECT a.id, a.name, a.active_provider, a.fallback_providers, a.alert_email, a.created_at,
       ARRAY (SELECT k.kind FROM keys k
               WHERE k.agency_id = a.id AND k.retired_at IS NULL AND k.account_sid IS NULL
                 AND k.status = 'valid') AS working,
       EXISTS (SELECT FROM keys k
                WHERE k.agency_id = a.id AND k.retired_at IS NULL AND k.account_sid IS NULL) AS has_key,
       EXISTS (SELECT FROM clients c WHERE c.agency_id = a.id) AS has_client,
       EXISTS (SELECT FROM clients c
                WHERE c.agency_id = a.id
                  AND (c.assistant IS NOT NULL
                       OR EXISTS (SELECT FROM assistants s WHERE s.client_id = c.id AND s.usable))) AS has_assistant,
       EXISTS (SELECT FROM numbers n WHERE n.agency_id = a.id) AS has_number,
       EXISTS (SELECT FROM calls c WHERE c.agency_id = a.id) AS has_call,
       EXISTS (SELECT FROM endpoints e WHERE e.agency_id = a.id) AS has_endpoint
  FROM agencies a
"""


async def list_troubles(
    connection: Connection, agency_ids: Sequence[str], abandoned: datetime, *, low_balance: float = LOW_BALANCE
) -> list[Trouble]:
    """Of these agencies, up to a hundred of each. Numbers whose set-up began before `abandoned` and has not ended were left so."""
    return await fetch_rows(connection, Trouble, TROUBLES, agency_ids, low_balance, abandoned)


async def find_standing(connection: Connection, agency_id: str) -> Standing | None:
    return await fetch_row(connection, Standing, f"""{_STANDING} WHERE a.id = $1""", agency_id)


async def list_standings(connection: Connection, *, after: tuple[datetime, str] | None, limit: int) -> list[Standing]:
    """Of all agencies, the oldest first."""
    statement = f"""
        {_STANDING}
         WHERE ($1::timestamptz IS NULL OR (a.created_at, a.id) > ($1, $2))
         ORDER BY a.created_at, a.id
         LIMIT $3
    """
    return await fetch_rows(connection, Standing, statement, *(after or (None, None)), limit)
