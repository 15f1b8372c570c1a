"""Voicemail: what a caller leaves behind, filed once per recording however often Twilio tells us.

The document that records is router.calls.desk's; lists and audio for people are router.agencies'.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from router import twiml
from router.calls.events import CallEvents
from router.calls.legs import read_seconds
from router.calls.recorder import Recorder
from router.calls.state import CallState
from router.routing.dispatch import Deadline
from router.store.call_writes import (
    INSERT_VOICEMAIL,
    UnrecordedCallError,
    Write,
    insert_voicemail,
    set_outcome,
    voicemail_arguments,
)
from router.store.guard import DatabaseAwayError, Guard
from router.store.pool import AWAY_ERRORS, Database

_REPLY_SECONDS: Final = 0.4
_RECORDING_SID: Final = re.compile(r"RE[0-9a-fA-F]{32}")  # it becomes part of an address


def voicemail_id_of(account_sid: str, recording_sid: str) -> str:
    """The id of a recording's message: the same however often, and wherever, it is filed."""
    digest = hashlib.sha256(f"{account_sid}/{recording_sid}".encode()).digest()
    return f"voicemail_{base64.b32encode(digest[:15]).decode().lower()}"


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
            self._recorder.note(set_outcome(state.call_id, "voicemail"))
        await self._recorder.flush(deadline.left() - _REPLY_SECONDS)
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
        await self._recorder.flush(deadline.left() - _REPLY_SECONDS)
        return twiml.nothing()

    async def keep(self, state: CallState, recording_sid: str, seconds: int, at: datetime) -> None:
        """A message that was left `at` that moment, as we learn from the carrier's records."""
        await self._file(state, recording_sid, seconds, at)

    async def _file(self, state: CallState, recording_sid: str, seconds: int, at: datetime) -> None:
        voicemail_id = voicemail_id_of(state.account_sid, recording_sid)
        arguments = voicemail_arguments(
            voicemail_id,
            account_sid=state.account_sid,
            recording_sid=recording_sid,
            call_id=state.call_id,
            agency_id=state.route.agency_id,
            client_id=state.route.client_id,
            from_number=state.from_number,
            at=at,
            seconds=seconds,
        )
        try:
            if self._recorder.spooling:
                raise DatabaseAwayError
            is_new = await self._guard.ask(lambda: insert_voicemail(self._database.settings, arguments))
        except (*AWAY_ERRORS, UnrecordedCallError):
            self._recorder.note(Write(INSERT_VOICEMAIL, arguments))
            is_new = True
        if not is_new:
            return
        self._recorder.note(set_outcome(state.call_id, "voicemail"))
        self._events.note(
            state, "voicemail.received", at=at, voicemail_id=voicemail_id, recording_sid=recording_sid, seconds=seconds
        )
