"""What providers tell of calls: finding the call that a report is about, and what is kept of it on the call.

What they tell of its course stands in call_events; which report means what is router.calls.reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from router.store.calls.calls import StoredCall
from router.store.calls.records import SetStory
from router.store.pool import Connection
from router.store.rows import columns, read

_LONGEST_TRANSCRIPT: Final = 500_000  # characters: hours of talk
_LONGEST_SUMMARY: Final = 20_000
_LONGEST_WORD: Final = 300
_MOST_DOLLARS: Final = 100_000.0
_MOST_SECONDS: Final = 1_000_000.0

FIND_REPORTED_CALL: Final = f"""
SELECT {columns(StoredCall)}
  FROM calls
 WHERE id = $1
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

# The key that was in use when the call began.
FIND_KEY_VERSION: Final = """
SELECT version FROM keys WHERE agency_id = $1 AND kind = $2 AND saved_at <= $3 ORDER BY version DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class CallStory:
    """What the provider told of a call, as far as it has. `ai_seconds`: how long it had the call."""

    provider_call_id: str | None
    end_reason: str | None
    summary: str | None
    transcript: str | None
    ai_seconds: float | None


_STORY: Final = columns(CallStory)


async def find_reported_call(
    connection: Connection, agency_id: str, call_id: str | None, provider_call_id: str | None
) -> StoredCall | None:
    """The call with our id, *whosever it is*; without such an id, the agency's call with the provider's."""
    if call_id is not None:
        row = await connection.fetchrow(FIND_REPORTED_CALL, call_id)
    elif provider_call_id is not None:
        row = await connection.fetchrow(FIND_PROVIDERS_CALL, provider_call_id, agency_id)
    else:
        return None
    return None if row is None else read(StoredCall, row)


async def is_step_claimed(connection: Connection, call: StoredCall, step: str) -> bool:
    """Whether Twilio has asked what comes after the leg of that step."""
    claimed: bool = await connection.fetchval(STEP_IS_CLAIMED, call.account_sid, call.call_sid, step)
    return claimed


async def find_key_version(connection: Connection, agency_id: str, kind: str, at: datetime) -> int | None:
    """Which version of a key a call that began then was made with. None: it is deleted."""
    version: int | None = await connection.fetchval(FIND_KEY_VERSION, agency_id, kind, at)
    return version


async def find_story(connection: Connection, agency_id: str, call_id: str) -> CallStory:
    row = await connection.fetchrow(
        f"""
        SELECT {_STORY}
          FROM calls
         WHERE agency_id = $1 AND id = $2
        """,
        agency_id,
        call_id,
    )
    return read(CallStory, row) if row else CallStory(None, None, None, None, None)


def set_story(
    call_id: str,
    provider: str,
    *,
    provider_call_id: str | None = None,
    end_reason: str | None = None,
    summary: str | None = None,
    transcript: str | None = None,
    cost: float | None = None,
    ai_seconds: float | None = None,
) -> SetStory:
    """What the provider tells of the call, bounded."""
    return SetStory(
        call_id,
        provider,
        provider_call_id=_cut(provider_call_id, _LONGEST_WORD),
        end_reason=_cut(end_reason, _LONGEST_WORD),
        summary=_cut(summary, _LONGEST_SUMMARY),
        transcript=_cut(transcript, _LONGEST_TRANSCRIPT),
        cost=_bound(cost, _MOST_DOLLARS),
        ai_seconds=_bound(ai_seconds, _MOST_SECONDS),
    )


def _cut(text: str | None, longest: int) -> str | None:
    return None if text is None else text[:longest]


def _bound(value: float | None, most: float) -> float | None:
    """None for what no call costs or lasts."""
    return value if value is not None and 0 <= value <= most else None
