"""Records of what happened on calls: the kinds there are, their fields, and the statement that writes each kind.

A record waits in memory or on disk until it is written to the database, perhaps by a later version of this program. A
file therefore holds a record's kind and its fields by name, and the statement is looked up when the record is written.
For records on disk to keep their meaning:

- A kind and a field keep their names. A new field gets a default: records without it are still on disks.
- Writing a record twice does no harm.
- Records of one call may come from several processes, each with its own spool, so they arrive in any order. The
  exception is a row that others need: a process notes `insert_call`, `insert_step` and `insert_voicemail` before what
  changes these rows. An older version skips kinds that it does not know, and writes the records behind them. So these
  three may gain fields, and must not be replaced by a new kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Final

from pydantic import TypeAdapter

from router.store.pool import Pool

_SUBJECTS: Final = frozenset({"call_id", "call_sid", "voicemail_id", "client_id"})


@dataclass(frozen=True, slots=True)
class Record:
    """Something to be written to the database. The fields of a kind are its statement's parameters, in their order."""

    kind: ClassVar[str]
    statement: ClassVar[str]

    @property
    def arguments(self) -> tuple[Any, ...]:
        return tuple(self.fields.values())

    @property
    def subjects(self) -> list[str]:
        """The ids of what it is about."""
        names: tuple[str, ...] = self.__slots__
        return [getattr(self, name) for name in names if name in _SUBJECTS]

    @property
    def fields(self) -> dict[str, Any]:
        names: tuple[str, ...] = self.__slots__  # dataclass makes one for each field, in their order
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class InsertCall(Record):
    """A call that came in while the database was away, here or in another process."""

    kind = "insert_call"
    statement = """
    INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8
     WHERE EXISTS (SELECT FROM agencies WHERE id = $4)
       AND NOT EXISTS (SELECT FROM deleted_calls WHERE account_sid = $2 AND call_sid = $3)
    ON CONFLICT DO NOTHING
    """

    call_id: str
    _: KW_ONLY
    account_sid: str
    call_sid: str
    agency_id: str
    client_id: str
    from_number: str
    to_number: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class InsertStep(Record):
    """A step that was claimed while the database was away."""

    kind = "insert_step"
    statement = """
    INSERT INTO call_steps (account_sid, call_sid, step, call_id, claimed_at)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING
    """

    account_sid: str
    call_sid: str
    step: str
    call_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StoreAnswer(Record):
    """What a step was answered with, sealed. The first answer stays."""

    kind = "store_answer"
    statement = """
    UPDATE call_steps
       SET answered_at = $4, answer = $5
     WHERE account_sid = $1 AND call_sid = $2 AND step = $3 AND answer IS NULL
    """

    account_sid: str
    call_sid: str
    step: str
    at: datetime
    sealed: str


@dataclass(frozen=True, slots=True)
class InsertEvent(Record):
    """A call event. The same event of the same step and provider is kept once; one of a deleted call is not kept."""

    kind = "insert_event"
    statement = """
    INSERT INTO call_events (id, call_id, at, event, step, provider, reason, duration_ms)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8
     WHERE EXISTS (SELECT FROM calls WHERE id = $2)
    ON CONFLICT DO NOTHING
    """

    event_id: str
    call_id: str
    at: datetime
    event: str
    _: KW_ONLY
    step: str | None = None
    provider: str | None = None
    reason: str | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SetAnswered(Record):
    """Who took the call last, and when it was first taken. Two of them may be written in the wrong order."""

    kind = "set_answered"
    statement = """
    UPDATE calls
       SET answered_by = CASE WHEN answered_at >= $4 THEN answered_by ELSE $2 END,
           provider = CASE WHEN answered_at >= $4 THEN provider ELSE $3 END,
           answered_at = least(answered_at, $4)
     WHERE id = $1
    """

    call_id: str
    by: str
    provider: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class SetProvider(Record):
    """The provider that has the call now, answered or not, and its call id; unless a later step has been claimed."""

    kind = "set_provider"
    statement = """
    UPDATE calls
       SET provider = $2, provider_call_id = $4
     WHERE id = $1 AND NOT EXISTS (SELECT FROM call_steps WHERE call_id = $1 AND claimed_at > $3)
    """

    call_id: str
    provider: str
    at: datetime
    provider_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class MarkAssistant(Record):
    """A provider refused a call as a bad request: something is wrong with this client's assistant or number there.

    A synced assistant is synced again, but only once: if that does not help, repeating it does not either. Any is looked
    at, every ten minutes at most; one without an id cannot be, and is synced again instead. An error that says more stays.
    """

    kind = "mark_assistant"
    statement = """
    UPDATE assistants
       SET error = coalesce(error, 'refused a call as a bad request'),
           look_after = CASE WHEN error IS NULL OR updated_at <= $3::timestamptz - interval '10 minutes'
                             THEN '-infinity' ELSE look_after END,
           state = CASE WHEN state = 'synced'
                             AND (refused_hash IS DISTINCT FROM synced_hash
                                  OR remote_id IS NULL AND updated_at <= $3::timestamptz - interval '10 minutes')
                        THEN 'pending' ELSE state END,
           refused_hash = CASE WHEN state = 'synced' THEN synced_hash ELSE refused_hash END
     WHERE client_id = $1 AND provider = $2
    """

    client_id: str
    provider: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SetRinging(Record):
    """The owner's phone is being rung and shows this caller ID, by which a loop is recognised."""

    kind = "set_ringing"
    statement = "UPDATE calls SET ringing_phone = $2, ringing_shows = $3, ringing_until = $4 WHERE id = $1"

    call_id: str
    phone: str
    shows: str
    until: datetime


