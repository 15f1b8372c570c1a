"""Audio as an answer: the range that is asked for, and the stream."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import Header
from starlette.responses import StreamingResponse

from adapters.carrier import RecordingPart
from router.api.route import problems
from router.messages.playback import Playback

_RANGE: Final = re.compile(r"bytes=([0-9]{1,12}-[0-9]{0,12}|-[0-9]{1,12})")
_MP3: Final = "audio/mpeg"
_TYPES: Final = (_MP3, "audio/wav", "audio/x-wav", "audio/flac", "audio/ogg")
_BYTES: Final[dict[str, Any]] = {"content": {name: {} for name in _TYPES}}
_ENDINGS: Final = {_MP3: "mp3", "audio/mp3": "mp3", "audio/flac": "flac", "audio/ogg": "ogg"}

TROUBLE: Final = problems("no-key", "key-rejected", "provider-unreachable")
PLAYED: Final[dict[int | str, dict[str, Any]]] = {
    **TROUBLE,
    200: _BYTES,
    206: {"description": "The requested part", **_BYTES},
    416: {"description": "There is no such part"},
}
WantedPart = Annotated[str, Header(alias="Range", description="A part of the audio, as in bytes=0-1023")]


def read_range(wanted: str) -> str | None:
    """None for what is not a range of bytes: then all of it is sent (RFC 9110, 14.2)."""
    return wanted if _RANGE.fullmatch(wanted) else None


def stream_audio(playback: Playback, name: str) -> StreamingResponse:
    """`name` of the file, without its ending."""
    head = playback.head
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'inline; filename="{name}.{_ENDINGS.get(head.content_type, "wav")}"',
        "X-Content-Type-Options": "nosniff",
    }
    carried_over = {"Content-Length": head.content_length, "Content-Range": head.content_range}
    headers |= {name: str(value) for name, value in carried_over.items() if value is not None}
    return StreamingResponse(_pass_on(playback.parts), head.status, headers, head.content_type)


async def _pass_on(parts: AsyncIterator[RecordingPart]) -> AsyncIterator[bytes]:
    """If the recording breaks off here, the connection to the listener ends early, too."""
    async with aclosing(parts):  # type: ignore[type-var]
        async for part in parts:
            yield part.data
