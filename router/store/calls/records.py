"""Records of what happened on calls: the kinds there are, their fields, and the one statement that writes them.

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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Final

from pydantic import TypeAdapter
from pydantic_core import to_json

from router.store.pool import Connection, Pool
from router.store.rows import side_by_side

_SUBJECTS: Final = frozenset({"call_id", "call_sid", "voicemail_id", "client_id"})

# The records that a statement writes, as JSON. Each kind's statement reads its own from here.
_GIVEN: Final = """
    SELECT value ->> 0 AS kind, value -> 1 AS fields, place
      FROM json_array_elements($1) WITH ORDINALITY AS each (value, place)
"""


@dataclass(frozen=True, slots=True)
class Record:
    """Something to be written to the database. A kind's statement is a part of WRITE_RECORDS, and names its fields."""

    kind: ClassVar[str]
    statement: ClassVar[str]
    more: ClassVar[Mapping[str, str]] = {}  # parts that follow from it
    adds: ClassVar[str | None] = None  # the table to which it adds a row that other records need
    changes: ClassVar[str | None] = None  # the table in which it changes a row
    needs: ClassVar[str | None] = None  # the table whose row has to be there, if that is another one

    @property
    def subjects(self) -> list[str]:
        """The ids of what it is about."""
        return [getattr(self, name) for name in _names(type(self)) if name in _SUBJECTS]

    @property
    def fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _names(type(self))}


def _names(kind: type[Record]) -> tuple[str, ...]:
    """The names of a kind's fields: dataclass makes a slot for each, in their order."""
    names: tuple[str, ...] = kind.__slots__
    return names


@dataclass(frozen=True, slots=True)
class InsertCall(Record):
    """A call that came in while the database was away, here or in another process."""

    kind = "insert_call"
    adds = "calls"
    statement = """
    INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at)
    SELECT r.call_id, r.account_sid, r.call_sid, r.agency_id, r.client_id, r.from_number, r.to_number, r.started_at
      FROM given,
           json_to_record(given.fields) AS r (call_id text, account_sid text, call_sid text, agency_id text,
                                              client_id text, from_number text, to_number text, started_at timestamptz)
     WHERE given.kind = 'insert_call'
       AND EXISTS (SELECT FROM agencies a WHERE a.id = r.agency_id)
       AND NOT EXISTS (SELECT FROM deleted_calls d WHERE d.account_sid = r.account_sid AND d.call_sid = r.call_sid)
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
    adds = "call_steps"
    statement = """
    INSERT INTO call_steps (account_sid, call_sid, step, call_id, claimed_at)
    SELECT r.account_sid, r.call_sid, r.step, r.call_id, r.at
      FROM given,
           json_to_record(given.fields) AS r (account_sid text, call_sid text, step text, call_id text, at timestamptz)
     WHERE given.kind = 'insert_step'
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
    changes = "call_steps"
    statement = """
    UPDATE call_steps s
       SET answered_at = r.at, answer = r.sealed
      FROM given,
           json_to_record(given.fields) AS r (account_sid text, call_sid text, step text, at timestamptz, sealed text)
     WHERE given.kind = 'store_answer'
       AND s.account_sid = r.account_sid AND s.call_sid = r.call_sid AND s.step = r.step AND s.answer IS NULL
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
    needs = "calls"
    statement = """
    INSERT INTO call_events (id, call_id, at, event, step, provider, reason, duration_ms)
    SELECT r.event_id, r.call_id, r.at, r.event, r.step, r.provider, r.reason, r.duration_ms
      FROM given,
           json_to_record(given.fields) AS r (event_id text, call_id text, at timestamptz, event text, step text,
                                              provider text, reason text, duration_ms integer)
     WHERE given.kind = 'insert_event' AND EXISTS (SELECT FROM calls c WHERE c.id = r.call_id)
     ORDER BY given.place
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
    changes = "calls"
    statement = """
    UPDATE calls c
       SET answered_by = CASE WHEN c.answered_at >= r.at THEN c.answered_by ELSE r.by END,
           provider = CASE WHEN c.answered_at >= r.at THEN c.provider ELSE r.provider END,
           answered_at = least(c.answered_at, r.at)
      FROM given,
           json_to_record(given.fields) AS r (call_id text, by text, provider text, at timestamptz)
     WHERE given.kind = 'set_answered' AND c.id = r.call_id
    """

    call_id: str
    by: str
    provider: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class SetProvider(Record):
    """The provider that has the call now, answered or not, and its call id; unless a later step has been claimed."""

    kind = "set_provider"
    changes = "calls"
    statement = """
    UPDATE calls c
       SET provider = r.provider, provider_call_id = r.provider_call_id
      FROM given,
           json_to_record(given.fields) AS r (call_id text, provider text, at timestamptz, provider_call_id text)
     WHERE given.kind = 'set_provider' AND c.id = r.call_id
       AND NOT EXISTS (SELECT FROM call_steps s WHERE s.call_id = r.call_id AND s.claimed_at > r.at)
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
    changes = "assistants"
    statement = """
    UPDATE assistants a
       SET error = coalesce(a.error, 'refused a call as a bad request'),
           look_after = CASE WHEN a.error IS NULL OR a.updated_at <= r.at - interval '10 minutes'
                             THEN '-infinity' ELSE a.look_after END,
           state = CASE WHEN a.state = 'synced'
                             AND (a.refused_hash IS DISTINCT FROM a.synced_hash
                                  OR a.remote_id IS NULL AND a.updated_at <= r.at - interval '10 minutes')
                        THEN 'pending' ELSE a.state END,
           refused_hash = CASE WHEN a.state = 'synced' THEN a.synced_hash ELSE a.refused_hash END
      FROM given,
           json_to_record(given.fields) AS r (client_id text, provider text, at timestamptz)
     WHERE given.kind = 'mark_assistant' AND a.client_id = r.client_id AND a.provider = r.provider
    """

    client_id: str
    provider: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SetRinging(Record):
    """The owner's phone is being rung and shows this caller ID, by which a loop is recognised."""

    kind = "set_ringing"
    changes = "calls"
    statement = """
    UPDATE calls c
       SET ringing_phone = r.phone, ringing_shows = r.shows, ringing_until = r.until
      FROM given,
           json_to_record(given.fields) AS r (call_id text, phone text, shows text, until timestamptz)
     WHERE given.kind = 'set_ringing' AND c.id = r.call_id
    """

    call_id: str
    phone: str
    shows: str
    until: datetime