@dataclass(frozen=True, slots=True)
class ClearRinging(Record):
    """The owner's phone is not being rung any more."""

    kind = "clear_ringing"
    statement = "UPDATE calls SET ringing_phone = NULL, ringing_shows = NULL, ringing_until = NULL WHERE id = $1"

    call_id: str


@dataclass(frozen=True, slots=True)
class SetOutcome(Record):
    """The outcome so far. A message replaces the outcome of a caller who seemed to have hung up."""

    kind = "set_outcome"
    statement = "UPDATE calls SET outcome = $2 WHERE id = $1 AND (outcome IS NULL OR outcome = 'abandoned')"

    call_id: str
    outcome: str


@dataclass(frozen=True, slots=True)
class SetEnded(Record):
    """The call is over. The first record counts."""

    kind = "set_ended"
    statement = """
    UPDATE calls
       SET ended_at = $2, seconds = coalesce($3, seconds),
           ringing_phone = NULL, ringing_shows = NULL, ringing_until = NULL
     WHERE id = $1 AND ended_at IS NULL
    """

    call_id: str
    at: datetime
    seconds: int | None


@dataclass(frozen=True, slots=True)
class SetSeconds(Record):
    """How long a call that is already closed lasted."""

    kind = "set_seconds"
    statement = "UPDATE calls SET seconds = $2 WHERE id = $1"

    call_id: str
    seconds: int


@dataclass(frozen=True, slots=True)
class EndCallLater(Record):
    """The call is over, but its outcome is not known yet: the database was away, or the call itself is still in a spool.

    The end waits for the call (router.store.calls.sweeps).
    """

    kind = "end_call_later"
    statement = """
    INSERT INTO early_ends (call_id, event_id, at, seconds, agency_id)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING
    """

    call_id: str
    event_id: str
    at: datetime
    seconds: int | None
    agency_id: str = ""  # whose call it may be, because its token proved the end; "": anyone's, by the platform's token


@dataclass(frozen=True, slots=True)
class InsertVoicemail(Record):
    """A message, once per recording, and not again after it was deleted. `seconds`: None if the carrier did not say.
    `transcript_due`: until when a transcript is waited for.
    """

    kind = "insert_voicemail"
    statement = """
    WITH filed AS (
        INSERT INTO voicemails (id, account_sid, recording_sid, call_id, agency_id, client_id, from_number, at, seconds,
                                transcript_due)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
         WHERE EXISTS (SELECT FROM calls WHERE id = $4)
           AND NOT EXISTS (SELECT FROM deleted_messages d WHERE d.voicemail_id = $1)
        ON CONFLICT (account_sid, recording_sid, agency_id) DO NOTHING
        RETURNING id
    )
    SELECT (SELECT id FROM filed) AS id, EXISTS (SELECT FROM calls WHERE id = $4) AS recorded
    """

    voicemail_id: str
    _: KW_ONLY
    account_sid: str
    recording_sid: str
    call_id: str
    agency_id: str
    client_id: str
    from_number: str
    at: datetime
    seconds: int | None
    transcript_due: datetime | None = None


