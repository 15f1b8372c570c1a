"""What a live call reads from the database: its route, the claim of a step, and what happened before.

What it writes is in router.store.calls.records, lists for people are in router.store.calls.history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import asyncpg

from adapters.base import Target
from router.routing.route import Access, Route
from router.store.pool import Connection
from router.store.rows import columns, fetch_row, fetch_rows, sql
from router.store.tenants.clients import read_routing


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened earlier on a call. `at` is in seconds since the epoch."""

    event: str
    step: str | None
    provider: str | None
    reason: str | None
    at: float = field(metadata=sql("extract(epoch FROM t.at)::float8"))


@dataclass(frozen=True, slots=True)
class CallClaim:
    """An inbound call's route, whether this request is the first for it, and reasons not to place it.

    `loop`: it looks like one. `crowd`: this caller, or the agency, already had as many calls at once as it may.
    """

    route: Route
    claimed: bool
    loop: Literal["forwarded", "suspected"] | None = None
    crowd: Literal["caller", "agency"] | None = None

    @property
    def diverted(self) -> str | None:
        """Why the call goes straight to voicemail."""
        if self.loop == "suspected":
            return "suspected_loop"
        return None if self.crowd is None else f"too_many_calls_of_{self.crowd}"


@dataclass(frozen=True, slots=True)
class StepClaim:
    """Whether this request is the first for its step; the current route, and what happened before.

    `facts` None: unknown, because the call is not recorded yet.
    """

    claimed: bool
    route: Route | None
    facts: tuple[Fact, ...] | None


@dataclass(frozen=True, slots=True)
class StoredStep:
    """A step that was claimed before; `passed`: a later step was claimed, too."""

    call_id: str
    claimed_at: datetime
    answered_at: datetime | None
    answer: str | None
    passed: bool


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A call as it was recorded."""

    id: str
    account_sid: str
    call_sid: str
    agency_id: str
    client_id: str
    from_number: str
    to_number: str
    answered_by: str | None
    outcome: str | None
    started_at: datetime
    ended_at: datetime | None


# Lines in other use (the agency's outbound calls, say) count if that was reported within the last minute. Those of our own
# calls are counted by the database as calls change (lines_in_use).
_LINES_FREE: Final = """
    CASE WHEN k.lines_limit IS NOT NULL
         THEN k.lines_limit
              - CASE WHEN k.lines_at > now() - interval '1 minute' THEN coalesce(k.lines_others, 0) ELSE 0 END
              - coalesce((SELECT greatest(u.n, 0) FROM lines_in_use u WHERE u.agency_id = k.agency_id AND u.provider = k.kind), 0)
    END
"""

_ROUTE: Final = f"""
    SELECT n.agency_id, n.client_id, n.account_sid, n.e164, c.name AS client_name, c.personal_phone, c.caller_id,
           c.provider AS client_provider, c.routing, c.assistant #>> '{{languages,0}}' AS language,
           c.assistant ->> 'transfer_to' AS transfer_to,
           (c.assistant ->> 'max_seconds')::integer AS max_seconds,
           a.active_provider, a.former_provider, a.fallback_providers,
           (SELECT jsonb_object_agg(k.kind, jsonb_build_array(k.sealed, k.version, {_LINES_FREE}))
              FROM keys k
             WHERE k.agency_id = n.agency_id AND k.retired_at IS NULL AND k.account_sid IS NULL) AS keys,
           (SELECT jsonb_object_agg(s.provider, jsonb_build_array(CASE WHEN s.usable THEN s.remote_id END, NOT s.usable))
              FROM assistants s
             WHERE s.client_id = n.client_id AND (s.usable OR s.state = 'linked')) AS assistants,
           (SELECT jsonb_object_agg(r.provider, jsonb_build_array(r.remote_id, r.mode, r.sealed_address))
              FROM registrations r
             WHERE r.agency_id = n.agency_id AND r.e164 = n.e164) AS registrations
      FROM numbers n
      JOIN clients c ON c.id = n.client_id
      JOIN agencies a ON a.id = n.agency_id
"""

# Whether the call that was `asked` for looks like a loop. A phone that we do not know may be the ringing phone's second hop.
# The same caller is spelled in several ways, too, but for the last nine digits.
_LOOP: Final = """
       (SELECT CASE WHEN bool_or(right(r.ringing_phone, length(asked.forwarded)) = asked.forwarded) THEN 'forwarded'
                    WHEN bool_or(right(r.ringing_shows, 9) = right(asked.caller, 9)) THEN 'suspected' END
          FROM calls r
         WHERE r.client_id = route.client_id AND r.ringing_phone IS NOT NULL AND r.ringing_until > asked.now
           AND r.ended_at IS NULL AND r.call_sid <> asked.call_sid) AS loop
