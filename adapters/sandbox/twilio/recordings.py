"""Recordings: their records, their lists and their audio, which is silence. Source: Twilio docs, Recordings resource."""

from __future__ import annotations

from email.utils import format_datetime

from starlette.responses import Response

from adapters.sandbox.api import Asked, Json, endpoint
from adapters.sandbox.audio import serve, silent_mp3, silent_wav
from adapters.sandbox.twilio.paging import is_within, page_of
from adapters.sandbox.twilio.records import ROOT, Account, Recording
from adapters.sandbox.twilio.register import TwilioPart, not_found


class Recordings(TwilioPart):
    """Of an account, and of one of its calls."""

    prefix = f"{ROOT}/{{account}}"

    @endpoint("GET", "/Recordings.json")
    @endpoint("GET", "/Calls/{call}/Recordings.json")
    def _list(self, account: Account, asked: Asked) -> Json:
        call_sid = asked.parameters.get("call") or asked.query.get("CallSid")
        found = [
            _describe(account.sid, recording)
            for recording in reversed(account.recordings.values())
            if call_sid in (None, recording.call_sid) and is_within(recording.made_at, asked, "DateCreated")
        ]
        return page_of("recordings", found, asked)

    @endpoint("GET", "/Recordings/{id}.json")
    def _show(self, account: Account, asked: Asked) -> Json:
        return _describe(account.sid, asked.find(account.recordings, message=not_found(asked)))

    @endpoint("GET", "/Recordings/{id}.mp3")
    def _play_mp3(self, account: Account, asked: Asked) -> Response:
        recording = asked.find(account.recordings, message=not_found(asked))
        return serve(silent_mp3(recording.seconds), "audio/mpeg", asked.headers.get("range"))

    @endpoint("DELETE", "/Recordings/{id}.json")
    @endpoint("DELETE", "/Recordings/{id}")
    def _delete(self, account: Account, asked: Asked) -> None:
        asked.pop(account.recordings, message=not_found(asked))

    @endpoint("GET", "/Recordings/{id}.wav")
    @endpoint("GET", "/Recordings/{id}")
    def _play_wav(self, account: Account, asked: Asked) -> Response:
        recording = asked.find(account.recordings, message=not_found(asked))
        return serve(silent_wav(recording.seconds), "audio/x-wav", asked.headers.get("range"))


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
