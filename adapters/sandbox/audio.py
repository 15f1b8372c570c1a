"""Audio of the sandbox: silence for messages, and two tones in turn for conversations; served in ranges."""

from __future__ import annotations

import io
import math
import re
import wave
from functools import cache

from starlette.responses import Response

from adapters.sandbox.api import Asked

# MPEG 2.5 Layer III, 8 kbit/s, 8 kHz, mono: frames of 72 bytes and 72 ms; zeros after the header decode as silence.
_MP3_FRAME = bytes((0xFF, 0xE3, 0x18, 0xC0)) + bytes(68)
_MP3_FRAME_SECONDS = 0.072
_WAV_RATE = 8000
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_TONES = (220.0, 330.0)  # Hz: an assistant and a caller
_LOUD = 3000
_TURNS = 6
_TURN_SECONDS = 1.0


def silent_mp3(seconds: float) -> bytes:
    return _MP3_FRAME * max(1, round(seconds / _MP3_FRAME_SECONDS))


def silent_wav(seconds: float) -> bytes:
    """8 kHz, mono, 16 bit."""
    return _wav(bytes(2 * round(seconds * _WAV_RATE)))


@cache
def conversation() -> bytes:
    """Likewise: whoever listens can tell that two speak."""
    frames = bytearray()
    for turn in range(_TURNS):
        step = 2 * math.pi * _TONES[turn % 2] / _WAV_RATE
        for place in range(round(_TURN_SECONDS * _WAV_RATE)):
            frames += round(_LOUD * math.sin(step * place)).to_bytes(2, "little", signed=True)
    return _wav(bytes(frames))


def play_conversation(asked: Asked) -> Response:
    """What a provider's store serves: no key is needed, and one is refused, because it has come to the wrong place."""
    if "authorization" in asked.headers:
        return Response("No key belongs here.", 400)
    return serve(conversation(), "audio/wav", asked.headers.get("range"))


def _wav(frames: bytes) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(_WAV_RATE)
        wav.writeframes(frames)
    return out.getvalue()


def serve(data: bytes, content_type: str, wanted: str | None) -> Response:
    """All of it, or the one range that was asked for (RFC 9110, 14)."""
    found = _RANGE.fullmatch(wanted or "")
    if found is None:
        return Response(data, 200, {"accept-ranges": "bytes"}, content_type)
    first, last = int(found[1]), min(int(found[2] or len(data)), len(data) - 1)
    if first > last:
        return Response(b"", 416, {"content-range": f"bytes */{len(data)}"}, content_type)
    headers = {"accept-ranges": "bytes", "content-range": f"bytes {first}-{last}/{len(data)}"}
    return Response(data[first : last + 1], 206, headers, content_type)
