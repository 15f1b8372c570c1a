"""Recordings made of nothing: valid, silent and small, served whole or in part."""

from __future__ import annotations

import io
import re
import wave

from starlette.responses import Response

# MPEG 2.5 Layer III, 8 kbit/s, 8 kHz, mono: frames of 72 bytes and 72 ms; zeros after the header decode as silence.
_MP3_FRAME = bytes((0xFF, 0xE3, 0x18, 0xC0)) + bytes(68)
_MP3_FRAME_SECONDS = 0.072
_WAV_RATE = 8000
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def silent_mp3(seconds: float) -> bytes:
    return _MP3_FRAME * max(1, round(seconds / _MP3_FRAME_SECONDS))


def silent_wav(seconds: float) -> bytes:
    """8 kHz, mono, 16 bit."""
    out = io.BytesIO()
    with wave.open(out, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(_WAV_RATE)
        wav.writeframes(bytes(2 * round(seconds * _WAV_RATE)))
    return out.getvalue()


def serve_audio(data: bytes, content_type: str, wanted: str | None) -> Response:
    """All of it, or the one range that was asked for (RFC 9110, 14)."""
    found = _RANGE.fullmatch(wanted or "")
    if found is None:
        return Response(data, 200, {"accept-ranges": "bytes"}, content_type)
    first, last = int(found[1]), min(int(found[2] or len(data)), len(data) - 1)
    if first > last:
        return Response(b"", 416, {"content-range": f"bytes */{len(data)}"}, content_type)
    headers = {"accept-ranges": "bytes", "content-range": f"bytes {first}-{last}/{len(data)}"}
    return Response(data[first : last + 1], 206, headers, content_type)
