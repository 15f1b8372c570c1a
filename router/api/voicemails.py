"""Messages of an agency's callers: /v1/agencies/{agency}/voicemails. The audio stays at the carrier until deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import Path
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from router.api.asking import OUTSIDE, By, OwnAgency, Pool, Use
from router.api.calls import CallerNumber
from router.api.pages import Listed, ListOf, PageQuery
from router.api.playing import PLAYED, TROUBLE, WantedPart, read_range, stream_audio
from router.api.route import DownloadRoute, resource
from router.fields import Output
from router.messages.recordings import Recordings
from router.store.messages import voicemails as store

_PATH: Final = "/v1/agencies/{agency}/voicemails"
_ONE: Final = _PATH + "/{voicemail}"

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
    responses=PLAYED,
)
async def play_voicemail(
    agency: OwnAgency,
    voicemail: VoicemailId,
    recordings: Annotated[Recordings, Use(Recordings)],
    wanted: WantedPart = "",
) -> StreamingResponse:
    """MP3; takes a Range."""
    return stream_audio(await recordings.play(agency, voicemail, read_range(wanted)), voicemail)


@router.delete(
    _ONE, summary="Delete a message, also at the carrier", dependencies=OUTSIDE, status_code=204, responses=TROUBLE
)
async def delete_voicemail(
    agency: OwnAgency, voicemail: VoicemailId, author: By, recordings: Annotated[Recordings, Use(Recordings)]
) -> None:
    await recordings.delete_voicemail(agency, voicemail, author)
