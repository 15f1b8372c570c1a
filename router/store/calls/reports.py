"""Reports of providers on calls: the call or number that one is about, and what is kept of it on the call.

What they say about the course of a call goes into call_events; router.calls.reports decides what a report means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from router.store.calls.calls import Fact, StoredCall
from router.store.pool import Connection
from router.store.rows import columns, fetch_row, read


@dataclass(frozen=True, slots=True)
class ReportedCall(StoredCall):
    """A call, what happened on it so far, and the version of the provider's key with which it was made: the one in use
    when it began. None: that is deleted.
    """

    facts: tuple[Fact, ...]
    key_version: int | None


# For `$2`, a provider.
_REPORTED: Final = f"""
SELECT {columns(StoredCall, "c")},
       (SELECT jsonb_agg(jsonb_build_array(e.event, e.step, e.provider, e.reason, extract(epoch FROM e.at)))
          FROM call_events e
         WHERE e.call_id = c.id) AS facts,
       (SELECT max(k.version)
          FROM keys k
         WHERE k.agency_id = c.agency_id AND k.kind = $2 AND k.saved_at <= c.started_at) AS key_version
  FROM calls c
"""

FIND_REPORTED_CALL: Final = f"""{_REPORTED} WHERE c.id = $1"""

FIND_PROVIDERS_REPORTED_CALL: Final = f"""
{_REPORTED}
 WHERE c.provider_call_id = $1 AND c.agency_id = $3
 ORDER BY c.started_at DESC
 LIMIT 1
"""

FIND_PROVIDERS_CALL: Final = f"""
SELECT {columns(StoredCall)}
  FROM calls
 WHERE provider_call_id = $1 AND agency_id = $2
 ORDER BY started_at DESC
 LIMIT 1
"""

STEP_IS_CLAIMED: Final = """
SELECT EXISTS (SELECT FROM call_steps WHERE account_sid = $1 AND call_sid = $2 AND step = $3)
"""

FIND_ANSWERING: Final = """
SELECT n.e164, n.account_sid, n.client_id, c.name AS client_name,
       (SELECT s.remote_id FROM assistants s
         WHERE s.client_id = n.client_id AND s.provider = $3 AND s.usable) AS assistant_id
  FROM numbers n
  JOIN clients c ON c.id = n.client_id
 WHERE n.agency_id = $1 AND n.e164 = $2
"""

# The key that was in use when the call began.
FIND_KEY_VERSION: Final = """
SELECT version FROM keys WHERE agency_id = $1 AND kind = $2 AND saved_at <= $3 ORDER BY version DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class CallStory:
    """What the provider has said of a call so far. `ai_seconds`: how long it had the call."""

    provider_call_id: str | None
    end_reason: str | None
    summary: str | None
    transcript: str | None
    turns: tuple[Sequence[Any], ...] | None
    ai_seconds: float | None


@dataclass(frozen=True, slots=True)
class Answering:
    """A number, its client, and the assistant that takes its calls at the provider."""

    e164: str
    account_sid: str  # the provider's name, if the number was bought there
    client_id: str
    client_name: str
    assistant_id: str | None


async def find_reported_call(
    connection: Connection, agency_id: str, provider: str, call_id: str | None, provider_call_id: str | None
) -> ReportedCall | None:
    """The call with our id, of *any agency*; without such an id, the agency's call with the provider's id."""
    if call_id is not None:
        row = await connection.fetchrow(FIND_REPORTED_CALL, call_id, provider)
    elif provider_call_id is not None:
        row = await connection.fetchrow(FIND_PROVIDERS_REPORTED_CALL, provider_call_id, provider, agency_id)
    else:
        return None
    return None if row is None else read(ReportedCall, row, facts=tuple(Fact(*fact) for fact in row["facts"] or ()))


async def find_providers_call(connection: Connection, agency_id: str, provider_call_id: str) -> StoredCall | None:
    """The agency's call with the provider's id."""
    return await fetch_row(connection, StoredCall, FIND_PROVIDERS_CALL, provider_call_id, agency_id)


async def is_step_claimed(connection: Connection, call: StoredCall, step: str) -> bool:
    """Whether Twilio has asked for what comes after the leg of that step."""
    return bool(await connection.fetchval(STEP_IS_CLAIMED, call.account_sid, call.call_sid, step))


async def find_key_version(connection: Connection, agency_id: str, kind: str, at: datetime) -> int | None:
    """Which version of a key a call that began then was made with. None: it is deleted."""
    version: int | None = await connection.fetchval(FIND_KEY_VERSION, agency_id, kind, at)
    return version


async def find_story(connection: Connection, agency_id: str, call_id: str) -> CallStory:
    statement = f"""SELECT {columns(CallStory)} FROM calls WHERE agency_id = $1 AND id = $2"""
    story = await fetch_row(connection, CallStory, statement, agency_id, call_id)
    return story or CallStory(None, None, None, None, None, None)


async def find_answering(connection: Connection, agency_id: str, e164: str, provider: str) -> Answering | None:
    """For a provider that asks who takes the calls of a number, or reports a call that we do not know."""
    return await fetch_row(connection, Answering, FIND_ANSWERING, agency_id, e164, provider)
