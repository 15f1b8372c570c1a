"""Voicemail: files each recording once, however often Twilio reports it, and its transcript."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from router import twiml
from router.calls.documents import LEAST_TRANSCRIBED_SECONDS, MOST_TRANSCRIBED_SECONDS, is_transcribed
from router.calls.events import CallEvents
from router.calls.legs import read_seconds
from router.calls.recorder import Recorder
from router.calls.state import CallState
from router.clock import Clock
from router.ids import derive_id
from router.jobs import enqueue
from router.routing.deadline import Deadline
from router.store.calls.records import (
    InsertVoicemail,
    SetOutcome,
    SetTranscript,
    UnrecordedCallError,
    insert_voicemail,
)
from router.store.guard import DatabaseAwayError, Guard
from router.store.pool import AWAY_ERRORS, Database

MAIL_DUE: Final = "voicemails.mail"  # the job that looks for messages not yet emailed

_TRANSCRIPT_PATIENCE: Final = timedelta(minutes=2)
_LONGEST_TRANSCRIPT: Final = 20_000  # characters; two minutes are far fewer
_RECORDING_SID: Final = re.compile(r"RE[0-9a-fA-F]{32}")  # it becomes part of an address


def voicemail_id_of(agency_id: str, account_sid: str, recording_sid: str) -> str:
    """The id of a recording's message: always the same for one recording."""
    return derive_id("voicemail", f"{agency_id}/{account_sid}/{recording_sid}")


@dataclass(frozen=True, slots=True)
class Mailbox:
    database: Database
    guard: Guard
    recorder: Recorder
    events: CallEvents
    clock: Clock

    async def finish(self, state: CallState, params: Mapping[str, str], deadline: Deadline) -> str:
        """The action of Record: something was recorded. The caller may have hung up to end it."""
        if read_seconds(params, "RecordingDuration"):
            self.recorder.note(SetOutcome(state.call_id, "voicemail"))
        await self.recorder.flush(deadline.left_for_work())
        if params.get("Digits") == "hangup":
            return twiml.nothing()
        return twiml.goodbye(state.route.language)

    async def file(self, state: CallState, params: Mapping[str, str], deadline: Deadline) -> str:
        """The recording's status callback: files the recording, or notes that the caller did not speak."""
        recording_sid, status = params.get("RecordingSid", ""), params.get("RecordingStatus")
        seconds = read_seconds(params, "RecordingDuration")
        if status == "absent" or (status == "completed" and seconds == 0):
            self.events.note(state, "voicemail.absent", recording_sid=recording_sid)
        elif status == "completed" and _RECORDING_SID.fullmatch(recording_sid):
            await self.keep(state, recording_sid, seconds, self.clock())
        await self.recorder.flush(deadline.left_for_work())
        return twiml.nothing()

    async def transcribe(self, state: CallState, params: Mapping[str, str], deadline: Deadline) -> str:
        """The transcription callback of Record: stores the text, or that there is none. It may come before `file`."""
        recording_sid = params.get("RecordingSid", "")
        if not _RECORDING_SID.fullmatch(recording_sid):
            return twiml.nothing()
        voicemail_id = voicemail_id_of(state.route.agency_id, state.account_sid, recording_sid)
        completed = params.get("TranscriptionStatus") == "completed"
        said = params.get("TranscriptionText", "").replace("\0", "").strip()[:_LONGEST_TRANSCRIPT] if completed else ""
        self.recorder.note(SetTranscript(voicemail_id, said or None, state.call_id))
        if said:
            self.events.note(state, "voicemail.transcribed", voicemail_id=voicemail_id, recording_sid=recording_sid)
        await self.recorder.flush(deadline.left_for_work())
        await self._nudge()
        return twiml.nothing()

    async def keep(self, state: CallState, recording_sid: str, seconds: int | None, at: datetime) -> None:
        """File a message that was left `at` that moment. `seconds`: None if the carrier did not say how long it is."""
        voicemail_id = voicemail_id_of(state.route.agency_id, state.account_sid, recording_sid)
        fits = seconds is None or LEAST_TRANSCRIBED_SECONDS <= seconds <= MOST_TRANSCRIBED_SECONDS
        awaited = is_transcribed(state.route) and fits
        message = InsertVoicemail(
            voicemail_id,
            account_sid=state.account_sid,
            recording_sid=recording_sid,
            call_id=state.call_id,
            agency_id=state.route.agency_id,
            client_id=state.route.client_id,
            from_number=state.from_number,
            at=at,
            seconds=seconds,
            transcript_due=at + _TRANSCRIPT_PATIENCE if awaited else None,
        )
        try:
            if self.recorder.spooling:
                raise DatabaseAwayError
            is_new = await self.guard.ask(lambda: insert_voicemail(self.database.webhooks, message))
        except (*AWAY_ERRORS, UnrecordedCallError):
            self.recorder.note(message)
            is_new = True
        if not is_new:
            return
        self.recorder.note(SetOutcome(state.call_id, "voicemail"))
        self.events.note(
            state, "voicemail.received", at=at, voicemail_id=voicemail_id, recording_sid=recording_sid, seconds=seconds
        )
        if not awaited:
            await self._nudge()

    async def _nudge(self) -> None:
        """Have the mail sent now, not at the next minute's run, which finds any that this misses."""
        if self.recorder.spooling:
            return
        with suppress(DatabaseAwayError):
            await self.guard.ask(lambda: enqueue(self.database.webhooks, MAIL_DUE, {}, once=MAIL_DUE))