"""

# A claim need not be on the disk before a provider is asked: its commit does not wait for that. The recorder's next commit
# makes it durable: it does wait, comes later in the same write-ahead log, and is awaited before the reply. The setting holds
# for the statement's own transaction, and is read at its end.
_COMMIT_WITHOUT_WAITING: Final = "set_config('synchronous_commit', 'off', true)"

# The number belongs to the agency whose token proved the request, or to the platform's own account ($8 is null).
# The step waits for the call, which `started` counts: a spool is replayed in the same order, so there is no deadlock.
# For the same reason every statement locks the caller's count before the agency's. A call over a limit is not counted, nor
# is one that was recorded before, and a caller without a number ($9 is null) counts only for the agency.
CLAIM_CALL: Final = f"""
WITH route AS MATERIALIZED ({_ROUTE}
     WHERE n.account_sid = $1 AND n.e164 = $2
       AND ($8::text[] IS NULL OR EXISTS (
           SELECT FROM keys t
            WHERE t.agency_id = n.agency_id AND t.account_sid = $1 AND t.sealed = ANY ($8)
              AND (t.retired_at IS NULL OR t.retired_at > $6::timestamptz - interval '24 hours')))
       AND NOT EXISTS (
           SELECT FROM calls o WHERE o.account_sid = $1 AND o.call_sid = $4 AND o.agency_id <> n.agency_id)
), started AS (
    INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at)
    SELECT $3, $1, $4, agency_id, client_id, $5, $2, $6 FROM route
    ON CONFLICT DO NOTHING
    RETURNING agency_id
), of_caller AS (
    INSERT INTO calls_at_once AS counting (agency_id, caller, n)
    SELECT agency_id, $5, 1 FROM started WHERE $9::integer IS NOT NULL
    ON CONFLICT (agency_id, caller) DO UPDATE SET n = counting.n + 1 WHERE counting.n < $9::integer
    RETURNING caller
), of_agency AS (
    INSERT INTO calls_at_once AS counting (agency_id, caller, n)
    SELECT agency_id, '', 1 FROM started WHERE $9::integer IS NULL OR EXISTS (SELECT FROM of_caller)
    ON CONFLICT (agency_id, caller) DO UPDATE SET n = counting.n + 1 WHERE counting.n < $10::integer
    RETURNING caller
), claimed AS (
    INSERT INTO call_steps (account_sid, call_sid, step, call_id, claimed_at, counted)
    SELECT $1, $4, 'inbound', $3, $6, (SELECT array_agg(caller) FROM (TABLE of_caller UNION ALL TABLE of_agency) AS places)
      FROM route
     WHERE (SELECT count(*) FROM started) >= 0
    ON CONFLICT (account_sid, call_sid, step) DO NOTHING
    RETURNING step
)
SELECT route.*, EXISTS (SELECT FROM claimed) AS claimed, {_LOOP},
       CASE WHEN NOT EXISTS (SELECT FROM started) THEN NULL
            WHEN $9::integer IS NOT NULL AND NOT EXISTS (SELECT FROM of_caller) THEN 'caller'
            WHEN NOT EXISTS (SELECT FROM of_agency) THEN 'agency' END AS crowd,
       {_COMMIT_WITHOUT_WAITING}
  FROM route, (SELECT $4::text AS call_sid, $5::text AS caller, $6::timestamptz AS now, $7::text AS forwarded) AS asked
"""

# The same for a call that is not placed; $3 is null if the caller is unknown.
PREVIEW_CALL: Final = f"""
WITH route AS MATERIALIZED ({_ROUTE} WHERE n.agency_id = $1 AND n.e164 = $2)
SELECT route.*, false AS claimed, {_LOOP},
       (SELECT CASE WHEN max(o.n) FILTER (WHERE o.caller = asked.caller) >= $5::integer THEN 'caller'
                    WHEN max(o.n) FILTER (WHERE o.caller = '') >= $6::integer THEN 'agency' END
          FROM calls_at_once o
         WHERE o.agency_id = route.agency_id AND o.caller IN (asked.caller, '')) AS crowd
  FROM route, (SELECT '' AS call_sid, $3::text AS caller, $4::timestamptz AS now, NULL::text AS forwarded) AS asked
