"""Recordings: their records, their lists and their audio, which is silence. Source: Twilio docs, Recordings resource."""

from __future__ import annotations

import io
import re
import wave
from email.utils import format_datetime

from starlette.responses import Response

from adapters.sandbox.api import Asked, Json, endpoint
from adapters.sandbox.twilio.paging import is_within, page_of
from adapters.sandbox.twilio.records import ROOT, Account, Recording
from adapters.sandbox.twilio.register import TwilioPart, not_found

# MPEG 2.5 Layer III, 8 kbit/s, 8 kHz, mono: frames of 72 bytes and 72 ms; zeros after the header decode as silence.
_MP3_FRAME = bytes((0xFF, 0xE3, 0x18, 0xC0)) + bytes(68)
_MP3_FRAME_SECONDS = 0.072
_WAV_RATE = 8000
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


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
        return _serve(_silent_mp3(recording.seconds), "audio/mpeg", asked.headers.get("range"))

    @endpoint("DELETE", "/Recordings/{id}.json")
    @endpoint("DELETE", "/Recordings/{id}")
    def _delete(self, account: Account, asked: Asked) -> None:
        asked.pop(account.recordings, message=not_found(asked))

    @endpoint("GET", "/Recordings/{id}.wav")
    @endpoint("GET", "/Recordings/{id}")
    def _play_wav(self, account: Account, asked: Asked) -> Response:
        recording = asked.find(account.recordings, message=not_found(asked))
        return _serve(_silent_wav(recording.seconds), "audio/x-wav", asked.headers.get("range"))


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


def _silent_mp3(seconds: float) -> bytes:
    return _MP3_FRAME * max(1, round(seconds / _MP3_FRAME_SECONDS))


def _silent_wav(seconds: float) -> bytes:
    """8 kHz, mono, 16 bit."""
    out = io.BytesIO()
    with wave.open(out, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(_WAV_RATE)
        wav.writeframes(bytes(2 * round(seconds * _WAV_RATE)))
    return out.getvalue()


def _serve(data: bytes, content_type: str, wanted: str | None) -> Response:
    """All of it, or the one range that was asked for (RFC 9110, 14)."""
    found = _RANGE.fullmatch(wanted or "")
    if found is None:
        return Response(data, 200, {"accept-ranges": "bytes"}, content_type)
    first, last = int(found[1]), min(int(found[2] or len(data)), len(data) - 1)
    if first > last:
        return Response(b"", 416, {"content-range": f"bytes */{len(data)}"}, content_type)
    headers = {"accept-ranges": "bytes", "content-range": f"bytes {first}-{last}/{len(data)}"}
    return Response(data[first : last + 1], 206, headers, content_type)
