"""What is written behind a call: statements for the recorder, which commits many at a time, and the few that run at once.

Each may be run twice without harm. What a call asks of the database is router.store.calls.calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from router.store.pool import Pool


@dataclass(frozen=True, slots=True)
class Write:
    """One statement with its arguments, to be committed together with others. Running it twice does no harm.

    `spool_only`: the database has it already, unless it loses its last moments in a crash. Then the spool, in which
    all that followed stands, has to have it too.
    """

    statement: str
    arguments: tuple[Any, ...]
    spool_only: bool = False


def insert_event(
    event_id: str,
    call_id: str,
    at: datetime,
    event: str,
    *,
    step: str | None = None,
    provider: str | None = None,
    reason: str | None = None,
    duration_ms: int | None = None,
) -> Write:
    """A call event; the same event of the same step and provider is kept once. Gone calls take theirs along."""
    return Write(
        """
        INSERT INTO call_events (id, call_id, at, event, step, provider, reason, duration_ms)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE EXISTS (SELECT FROM calls WHERE id = $2)
        ON CONFLICT DO NOTHING
        """,
        (event_id, call_id, at, event, step, provider, reason, duration_ms),
    )


def insert_call(
    call_id: str,
    *,
    account_sid: str,
    call_sid: str,
    agency_id: str,
    client_id: str,
    from_number: str,
    to_number: str,
    started_at: datetime,
) -> Write:
    """For a call that came in while the database was away, here or in another process."""
    return Write(
        """
        INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE EXISTS (SELECT FROM agencies WHERE id = $4)
        ON CONFLICT DO NOTHING
        """,
        (call_id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at),
    )


def insert_step(account_sid: str, call_sid: str, step: str, call_id: str, at: datetime) -> Write:
    """Likewise for a claim."""
    return Write(
        """
        INSERT INTO call_steps (account_sid, call_sid, step, call_id, claimed_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING
        """,
        (account_sid, call_sid, step, call_id, at),
    )


def store_answer(account_sid: str, call_sid: str, step: str, at: datetime, sealed: str) -> Write:
    return Write(
        """
        UPDATE call_steps SET answered_at = $4, answer = $5
        WHERE account_sid = $1 AND call_sid = $2 AND step = $3 AND answer IS NULL
        """,
        (account_sid, call_sid, step, at, sealed),
    )


def set_answered(call_id: str, by: str, provider: str | None, at: datetime) -> Write:
    """Who took the call last, and when somebody first did. A spool may tell the earlier after the later."""
    return Write(
        """
        UPDATE calls
        SET answered_by = CASE WHEN answered_at >= $4 THEN answered_by ELSE $2 END,
        provider = CASE WHEN answered_at >= $4 THEN provider ELSE $3 END, answered_at = least(answered_at, $4)
        WHERE id = $1
        """,
        (call_id, by, provider, at),
    )


def set_provider(call_id: str, provider: str, at: datetime, provider_call_id: str | None = None) -> Write:
    """Who has the call now, answered or not, and as what; unless a step has been taken since."""
    return Write(
        """
        UPDATE calls SET provider = $2, provider_call_id = $4 WHERE id = $1
        AND NOT EXISTS (SELECT FROM call_steps WHERE call_id = $1 AND claimed_at > $3)
        """,
        (call_id, provider, at, provider_call_id),
    )


def mark_assistant(client_id: str, provider: str, at: datetime) -> Write:
    """The provider refused a call as such: something is wrong with this client's assistant or number there.

    One of ours is put there anew, once: should that not help, neither would doing so after every call.
    """
    return Write(
        """
        UPDATE assistants SET error = 'refused a call as a bad request', updated_at = $3,
        state = CASE WHEN state = 'synced' AND refused_hash IS DISTINCT FROM synced_hash THEN 'pending' ELSE state END,
        refused_hash = CASE WHEN state = 'synced' THEN synced_hash ELSE refused_hash END
        WHERE client_id = $1 AND provider = $2
        """,
        (client_id, provider, at),
    )


def set_ringing(call_id: str, phone: str, shows: str, until: datetime) -> Write:
    """The owner's phone is being rung and shows this caller ID: what a loop is recognised by."""
    return Write(
        "UPDATE calls SET ringing_phone = $2, ringing_shows = $3, ringing_until = $4 WHERE id = $1",
        (call_id, phone, shows, until),
    )


def clear_ringing(call_id: str) -> Write:
    return Write(
        "UPDATE calls SET ringing_phone = NULL, ringing_shows = NULL, ringing_until = NULL WHERE id = $1", (call_id,)
    )


def set_outcome(call_id: str, outcome: str) -> Write:
    """The outcome as far as it is known. A message that was left outweighs a caller who seemed to be gone."""
    return Write(
        "UPDATE calls SET outcome = $2 WHERE id = $1 AND (outcome IS NULL OR outcome = 'abandoned')",
        (call_id, outcome),
    )


# With its event in the same statement: whoever finds the call closed can rely on both.
END_CALL: Final = """
WITH ended AS (
    UPDATE calls
       SET ended_at = $2, seconds = coalesce($4, seconds), outcome = coalesce(outcome, $3),
           ringing_phone = NULL, ringing_shows = NULL, ringing_until = NULL
     WHERE id = $1 AND ended_at IS NULL
    RETURNING id, outcome
), told AS (
    INSERT INTO call_events (id, call_id, at, event, step, reason)
    SELECT $5, id, $2, 'call.ended', 'end', outcome FROM ended
    ON CONFLICT DO NOTHING
)
SELECT (SELECT outcome FROM ended) AS outcome, EXISTS (SELECT FROM calls WHERE id = $1) AS recorded
"""


class UnrecordedCallError(LookupError):
    """The database does not have the call: its beginning may be in the spool of some process."""


async def end_call(
    pool: Pool, call_id: str, event_id: str, at: datetime, outcome: str, seconds: int | None
) -> str | None:
    """Close a call once. Returns its outcome to whoever closed it, None to everybody after.

    Raises UnrecordedCallError.
    """
    [row] = await pool.fetch(END_CALL, call_id, at, outcome, seconds, event_id)
    if not row["recorded"]:
        raise UnrecordedCallError
    closed: str | None = row["outcome"]
    return closed


# For when nobody can tell how the call went: the database was away, or the call itself is still in some spool. Then
# the end waits for it (router.store.calls.early_ends).
_END_LATER: Final = """
WITH ended AS (
    UPDATE calls
       SET ended_at = $3, seconds = $4, ringing_phone = NULL, ringing_shows = NULL, ringing_until = NULL,
           outcome = coalesce(outcome, CASE WHEN answered_by IN ('ai', 'owner') THEN answered_by END, 'abandoned')
     WHERE id = $1 AND ended_at IS NULL
    RETURNING id, outcome
), told AS (
    INSERT INTO call_events (id, call_id, at, event, step, reason)
    SELECT $2, id, $3, 'call.ended', 'end', outcome FROM ended
    ON CONFLICT DO NOTHING
), timed AS (
    UPDATE calls SET seconds = coalesce($4, seconds) WHERE id = $1 AND ended_at IS NOT NULL
)
INSERT INTO early_ends (call_id, event_id, at, seconds)
SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM calls WHERE id = $1)
ON CONFLICT DO NOTHING
"""


def end_call_later(call_id: str, event_id: str, at: datetime, seconds: int | None) -> Write:
    return Write(_END_LATER, (call_id, event_id, at, seconds))


def set_ended(call_id: str, at: datetime, seconds: int | None) -> Write:
    return Write(
        """
        UPDATE calls SET ended_at = $2, seconds = coalesce($3, seconds),
        ringing_phone = NULL, ringing_shows = NULL, ringing_until = NULL WHERE id = $1 AND ended_at IS NULL
        """,
        (call_id, at, seconds),
    )


def set_seconds(call_id: str, seconds: int) -> Write:
    return Write("UPDATE calls SET seconds = $2 WHERE id = $1", (call_id, seconds))


INSERT_VOICEMAIL: Final = """
WITH filed AS (
    INSERT INTO voicemails (id, account_sid, recording_sid, call_id, agency_id, client_id, from_number, at, seconds,
                            transcript_due)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
     WHERE EXISTS (SELECT FROM calls WHERE id = $4)
    ON CONFLICT (account_sid, recording_sid) DO NOTHING
    RETURNING id
)
SELECT (SELECT id FROM filed) AS id, EXISTS (SELECT FROM calls WHERE id = $4) AS recorded
"""


async def insert_voicemail(pool: Pool, arguments: tuple[Any, ...]) -> bool:
    """File a message; False if it is there already. Raises UnrecordedCallError."""
    [row] = await pool.fetch(INSERT_VOICEMAIL, *arguments)
    if not row["recorded"]:
        raise UnrecordedCallError
    return row["id"] is not None


def voicemail_arguments(
    voicemail_id: str,
    *,
    account_sid: str,
    recording_sid: str,
    call_id: str,
    agency_id: str,
    client_id: str,
    from_number: str,
    at: datetime,
    seconds: int,
    transcript_due: datetime | None = None,
) -> tuple[Any, ...]:
    """The arguments of INSERT_VOICEMAIL. `transcript_due`: until when a transcript is waited for."""
    return (
        voicemail_id,
        account_sid,
        recording_sid,
        call_id,
        agency_id,
        client_id,
        from_number,
        at,
        seconds,
        transcript_due,
    )


def set_transcript(voicemail_id: str, transcript: str | None) -> Write:
    """What a message says; None: nobody could write it down. The first that comes stays."""
    return Write(
        "UPDATE voicemails SET transcript = coalesce(transcript, $2), transcript_due = NULL WHERE id = $1",
        (voicemail_id, transcript),
    )