"""

CLAIM_STEP: Final = f"""
WITH claimed AS (
    INSERT INTO call_steps (account_sid, call_sid, step, call_id, claimed_at)
    VALUES ($1, $3, $4, $5, $6)
    ON CONFLICT (account_sid, call_sid, step) DO NOTHING
    RETURNING step
)
SELECT EXISTS (SELECT FROM claimed) AS claimed, route.*, EXISTS (SELECT FROM calls WHERE id = $5) AS recorded,
       (SELECT jsonb_agg(jsonb_build_array(e.event, e.step, e.provider, e.reason, extract(epoch FROM e.at)))
          FROM call_events e
         WHERE e.call_id = $5) AS facts,
       {_COMMIT_WITHOUT_WAITING}
  FROM (SELECT 1) AS one
  LEFT JOIN ({_ROUTE} WHERE n.account_sid = $1 AND n.e164 = $2) AS route ON true
"""

FIND_STEP: Final = f"""
SELECT {columns(StoredStep, "s", without=("passed",))},
       EXISTS (SELECT FROM call_steps l WHERE l.call_id = s.call_id AND l.claimed_at > s.claimed_at) AS passed
  FROM call_steps s
 WHERE s.account_sid = $1 AND s.call_sid = $2 AND s.step = $3
"""

LATEST_STEP: Final = """
SELECT s.call_id, s.step, s.answer
  FROM call_steps s
 WHERE s.account_sid = $1 AND s.call_sid = $2 AND s.answered_at IS NOT NULL
 ORDER BY s.claimed_at DESC
 LIMIT 1
"""

ANSWERED_STEPS: Final = """
SELECT s.step, s.answer
  FROM call_steps s
 WHERE s.account_sid = $1 AND s.call_sid = $2 AND s.answer IS NOT NULL
 ORDER BY s.claimed_at
"""

FACTS: Final = f"""SELECT {columns(Fact, "e")} FROM call_events e WHERE e.call_id = $1"""

_CALLS: Final = f"""SELECT {columns(StoredCall)} FROM calls"""
FIND_CALL: Final = f"""{_CALLS} WHERE account_sid = $1 AND call_sid = $2"""
FIND_AGENCY_CALL: Final = f"""{_CALLS} WHERE id = $1 AND agency_id = $2"""
LIVE_CALLS_OF: Final = f"""
{_CALLS}
 WHERE agency_id = $1 AND provider = $2 AND from_number = $3 AND ended_at IS NULL AND started_at > $4
 LIMIT 2
"""

ROUTE_OF_NUMBER: Final = f"""{_ROUTE} WHERE n.account_sid = $1 AND n.e164 = $2"""

ROUTES_OF_NUMBERS: Final = f"""
{_ROUTE}
 WHERE (n.account_sid, n.e164) IN (SELECT asked.account_sid, asked.e164
                                     FROM unnest($1::text[], $2::text[]) AS asked (account_sid, e164))
