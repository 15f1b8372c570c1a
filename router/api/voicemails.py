"""Messages of an agency's callers: /v1/agencies/{agency}/voicemails. The audio stays at the carrier until deleted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Header, Path
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from adapters.carrier import RecordingPart
from router.api.asking import OUTSIDE, By, OwnAgency, Pool, Use
from router.api.calls import CallerNumber
from router.api.pages import Listed, ListOf, PageQuery
from router.api.route import DownloadRoute, problems, resource
from router.fields import Output
from router.messages.recordings import Recordings
from router.store.messages import voicemails as store

_PATH: Final = "/v1/agencies/{agency}/voicemails"
_ONE: Final = _PATH + "/{voicemail}"
_RANGE: Final = re.compile(r"bytes=([0-9]{1,12}-[0-9]{0,12}|-[0-9]{1,12})")
_AUDIO: Final = "audio/mpeg"
_BYTES: Final[dict[str, Any]] = {"content": {_AUDIO: {}}}
_TROUBLE: Final = problems("no-key", "key-rejected", "provider-unreachable")

router = resource("voicemails")
audio = resource("voicemails", DownloadRoute)

VoicemailId = Annotated[str, Path(description="The id of the voicemail")]


class VoicemailReply(Output):
    """A message that a caller left."""

    id: Annotated[str, Field(description="The message's id")]
    call_id: Annotated[str, Field(description="The call on which it was left")]
    client_id: Annotated[str, Field(description="The client that it was left for")]
    caller: CallerNumber
    at: Annotated[datetime, Field(description="When it was left")]
    seconds: Annotated[int | None, Field(description="Its length; null if Twilio did not say")]
    transcript: Annotated[str | None, Field(description="Twilio's transcript")]
    recording_sid: Annotated[str, Field(description="Twilio's id of the recording")]


class VoicemailList(ListOf[VoicemailReply]):
    """One page of messages, newest first."""


@router.get(_PATH, summary="List messages, newest first", response_model=VoicemailList)
async def list_voicemails(agency: OwnAgency, page: PageQuery, pool: Pool) -> Listed[store.Voicemail]:
    return await page.read(store.list_voicemails, pool, agency, position=lambda row: (row.at, row.id))


@audio.get(
    _ONE + "/audio",
    summary="Listen to a message",
    response_class=Response,
    responses={
        **_TROUBLE,
        200: _BYTES,
        206: {"description": "The requested part", **_BYTES},
        416: {"description": "There is no such part"},
    },
)
async def play_voicemail(
    agency: OwnAgency,
    voicemail: VoicemailId,
    recordings: Annotated[Recordings, Use(Recordings)],
    wanted: Annotated[str, Header(alias="Range", description="A part of the audio, as in bytes=0-1023")] = "",
) -> StreamingResponse:
    """MP3; takes a Range."""
    playback = await recordings.play(agency, voicemail, wanted if _RANGE.fullmatch(wanted) else None)
    headers = _headers(playback.head, voicemail)
    return StreamingResponse(_pass_on(playback.parts), playback.head.status, headers, _AUDIO)


@router.delete(
    _ONE, summary="Delete a message, also at the carrier", dependencies=OUTSIDE, status_code=204, responses=_TROUBLE
)
async def delete_voicemail(
    agency: OwnAgency, voicemail: VoicemailId, author: By, recordings: Annotated[Recordings, Use(Recordings)]
) -> None:
    await recordings.delete_voicemail(agency, voicemail, author)


def _headers(head: RecordingPart, voicemail_id: str) -> dict[str, str]:
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'inline; filename="{voicemail_id}.mp3"',
    }
    carried_over = {"Content-Length": head.content_length, "Content-Range": head.content_range}
    return headers | {name: str(value) for name, value in carried_over.items() if value is not None}


async def _pass_on(parts: AsyncIterator[RecordingPart]) -> AsyncIterator[bytes]:
    """If the recording breaks off here, the connection to the listener ends early, too."""
    async with aclosing(parts):  # type: ignore[type-var]
        async for part in parts:
            yield part.data