@dataclass(frozen=True, slots=True)
class ClearRinging(Record):
    """The owner's phone is not being rung any more."""

    kind = "clear_ringing"
    changes = "calls"
    statement = """
    UPDATE calls c
       SET ringing_phone = NULL, ringing_shows = NULL, ringing_until = NULL
      FROM given,
           json_to_record(given.fields) AS r (call_id text)
     WHERE given.kind = 'clear_ringing' AND c.id = r.call_id
    """

    call_id: str


@dataclass(frozen=True, slots=True)
class SetOutcome(Record):
    """The outcome so far. A message replaces the outcome of a caller who seemed to have hung up."""

    kind = "set_outcome"
    changes = "calls"
    statement = """
    UPDATE calls c
       SET outcome = r.outcome
      FROM given,
           json_to_record(given.fields) AS r (call_id text, outcome text)
     WHERE given.kind = 'set_outcome' AND c.id = r.call_id AND (c.outcome IS NULL OR c.outcome = 'abandoned')
    """

    call_id: str
    outcome: str


@dataclass(frozen=True, slots=True)
class EndCall(Record):
    """The call is over; the first record counts, and an outcome that is known already stays. `by`, `provider` and
    `answered_at` are those of a SetAnswered that is written with it. These and `seconds` are written whichever end is first.

    With its event in the same statement: a call that is closed has it in its timeline. It is no longer counted among the
    calls at once. Of all counts, those of callers are locked before those of agencies, as in
    router.store.calls.calls.CLAIM_CALL.
    """

    kind = "end_call"
    changes = "calls"
    statement = """
    UPDATE calls c
       SET ended_at = r.at, seconds = coalesce(r.seconds, c.seconds), outcome = coalesce(c.outcome, r.outcome),
           ringing_phone = NULL, ringing_shows = NULL, ringing_until = NULL,
           answered_by = CASE WHEN r.by IS NULL OR c.answered_at >= r.answered_at THEN c.answered_by ELSE r.by END,
           provider = CASE WHEN r.by IS NULL OR c.answered_at >= r.answered_at THEN c.provider ELSE r.provider END,
           answered_at = least(c.answered_at, r.answered_at)
      FROM given,
           json_to_record(given.fields) AS r (call_id text, event_id text, at timestamptz, outcome text, seconds integer,
                                              by text, provider text, answered_at timestamptz)
     WHERE given.kind = 'end_call' AND c.id = r.call_id AND c.ended_at IS NULL
    RETURNING c.id, c.outcome, c.agency_id, c.account_sid, c.call_sid, r.event_id, r.at
    """
    more: ClassVar = {
        "held": """
    SELECT o.agency_id, o.caller
      FROM end_call e
      JOIN call_steps s ON s.account_sid = e.account_sid AND s.call_sid = e.call_sid AND s.step = 'inbound'
      JOIN calls_at_once o ON o.agency_id = e.agency_id AND o.caller = ANY (s.counted)
     ORDER BY o.caller = '', o.agency_id, o.caller
       FOR UPDATE OF o
    """,
        "freed": """
    UPDATE calls_at_once o
       SET n = greatest(o.n - over.calls, 0)
      FROM (SELECT agency_id, caller, count(*)::integer AS calls FROM held GROUP BY agency_id, caller) AS over
     WHERE o.agency_id = over.agency_id AND o.caller = over.caller
    """,
        "told": """
    INSERT INTO call_events (id, call_id, at, event, step, reason)
    SELECT event_id, id, at, 'call.ended', 'end', outcome FROM end_call
    ON CONFLICT DO NOTHING
    """,
    }

    call_id: str
    event_id: str
    at: datetime
    outcome: str
    seconds: int | None
    _: KW_ONLY
    by: str | None = None
    provider: str | None = None
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SetSeconds(Record):
    """How long a call that is already closed lasted."""

    kind = "set_seconds"
    changes = "calls"
    statement = """
    UPDATE calls c
       SET seconds = r.seconds
      FROM given,
           json_to_record(given.fields) AS r (call_id text, seconds integer)
     WHERE given.kind = 'set_seconds' AND c.id = r.call_id
    """

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
    SELECT r.call_id, r.event_id, r.at, r.seconds, r.agency_id
      FROM given,
           json_to_record(given.fields) AS r (call_id text, event_id text, at timestamptz, seconds integer,
                                              agency_id text)
     WHERE given.kind = 'end_call_later'
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
    needs = "calls"
    statement = """
    INSERT INTO voicemails (id, account_sid, recording_sid, call_id, agency_id, client_id, from_number, at, seconds,
                            transcript_due)
    SELECT r.voicemail_id, r.account_sid, r.recording_sid, r.call_id, r.agency_id, r.client_id, r.from_number, r.at,
           r.seconds, r.transcript_due
      FROM given,
           json_to_record(given.fields) AS r (voicemail_id text, account_sid text, recording_sid text, call_id text,
                                              agency_id text, client_id text, from_number text, at timestamptz,
                                              seconds integer, transcript_due timestamptz)
     WHERE given.kind = 'insert_voicemail'
       AND EXISTS (SELECT FROM calls c WHERE c.id = r.call_id)
       AND NOT EXISTS (SELECT FROM deleted_messages d WHERE d.voicemail_id = r.voicemail_id)
    ON CONFLICT (account_sid, recording_sid, agency_id) DO NOTHING
    RETURNING id
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
    needs = "calls"
    changes = "transcripts"
    statement = """
    INSERT INTO transcripts (voicemail_id, said, call_id, agency_id)
    SELECT r.voicemail_id, r.transcript, c.id, c.agency_id
      FROM given,
           json_to_record(given.fields) AS r (voicemail_id text, transcript text, call_id text),
           calls c
     WHERE given.kind = 'set_transcript' AND c.id = r.call_id
       AND NOT EXISTS (SELECT FROM deleted_messages d WHERE d.voicemail_id = r.voicemail_id)
    ON CONFLICT (voicemail_id) DO UPDATE SET said = coalesce(transcripts.said, excluded.said)
    """

    voicemail_id: str
    transcript: str | None
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class SetStory(Record):
    """What the provider that has the call reports of it, `cost` in US dollars; earlier providers are ignored.

    Reports come in any order and more than once: the first reason, the longest transcript, the most turns, and the highest
    cost stay.
    """

    kind = "set_story"
    changes = "calls"
    statement = """
    UPDATE calls c
       SET provider_call_id = coalesce(c.provider_call_id, r.provider_call_id),
           end_reason = coalesce(c.end_reason, r.end_reason),
           summary = coalesce(r.summary, c.summary),
           transcript = CASE WHEN length(r.transcript) > coalesce(length(c.transcript), 0)
                             THEN r.transcript ELSE c.transcript END,
           turns = CASE WHEN jsonb_array_length(r.turns::jsonb) > coalesce(jsonb_array_length(c.turns), 0)
                        THEN r.turns::jsonb ELSE c.turns END,
           cost = greatest(c.cost, r.cost::numeric),
           ai_seconds = greatest(c.ai_seconds, r.ai_seconds)
      FROM given,
           json_to_record(given.fields) AS r (call_id text, provider text, provider_call_id text, end_reason text,
                                              summary text, transcript text, turns text, cost float8, ai_seconds float8)
     WHERE given.kind = 'set_story' AND c.id = r.call_id AND (c.provider IS NULL OR c.provider = r.provider)
    """

    call_id: str
    provider: str
    _: KW_ONLY
    provider_call_id: str | None = None
    end_reason: str | None = None
    summary: str | None = None
    transcript: str | None = None
    turns: str | None = None  # as JSON: of each its speaker, seconds from the start, and text
    cost: float | None = None
    ai_seconds: float | None = None


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
        EndCall,
        SetSeconds,
        EndCallLater,
        InsertVoicemail,
        SetTranscript,
        SetStory,
    )
}


# All that is given, whatever its kinds, in one round trip and one commit. There is a row of `given` for each record, so each
# kind's rows are few to the planner, and are looked up by an index. It returns the calls that it has ended.
WRITE_RECORDS: Final = f"""
WITH given AS MATERIALIZED ({_GIVEN}), {side_by_side(KINDS)}
SELECT id, outcome FROM end_call
"""


async def write_records(connection: Connection, *records: Record) -> dict[str, str]:
    """Any records, in as few statements as there can be. Each commits by itself unless there is a transaction. Returns the
    outcomes of the calls that have ended by this, by id.
    """
    ended: dict[str, str] = {}
    for some in in_few_statements(records):
        ended |= await write_together(connection, some)
    return ended


async def write_together(connection: Connection, records: Sequence[Record]) -> dict[str, str]:
    """Those of one of `in_few_statements`. Returns what `write_records` returns."""
    ended = {row["id"]: row["outcome"] for row in await connection.fetch(WRITE_RECORDS, as_json(records))}
    late = [end for end in records if isinstance(end, EndCall) and end.call_id not in ended]
    for some in in_few_statements(news for end in late for news in _news_of(end)):
        await connection.fetch(WRITE_RECORDS, as_json(some))
    return ended


def _news_of(late: EndCall) -> Iterator[Record]:
    """What the end of a call that was over already still says of it: another process may have seen only its end."""
    if late.by is not None and late.answered_at is not None:
        yield SetAnswered(late.call_id, late.by, late.provider, late.answered_at)
    if late.seconds is not None:
        yield SetSeconds(late.call_id, late.seconds)


def as_json(records: Iterable[Record]) -> str:
    return to_json([(record.kind, record.fields) for record in records]).decode()


def in_few_statements(records: Iterable[Record]) -> list[list[Record]]:
    """The records of each statement, those about the same call in order. A statement sees nothing of what it writes, and
    changes a row once: what needs or changes a row that an earlier record adds or changes stands in a later one.
    """
    statements: list[list[Record]] = []
    latest: dict[str, int] = {}  # the statement of the last record about that
    added: dict[tuple[str, str], int] = {}  # the first statement behind the one that adds that subject's row to a table
    changed: dict[tuple[str, str], int] = {}
    for record in _with_answers(records):
        place, needs, changes = 0, record.needs or record.changes or "", record.changes or ""
        for subject in record.subjects:
            behind = added.get((needs, subject), 0), changed.get((changes, subject), 0), latest.get(subject, 0)
            place = max(place, *behind)
        if place == len(statements):
            statements.append([])
        statements[place].append(record)
        for subject in record.subjects:
            latest[subject] = place
            if record.adds:
                added[record.adds, subject] = place + 1
            if changes:
                changed[changes, subject] = place + 1
    return statements


def _with_answers(records: Iterable[Record]) -> list[Record]:
    """An answer becomes a part of the end that follows it: each by itself would change the call's row."""
    kept: list[Record | None] = []
    answers: dict[str, tuple[int, SetAnswered]] = {}  # that changed their call last, and where they stand
    for record in records:
        kept.append(record)
        if record.changes != "calls":
            continue
        place, answer = answers.pop(record.subjects[0], (0, None))
        if isinstance(record, SetAnswered):
            answers[record.call_id] = len(kept) - 1, record
        elif isinstance(record, EndCall) and answer is not None:
            kept[place] = None
            kept[-1] = replace(record, by=answer.by, provider=answer.provider, answered_at=answer.at)
    return [record for record in kept if record is not None]


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


FILE_VOICEMAIL: Final = f"""
WITH given AS MATERIALIZED ({_GIVEN}), filed AS ({InsertVoicemail.statement})
SELECT (SELECT id FROM filed) AS id, EXISTS (SELECT FROM calls WHERE id = $2) AS recorded
"""


async def insert_voicemail(pool: Pool, message: InsertVoicemail) -> bool:
    """File a message; False if it is there already. Raises UnrecordedCallError."""
    [row] = await pool.fetch(FILE_VOICEMAIL, as_json([message]), message.call_id)
    if not row["recorded"]:
        raise UnrecordedCallError
    return row["id"] is not None
