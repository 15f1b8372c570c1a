"""A fleet in a database, made by SQL: agencies, clients, numbers, and two years of calls.

One agency in ten calls is the big one's, whose figures and lists take longest. Triggers and foreign keys are off while the
rows are made: they are right as they are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

BIG: Final = "agency_1"
CROWDED: Final = "agency_2"  # has 500 calls in progress
QUIET: Final = "agency_3"
CROWD: Final = 500
EVENTS_A_CALL: Final = 7


@dataclass(frozen=True, slots=True)
class Fleet:
    """How much there is."""

    agencies: int
    numbers: int
    calls: int

    @property
    def events(self) -> int:
        return self.calls * EVENTS_A_CALL


A_THOUSAND: Final = Fleet(agencies=1_000, numbers=1_000, calls=5_000)
"""What the large fleet is compared with."""


def number_of(agency: str) -> tuple[str, str]:
    """The account and the first number of an agency."""
    return f"AC{agency.removeprefix('agency_')}", f"+1500{agency.removeprefix('agency_')}"


_FLEET: Final = (
    """
    INSERT INTO agencies (id, name, active_provider, created_at)
    SELECT 'agency_' || n, 'Agency ' || n, 'vapi', now() - interval '2 years' + n * interval '1 minute'
      FROM generate_series(1, $1::integer) n
    """,
    """
    INSERT INTO keys (agency_id, kind, version, sealed, account_sid, last4, status, checked_at, saved_at, lines_limit,
                      check_at)
    SELECT 'agency_' || n, kind, 1, repeat('k', 120), CASE WHEN kind = 'twilio' THEN 'AC' || n END, 'last', 'valid', now(),
           now(), CASE WHEN kind <> 'twilio' THEN 1000 END, now() + interval '1 day'
      FROM generate_series(1, $1::integer) n, unnest(ARRAY['vapi', 'retell', 'twilio']) kind
    """,
    """
    INSERT INTO clients (id, agency_id, name, caller_id, routing, created_at)
    SELECT 'client_' || n, 'agency_' || (n - 1) % $1::integer + 1, 'Client ' || n, 'caller', '{"mode": "ai"}',
           now() - interval '2 years' + n * interval '1 second'
      FROM generate_series(1, $2::integer) n
    """,
    """
    INSERT INTO assistants (client_id, provider, remote_id, state, usable, updated_at)
    SELECT 'client_' || n, 'vapi', 'assistant_' || n, 'synced', true, now() FROM generate_series(1, $2::integer) n
     WHERE $1::integer > 0
    """,
    """
    INSERT INTO numbers (account_sid, e164, agency_id, client_id, carrier, account, number_sid, voice_url, fallback_url,
                         status_url, state, fallback_state, created_at)
    SELECT 'AC' || (n - 1) % $1::integer + 1, '+1500' || n, 'agency_' || (n - 1) % $1::integer + 1, 'client_' || n,
           'twilio', 'agency', 'PN' || n, '', '', '', 'active', 'ok', now() - interval '2 years' + n * interval '1 second'
      FROM generate_series(1, $2::integer) n
    """,
    """
    INSERT INTO registrations (agency_id, e164, provider, remote_id)
    SELECT 'agency_' || (n - 1) % $1::integer + 1, '+1500' || n, 'vapi', 'phone_' || n
      FROM generate_series(1, $2::integer) n
    """,
)

# Call n is at (n - $1) / $2 of the two years. The last 2,000 may be in progress: those of the crowded agency, and others.
_CALLS: Final = """
    INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, provider,
                       provider_call_id, answered_by, outcome, started_at, answered_at, ended_at, seconds, cost, ai_seconds)
    SELECT 'call_' || lpad(n::text, 24, '0'), 'AC' || agency, 'CA' || lpad(n::text, 32, '0'), 'agency_' || agency,
           'client_' || agency, '+1415555' || lpad((n % 10000)::text, 4, '0'), '+1500' || agency,
           'vapi', 'vapi_' || lpad(n::text, 30, '0'), 'ai', 'ai', at, at + interval '1.5 s', at + interval '90 s', 90,
           0.123456, 88.5
      FROM generate_series($1::integer, $2::integer) n,
   LATERAL (SELECT CASE WHEN n % 10 = 0 THEN 1 ELSE 1 + n % $3::integer END AS agency,
                   now() - interval '2 years' + (n::float8 / $4::integer) * interval '2 years' - interval '1 hour' AS at) AS its
"""

_STEPS: Final = """
    INSERT INTO call_steps (account_sid, call_sid, step, call_id, claimed_at, answered_at)
    SELECT c.account_sid, c.call_sid, step, c.id, c.started_at, c.started_at
      FROM calls c, unnest(ARRAY['inbound', 'ai-1']) step
     WHERE c.id >= 'call_' || lpad($1::integer::text, 24, '0') AND c.id <= 'call_' || lpad($2::integer::text, 24, '0')
"""

_EVENTS: Final = """
    INSERT INTO call_events (id, call_id, agency_id, at, event, step, provider, reason, duration_ms)
    SELECT 'event_' || right(c.id, 24) || nr, c.id, c.agency_id, c.started_at + nr * interval '1 s',
           CASE WHEN nr = 4 AND right(c.id, 2) <> '07' THEN 'handoff.late' ELSE event END, 'inbound', 'vapi',
           CASE event WHEN 'handoff.failed' THEN 'timeout' END, 120
      FROM calls c,
           unnest(ARRAY['call.received', 'handoff.requested', 'handoff.succeeded', 'handoff.failed', 'call.answered',
                        'ai.ended', 'call.ended']) WITH ORDINALITY AS happened (event, nr)
     WHERE c.id >= 'call_' || lpad($1::integer::text, 24, '0') AND c.id <= 'call_' || lpad($2::integer::text, 24, '0')
"""

_IN_PROGRESS: Final = """
    INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, provider, answered_by,
                       started_at, answered_at)
    SELECT 'call_live_' || $1::integer || '_' || n, 'AC' || $1::integer, 'CL' || $1::integer || '_' || n,
           'agency_' || $1::integer, 'client_' || $1::integer, '+1415' || n, '+1500' || $1::integer, 'vapi', 'ai',
           now() - interval '5 minutes', now() - interval '5 minutes'
      FROM generate_series(1, $2::integer) n
"""

_BATCH: Final = 50_000


async def fill(connection: Any, fleet: Fleet) -> None:
    """Make the fleet. The connection is one that may turn triggers off."""
    await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
    for statement in _FLEET:
        arguments = (fleet.agencies,) if "$2" not in statement else (fleet.agencies, fleet.numbers)
        await connection.execute(statement, *arguments)
    for first in range(1, fleet.calls + 1, _BATCH):
        last = min(first + _BATCH - 1, fleet.calls)
        await connection.execute(_CALLS, first, last, fleet.agencies, fleet.calls)
        await connection.execute(_STEPS, first, last)
        await connection.execute(_EVENTS, first, last)
    await connection.execute(_IN_PROGRESS, 2, CROWD)
    for agency in range(4, 9):
        await connection.execute(_IN_PROGRESS, agency, CROWD // 5)
    await connection.execute("RESET session_replication_role")
    await connection.execute("VACUUM ANALYZE")
