"""Recordings: their records, their lists and their audio, which is silence. Source: Twilio docs, Recordings resource."""

from __future__ import annotations

from email.utils import format_datetime

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Endpoint, Json
from adapters.sandbox.audio import serve_audio, silent_mp3, silent_wav
from adapters.sandbox.twilio.paging import is_within, page_of
from adapters.sandbox.twilio.records import ROOT, Recording
from adapters.sandbox.twilio.register import Register, not_found


class RecordingsApi:
    """Recordings of an account, and of one of its calls."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def endpoints(self) -> list[Endpoint]:
        recording = f"{ROOT}/{{account}}/Recordings/{{sid}}"
        return [
            Endpoint("GET", f"{ROOT}/{{account}}/Recordings.json", self._list, "check"),
            Endpoint("GET", f"{ROOT}/{{account}}/Calls/{{call}}/Recordings.json", self._list, "check"),
            Endpoint("GET", f"{recording}.json", self._show, "check"),
            Endpoint("DELETE", f"{recording}.json", self._delete, "check"),
            Endpoint("GET", f"{recording}.mp3", lambda asked: self._play(asked, "mp3"), "check"),
            Endpoint("GET", f"{recording}.wav", lambda asked: self._play(asked, "wav"), "check"),
            Endpoint("GET", recording, lambda asked: self._play(asked, "wav"), "check"),
            Endpoint("DELETE", recording, self._delete, "check"),
        ]

    def _list(self, asked: Asked) -> Response:
        account = self._register.asked_for(asked)
        call_sid = asked.parameters.get("call") or asked.query.get("CallSid")
        found = [
            _describe(account.sid, recording)
            for recording in reversed(account.recordings.values())
            if call_sid in (None, recording.call_sid) and is_within(recording.made_at, asked, "DateCreated")
        ]
        return JSONResponse(page_of("recordings", found, asked))

    def _recording(self, asked: Asked) -> Recording:
        recording = self._register.asked_for(asked).recordings.get(asked.parameters["sid"])
        if recording is None:
            raise not_found(asked)
        return recording

    def _show(self, asked: Asked) -> Response:
        return JSONResponse(_describe(asked.parameters["account"], self._recording(asked)))

    def _play(self, asked: Asked, form: str) -> Response:
        recording = self._recording(asked)
        if form == "mp3":
            return serve_audio(silent_mp3(recording.seconds), "audio/mpeg", asked.headers.get("range"))
        return serve_audio(silent_wav(recording.seconds), "audio/x-wav", asked.headers.get("range"))

    def _delete(self, asked: Asked) -> Response:
        self._register.asked_for(asked).recordings.pop(self._recording(asked).sid)
        return Response(status_code=204)


def _describe(account_sid: str, recording: Recording) -> Json:
    made_at = format_datetime(recording.made_at)
    return {
        "sid": recording.sid,
        "account_sid": account_sid,
        "call_sid": recording.call_sid,
        "conference_sid": None,
        "status": "completed",
        "duration": str(round(recording.seconds)),
        "channels": 1,
        "source": "RecordVerb",
        "start_time": made_at,
        "date_created": made_at,
        "date_updated": made_at,
        "uri": f"{ROOT}/{account_sid}/Recordings/{recording.sid}.json",
    }
