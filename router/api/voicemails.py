"""Messages of an agency's callers: /v1/agencies/{agency}/voicemails. The audio stays at the carrier until deleted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from starlette.responses import Response, StreamingResponse

from adapters.base import Account, ProviderError, RecordingPart
from router.accounts import CARRIER, REQUEST_SECONDS
from router.api.models import VoicemailList, VoicemailReply
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.problems import Problem, not_found
from router.refusals import explain_refusal
from router.store.messages.voicemails import Voicemail, delete_voicemail, find_voicemail, list_voicemails

_RANGE: Final = re.compile(r"bytes=([0-9]{1,12}-[0-9]{0,12}|-[0-9]{1,12})")
_NOT_FOUND: Final = 404
_AUDIO: Final = "audio/mpeg"


def voicemail_endpoints() -> list[Endpoint]:
    path = "/v1/agencies/{agency}/voicemails"
    trouble = ("no-key", "key-rejected", "provider-unreachable")
    return [
        Endpoint("GET", path, "List messages, newest first", show_voicemails, reply=VoicemailList, paged=True),
        Endpoint(
            "GET",
            f"{path}/{{voicemail}}/audio",
            "Listen to a message",
            play_voicemail,
            media=_AUDIO,
            ranged=True,
            problems=trouble,
            description="MP3; takes a Range.",
        ),
        Endpoint(
            "DELETE",
            f"{path}/{{voicemail}}",
            "Delete a message, at the carrier too",
            remove_voicemail,
            status=204,
            problems=trouble,
        ),
    ]


async def show_voicemails(request: ApiRequest[None]) -> Answer:
    page = request.page
    rows = await list_voicemails(
        request.services.database.settings, request.agency_id, after=page.after, limit=page.fetch
    )
    shown, cursor = page.cut(rows, lambda row: (row.at, row.id))
    return Answer.of(
        200, VoicemailList(items=[VoicemailReply.model_validate(row) for row in shown], next_cursor=cursor)
    )


async def play_voicemail(request: ApiRequest[None]) -> Response:
    """Streamed through us: the carrier's address would need its token."""
    voicemail, account = await _find(request)
    wanted = request.headers.get("range", "")
    byte_range = wanted if _RANGE.fullmatch(wanted) else None
    parts = request.services.carrier.stream_recording(account, voicemail.recording_sid, byte_range, REQUEST_SECONDS)
    try:
        head = await anext(parts)
    except ProviderError as error:
        if error.status == _NOT_FOUND:
            raise Problem("not-found", "The carrier no longer has this recording.") from None
        raise explain_refusal(CARRIER, error) from None
    return StreamingResponse(_pass_on(parts), head.status, _headers(head, voicemail), _AUDIO)


async def remove_voicemail(request: ApiRequest[None]) -> Answer:
    voicemail, account = await _find(request)
    try:
        await request.services.carrier.delete_recording(account, voicemail.recording_sid, REQUEST_SECONDS)
    except ProviderError as error:
        raise explain_refusal(CARRIER, error) from None
    async with request.changes() as changes:
        await delete_voicemail(changes.connection, request.agency_id, voicemail.id)
        await changes.record("voicemail.deleted", voicemail.id)
        return changes.answer(204)


async def _find(request: ApiRequest[None]) -> tuple[Voicemail, Account]:
    """The message, and what opens the account that holds its recording. Raises Problem."""
    services = request.services
    voicemail = await find_voicemail(services.database.settings, request.agency_id, request.path["voicemail"])
    if voicemail is None:
        raise not_found("voicemail")
    account = await services.areas.accounts.open(request.agency_id, voicemail.account_sid)
    if account is None:
        raise Problem(
            "no-key", f"The recording is in the account {voicemail.account_sid}, whose token is not saved here."
        )
    return voicemail, account


def _headers(head: RecordingPart, voicemail: Voicemail) -> dict[str, str]:
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'inline; filename="{voicemail.id}.mp3"',
        "X-Content-Type-Options": "nosniff",
    }
    if head.content_length is not None:
        headers["Content-Length"] = str(head.content_length)
    if head.content_range is not None:
        headers["Content-Range"] = head.content_range
    return headers


async def _pass_on(parts: AsyncIterator[RecordingPart]) -> AsyncIterator[bytes]:
    """A recording that breaks off here breaks off at the listener, too: the connection ends short of its length."""
    async with aclosing(parts):  # type: ignore[type-var]
        async for part in parts:
            yield part.data
