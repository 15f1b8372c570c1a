"""Two weeks of believable calls for the demo's agency, so that lists and figures have something to show."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from adapters.base import Turn
from adapters.sandbox.api import new_id
from adapters.sandbox.reports import REPORTERS
from adapters.sandbox.state import Sandbox
from adapters.sandbox.talks import DEMO, MESSAGES, pick_talk
from router.calls.events import event_id_of
from router.calls.state import call_id_of
from router.calls.transcripts import write_turns
from router.ids import derive_id
from router.store.calls.records import (
    EndCall,
    InsertCall,
    InsertEvent,
    InsertVoicemail,
    Record,
    SetAnswered,
    SetProvider,
    SetStory,
    SetTranscript,
    write_records,
)

_DAYS: Final = 14
# What becomes of calls, and how many of a hundred: most are answered by the client's own provider.
_FATES: Final = {"ai": 74, "next_ai": 6, "owner": 8, "voicemail": 8, "abandoned": 4}


@dataclass(frozen=True, slots=True)
class Line:
    """A client's number, and the provider that answers it."""

    client_id: str
    e164: str
    provider: str
    stands_in: str


@dataclass(frozen=True, slots=True)
class _Call:
    id: str
    sid: str
    line: Line
    caller: str
    at: datetime

    def event(self, name: str, after: float, step: str, provider: str | None = None, **facts: str | int) -> InsertEvent:
        event_id, at = event_id_of(self.id, name, step, provider), self.at + timedelta(seconds=after)
        return InsertEvent(event_id, self.id, at, name, step=step, provider=provider, **facts)  # type: ignore[arg-type]


async def write_history(
    dsn: str, sandbox: Sandbox, account_sid: str, agency_id: str, lines: Sequence[Line], now: datetime
) -> None:
    """In one transaction, as the calls themselves would have written it."""
    chance = random.Random(7)  # noqa: S311 - the same history in every demo
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            records = [
                record
                for call, fate in _place_calls(chance, account_sid, lines, now)
                for record in _records_of(call, fate, chance, sandbox, account_sid, agency_id)
            ]
            await write_records(connection, *records)
    finally:
        await connection.close()


def _place_calls(
    chance: random.Random, account_sid: str, lines: Sequence[Line], now: datetime
) -> Iterator[tuple[_Call, str]]:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for day in range(_DAYS, 0, -1):
        morning = today - timedelta(days=day)
        for _ in range(chance.randint(3, 6) if morning.weekday() > 4 else chance.randint(9, 15)):  # noqa: PLR2004
            at = morning + timedelta(seconds=chance.gauss(13 * 3600, 2.5 * 3600))
            sid = new_id("CA")
            caller = f"+1415555{chance.randint(100, 199):04d}"
            call = _Call(call_id_of(account_sid, sid), sid, chance.choice(lines), caller, at)
            (fate,) = chance.choices(list(_FATES), list(_FATES.values()))
            yield call, fate


def _records_of(
    call: _Call, fate: str, chance: random.Random, sandbox: Sandbox, account_sid: str, agency_id: str
) -> Iterator[Record]:
    line = call.line
    yield InsertCall(
        call.id,
        account_sid=account_sid,
        call_sid=call.sid,
        agency_id=agency_id,
        client_id=line.client_id,
        from_number=call.caller,
        to_number=line.e164,
        started_at=call.at,
    )
    yield call.event("call.received", 0, "inbound")
    if fate == "ai":
        yield from _talk(call, line.provider, 0.1, chance)
        return
    wait = chance.randint(900, 6000)
    yield call.event("handoff.requested", 0.1, "inbound", line.provider)
    reason = "timeout" if wait > 5000 else "provider_error"  # noqa: PLR2004
    yield call.event("handoff.failed", wait / 1000, "inbound", line.provider, reason=reason, duration_ms=wait)
    after = wait / 1000
    if fate == "next_ai":
        yield from _talk(call, line.stands_in, after, chance)
        return
    yield call.event("call.fell_back", after, "owner")
    yield call.event("owner.ringing", after, "owner-1")
    yield from _by_people(call, fate, after + chance.randint(4, 15), chance, sandbox, account_sid, agency_id)


def _talk(call: _Call, provider: str, after: float, chance: random.Random) -> Iterator[Record]:
    asked, answered, talked = chance.randint(180, 700), after + chance.uniform(1.2, 2.8), chance.randint(25, 240)
    yield call.event("handoff.requested", after, "inbound", provider)
    yield call.event("handoff.succeeded", after + asked / 1000, "inbound", provider, duration_ms=asked)
    yield call.event("call.answered", answered, "ai-1", provider, reason="ai")
    yield SetProvider(call.id, provider, call.at, f"{DEMO}{call.sid}")
    yield SetAnswered(call.id, "ai", provider, call.at + timedelta(seconds=answered))
    talk, reporter = pick_talk(call.id), REPORTERS[provider]
    yield call.event("ai.ended", answered + talked, "provider", provider, reason=reporter.hung_up)
    yield SetStory(
        call.id,
        provider,
        provider_call_id=f"{DEMO}{call.sid}",
        end_reason=reporter.hung_up,
        summary=talk.summary,
        transcript=talk.write(),
        turns=write_turns(
            [Turn("caller" if by_caller else "assistant", said, at) for by_caller, said, at in talk.timed()]
        ),
        cost=reporter.cost(talked),
        ai_seconds=talked,
    )
    yield from _end(call, "ai", answered + talked)


def _by_people(
    call: _Call, fate: str, after: float, chance: random.Random, sandbox: Sandbox, account_sid: str, agency_id: str
) -> Iterator[Record]:
    if fate == "owner":
        yield call.event("owner.accepted", after, "owner-1")
        yield call.event("call.answered", after, "owner-1", reason="owner")
        yield SetAnswered(call.id, "owner", None, call.at + timedelta(seconds=after))
        yield from _end(call, "owner", after + chance.randint(30, 300))
        return
    if fate == "abandoned":
        yield call.event("owner.missed", after, "owner-1", reason="caller_gone")
        yield from _end(call, "abandoned", after)
        return
    yield call.event("owner.missed", after, "owner-1", reason=chance.choice(("busy", "no_answer", "not_accepted")))
    yield call.event("call.answered", after, "voicemail-2", reason="voicemail")
    yield SetAnswered(call.id, "voicemail", None, call.at + timedelta(seconds=after))
    length, recording = chance.randint(6, 20), "RE" + call.sid[2:]
    at, message = call.at + timedelta(seconds=after + length), derive_id("voicemail", recording)
    sandbox.twilio.add_recording(account_sid, call.sid, recording, length)
    yield InsertVoicemail(
        message,
        account_sid=account_sid,
        recording_sid=recording,
        call_id=call.id,
        agency_id=agency_id,
        client_id=call.line.client_id,
        from_number=call.caller,
        at=at,
        seconds=length,
    )
    yield SetTranscript(message, chance.choice(MESSAGES), call.id)
    yield call.event("voicemail.received", after + length, "recording-2")
    yield from _end(call, "voicemail", after + length)


def _end(call: _Call, outcome: str, after: float) -> Iterator[Record]:
    event_id, at = event_id_of(call.id, "call.ended", "end"), call.at + timedelta(seconds=after)
    yield EndCall(call.id, event_id, at, outcome, round(after))