"""


async def claim_call(
    connection: Connection,
    *,
    account_sid: str,
    to: str,
    call_id: str,
    call_sid: str,
    from_number: str,
    now: datetime,
    forwarded_from: str | None,
    tokens: Sequence[str] | None,
    most_of_caller: int | None,
    most_of_agency: int,
) -> CallClaim | None:
    """Insert the call, count it and claim its first step, in one statement. None: no such number on that account.

    `forwarded_from` is the end of the number of the phone that forwarded the call, as far as it is known.
    `most_of_caller` None: the caller is unknown, so these calls are not those of one caller.
    """
    arguments = (account_sid, to, call_id, call_sid, from_number, now, forwarded_from, tokens)
    row = await connection.fetchrow(CLAIM_CALL, *arguments, most_of_caller, most_of_agency)
    return None if row is None else CallClaim(read_route(row), row["claimed"], row["loop"], row["crowd"])


async def can_claim_calls(connection: Connection, now: datetime) -> None:
    """Claim a call to a number that does not exist, which writes nothing. Raises what a call's claim would raise: also from
    a server that only answers questions.
    """
    await claim_call(
        connection,
        account_sid="",
        to="",
        call_id="",
        call_sid="",
        from_number="",
        now=now,
        forwarded_from=None,
        tokens=None,
        most_of_caller=None,
        most_of_agency=0,
    )


async def preview_call(
    connection: Connection,
    *,
    agency_id: str,
    to: str,
    caller: str | None,
    now: datetime,
    most_of_caller: int,
    most_of_agency: int,
) -> CallClaim | None:
    """The claim that such a call would get. Writes nothing. None: the agency has no such number."""
    row = await connection.fetchrow(PREVIEW_CALL, agency_id, to, caller, now, most_of_caller, most_of_agency)
    return None if row is None else CallClaim(read_route(row), row["claimed"], row["loop"], row["crowd"])


async def claim_step(
    connection: Connection, *, account_sid: str, number: str, call_sid: str, step: str, call_id: str, now: datetime
) -> StepClaim:
    """Claim a later step, and read the current route and what happened so far."""
    [row] = await connection.fetch(CLAIM_STEP, account_sid, number, call_sid, step, call_id, now)
    route = None if row["agency_id"] is None else read_route(row)
    facts = tuple(Fact(*fact) for fact in row["facts"] or ()) if row["recorded"] else None
    return StepClaim(row["claimed"], route, facts)


async def find_step(connection: Connection, account_sid: str, call_sid: str, step: str) -> StoredStep | None:
    return await fetch_row(connection, StoredStep, FIND_STEP, account_sid, call_sid, step)


async def forget_step(connection: Connection, account_sid: str, call_sid: str, step: str) -> None:
    statement = """DELETE FROM call_steps WHERE account_sid = $1 AND call_sid = $2 AND step = $3"""
    await connection.execute(statement, account_sid, call_sid, step)


async def find_latest_answer(connection: Connection, account_sid: str, call_sid: str) -> tuple[str, str] | None:
    """The step answered last on a call, and its sealed answer."""
    row = await connection.fetchrow(LATEST_STEP, account_sid, call_sid)
    return None if row is None or row["answer"] is None else (row["step"], row["answer"])


async def find_answers(connection: Connection, account_sid: str, call_sid: str) -> tuple[tuple[str, str], ...]:
    """The answered steps of a call, in order, each with its sealed answer."""
    rows = await connection.fetch(ANSWERED_STEPS, account_sid, call_sid)
    return tuple((row["step"], row["answer"]) for row in rows)


async def find_facts(connection: Connection, call_id: str) -> tuple[Fact, ...]:
    return tuple(await fetch_rows(connection, Fact, FACTS, call_id))


async def find_call(connection: Connection, account_sid: str, call_sid: str) -> StoredCall | None:
    return await fetch_row(connection, StoredCall, FIND_CALL, account_sid, call_sid)


async def find_agency_call(connection: Connection, agency_id: str, call_id: str) -> StoredCall | None:
    """The call, if it is that agency's."""
    return await fetch_row(connection, StoredCall, FIND_AGENCY_CALL, call_id, agency_id)


async def find_live_call(
    connection: Connection, agency_id: str, provider: str, from_number: str, since: datetime
) -> StoredCall | None:
    """The only call of that caller that the provider has now; None if there are several."""
    calls = await fetch_rows(connection, StoredCall, LIVE_CALLS_OF, agency_id, provider, from_number, since)
    return calls[0] if len(calls) == 1 else None


async def find_route(connection: Connection, account_sid: str, number: str) -> Route | None:
    row = await connection.fetchrow(ROUTE_OF_NUMBER, account_sid, number)
    return None if row is None else read_route(row)


async def find_routes(connection: Connection, numbers: Sequence[tuple[str, str]]) -> tuple[Route, ...]:
    """The routes of the numbers, given with their accounts, as far as they still exist."""
    accounts, e164s = [account for account, _ in numbers], [e164 for _, e164 in numbers]
    return tuple(read_route(row) for row in await connection.fetch(ROUTES_OF_NUMBERS, accounts, e164s))


def read_route(row: asyncpg.Record) -> Route:
    """A row of the route query as the routing decision needs it."""
    fallbacks = row["fallback_providers"]
    return Route(
        agency_id=row["agency_id"],
        client_id=row["client_id"],
        client_name=row["client_name"],
        account_sid=row["account_sid"],
        number=row["e164"],
        caller_id=row["caller_id"],
        personal_phone=row["personal_phone"],
        transfer_to=row["transfer_to"],
        language=row["language"] or "en-US",
        max_seconds=row["max_seconds"],
        client_provider=row["client_provider"],
        active_provider=row["active_provider"],
        former_provider=row["former_provider"],
        fallback_providers=None if fallbacks is None else tuple(fallbacks),
        accesses=tuple(_read_accesses(row["keys"] or {}, row["assistants"] or {}, row["registrations"] or {})),
        routing=read_routing(row["routing"]),
    )


def _read_accesses(
    keys: Mapping[str, Any], assistants: Mapping[str, Any], registrations: Mapping[str, Any]
) -> Iterable[Access]:
    for provider, (sealed, version, lines_free) in keys.items():
        assistant_id, gone = assistants.get(provider, (None, False))
        target = Target(assistant_id, *registrations.get(provider, ()))
        yield Access(provider, target, sealed, version, lines_free, gone)