@dataclass(frozen=True, slots=True)
class SetTranscript(Record):
    """What a message says; None if it could not be written down. The first text stays. It may come before its message."""

    kind = "set_transcript"
    statement = """
    INSERT INTO transcripts (voicemail_id, said, call_id)
    SELECT $1, $2, $3
     WHERE EXISTS (SELECT FROM calls WHERE id = $3)
       AND NOT EXISTS (SELECT FROM deleted_messages d WHERE d.voicemail_id = $1)
    ON CONFLICT (voicemail_id) DO UPDATE SET said = coalesce(transcripts.said, excluded.said)
    """

    voicemail_id: str
    transcript: str | None
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class SetStory(Record):
    """What the provider that has the call reports of it, `cost` in US dollars; earlier providers are ignored.

    Reports come in any order and more than once: the first reason, the longest transcript and the highest cost stay.
    """

    kind = "set_story"
    statement = """
    UPDATE calls
       SET provider_call_id = coalesce(provider_call_id, $3),
           end_reason = coalesce(end_reason, $4),
           summary = coalesce($5, summary),
           transcript = CASE WHEN length($6) > coalesce(length(transcript), 0) THEN $6 ELSE transcript END,
           cost = greatest(cost, ($7::float8)::numeric),
           ai_seconds = greatest(ai_seconds, $8)
     WHERE id = $1 AND (provider IS NULL OR provider = $2)
    """

    call_id: str
    provider: str
    _: KW_ONLY
    provider_call_id: str | None = None
    end_reason: str | None = None
    summary: str | None = None
    transcript: str | None = None
    cost: float | None = None
    ai_seconds: float | None = None


def in_few_statements(batch: Iterable[Record]) -> list[list[Record]]:
    """Records of one kind together, so that those of many calls take one round trip. Each stays behind the earlier ones
    about the same call.
    """
    groups: list[list[Record]] = []
    latest: dict[str, int] = {}  # the group of the last record about that
    for record in batch:
        subjects = record.subjects
        first = max((latest.get(subject, 0) for subject in subjects), default=0)
        kind = type(record)
        place = next((at for at in range(first, len(groups)) if type(groups[at][0]) is kind), len(groups))
        if place == len(groups):
            groups.append([])
        groups[place].append(record)
        latest.update(dict.fromkeys(subjects, place))
    return groups


KINDS: Final[Mapping[str, type[Record]]] = {
    form.kind: form
    for form in (
        InsertCall,
        InsertStep,
        StoreAnswer,
        InsertEvent,
        SetAnswered,
        SetProvider,
        MarkAssistant,
        SetRinging,
        ClearRinging,
        SetOutcome,
        SetEnded,
        SetSeconds,
        EndCallLater,
        InsertVoicemail,
        SetTranscript,
        SetStory,
    )
}


def read_record(kind: str, given: Mapping[str, Any]) -> Record:
    """The record of a kind that this version knows. Fields that it does not know are ignored; those that are missing
    take their defaults. Raises ValueError for a field that is missing without a default, or has a wrong value.
    """
    return _form_of(kind).validate_python(given)


@cache
def _form_of(kind: str) -> TypeAdapter[Record]:
    return TypeAdapter(KINDS[kind])


class UnrecordedCallError(LookupError):
    """The database does not have the call: its beginning may be in the spool of a process."""


# With its event in the same statement: a call that is closed has it in its timeline. It is no longer counted among the
# calls at once; the locks are taken in the order of router.store.calls.calls.CLAIM_CALL.
END_CALL: Final = """
WITH ended AS (
    UPDATE calls
       SET ended_at = $2, seconds = coalesce($4, seconds), outcome = coalesce(outcome, $3),
           ringing_phone = NULL, ringing_shows = NULL, ringing_until = NULL
     WHERE id = $1 AND ended_at IS NULL
    RETURNING id, outcome, agency_id, account_sid, call_sid
), held AS (
    SELECT o.agency_id, o.caller
      FROM ended
      JOIN call_steps s ON s.account_sid = ended.account_sid AND s.call_sid = ended.call_sid AND s.step = 'inbound'
      JOIN calls_at_once o ON o.agency_id = ended.agency_id AND o.caller = ANY (s.counted)
     ORDER BY o.caller DESC
       FOR UPDATE OF o
), freed AS (
    UPDATE calls_at_once o
       SET n = greatest(o.n - 1, 0)
      FROM held
     WHERE o.agency_id = held.agency_id AND o.caller = held.caller
), told AS (
    INSERT INTO call_events (id, call_id, at, event, step, reason)
    SELECT $5, id, $2, 'call.ended', 'end', outcome FROM ended
    ON CONFLICT DO NOTHING
)
SELECT (SELECT outcome FROM ended) AS outcome, EXISTS (SELECT FROM calls WHERE id = $1) AS recorded
"""


async def end_call(
    pool: Pool, call_id: str, event_id: str, at: datetime, outcome: str, seconds: int | None
) -> str | None:
    """Close a call once. Returns its outcome to the first caller, None to all later ones. Raises UnrecordedCallError."""
    [row] = await pool.fetch(END_CALL, call_id, at, outcome, seconds, event_id)
    if not row["recorded"]:
        raise UnrecordedCallError
    closed: str | None = row["outcome"]
    return closed


async def insert_voicemail(pool: Pool, message: InsertVoicemail) -> bool:
    """File a message; False if it is there already. Raises UnrecordedCallError."""
    [row] = await pool.fetch(message.statement, *message.arguments)
    if not row["recorded"]:
        raise UnrecordedCallError
    return row["id"] is not None
