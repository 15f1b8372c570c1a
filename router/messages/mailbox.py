"""Voicemail: what a caller leaves behind, filed once per recording however often Twilio tells us, and written down.

The document that records is router.calls.documents'; lists, audio and mail for people are router.api'.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from router import twiml
from router.calls.documents import LEAST_TRANSCRIBED_SECONDS, MOST_TRANSCRIBED_SECONDS, is_transcribed
from router.calls.events import CallEvents
from router.calls.legs import read_seconds
from router.calls.recorder import Recorder
from router.calls.state import CallState
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

MAIL_DUE: Final = "voicemails.mail"  # the job that looks for messages which nobody was written to about

_TRANSCRIPT_PATIENCE: Final = timedelta(minutes=2)
_LONGEST_TRANSCRIPT: Final = 20_000  # characters; two minutes are far fewer
_RECORDING_SID: Final = re.compile(r"RE[0-9a-fA-F]{32}")  # it becomes part of an address


def voicemail_id_of(account_sid: str, recording_sid: str) -> str:
    """The id of a recording's message: the same however often, and wherever, it is filed."""
    return derive_id("voicemail", f"{account_sid}/{recording_sid}")


class Mailbox:
    """Files messages."""

    def __init__(
        self,
        database: Database,
        guard: Guard,
        recorder: Recorder,
        events: CallEvents,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._guard = guard
        self._recorder = recorder
        self._events = events
        self._clock = clock

    async def finish(self, state: CallState, params: Mapping[str, str], deadline: Deadline) -> str:
        """The action of Record: something was recorded. The caller may have hung up to end it."""
        if read_seconds(params, "RecordingDuration"):
            self._recorder.note(SetOutcome(state.call_id, "voicemail"))
        await self._recorder.flush(deadline.left_for_work())
        if params.get("Digits") == "hangup":
            return twiml.nothing()
        return twiml.goodbye(state.route.language)

    async def file(self, state: CallState, params: Mapping[str, str], deadline: Deadline) -> str:
        """The recording's status callback: filed if there is a recording, noted as absent if nobody spoke."""
        recording_sid = params.get("RecordingSid", "")
        if params.get("RecordingStatus") == "absent":
            self._events.note(state, "voicemail.absent", recording_sid=recording_sid)
        elif params.get("RecordingStatus") == "completed" and _RECORDING_SID.fullmatch(recording_sid):
            await self._file(state, recording_sid, read_seconds(params, "RecordingDuration") or 0, self._clock())
        await self._recorder.flush(deadline.left_for_work())
        return twiml.nothing()

    async def write_down(self, state: CallState, params: Mapping[str, str], deadline: Deadline) -> str:
        """The transcription callback of Record: what the message says, or that it could not be written down."""
        recording_sid = params.get("RecordingSid", "")
        if not _RECORDING_SID.fullmatch(recording_sid):
            return twiml.nothing()
        voicemail_id = voicemail_id_of(state.account_sid, recording_sid)
        completed = params.get("TranscriptionStatus") == "completed"
        said = params.get("TranscriptionText", "").replace("\0", "").strip()[:_LONGEST_TRANSCRIPT] if completed else ""
        self._recorder.note(SetTranscript(voicemail_id, said or None))
        if said:
            self._events.note(state, "voicemail.transcribed", voicemail_id=voicemail_id, recording_sid=recording_sid)
        await self._recorder.flush(deadline.left_for_work())
        await self._nudge()
        return twiml.nothing()

    async def keep(self, state: CallState, recording_sid: str, seconds: int, at: datetime) -> None:
        """A message that was left `at` that moment, as we learn from the carrier's records."""
        await self._file(state, recording_sid, seconds, at)

    async def _file(self, state: CallState, recording_sid: str, seconds: int, at: datetime) -> None:
        voicemail_id = voicemail_id_of(state.account_sid, recording_sid)
        awaited = is_transcribed(state.route) and LEAST_TRANSCRIBED_SECONDS <= seconds <= MOST_TRANSCRIBED_SECONDS
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
            if self._recorder.spooling:
                raise DatabaseAwayError
            is_new = await self._guard.ask(lambda: insert_voicemail(self._database.settings, message))
        except (*AWAY_ERRORS, UnrecordedCallError):
            self._recorder.note(message)
            is_new = True
        if not is_new:
            return
        self._recorder.note(SetOutcome(state.call_id, "voicemail"))
        self._events.note(
            state, "voicemail.received", at=at, voicemail_id=voicemail_id, recording_sid=recording_sid, seconds=seconds
        )
        if not awaited:
            await self._nudge()

    async def _nudge(self) -> None:
        """So that nobody waits for the minute's tick, which finds what this does not reach."""
        if self._recorder.spooling:
            return
        with suppress(DatabaseAwayError):
            await self._guard.ask(lambda: enqueue(self._database.settings, MAIL_DUE, {}, once=MAIL_DUE))
