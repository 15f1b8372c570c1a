"""Recordings at Twilio: finding them, listening to them, deleting them. Twilio docs: Voice / Recordings resource."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

from adapters.carrier import Account, CarrierRecording, RecordingPart
from adapters.recordings import OUT_OF_RANGE, ask_range, read_head
from adapters.replies import Reply, find, refusal, text
from adapters.twilio.rest import (
    NAME,
    Resource,
    basic,
    beginning_of_day,
    check_sid,
    home,
    is_sid,
    malformed_record,
    read_seconds,
    read_sid,
    read_time,
)

_RECORD_VERB: Final = "RecordVerb"


class Recordings(Resource):
    """`CarrierRecordings`."""

    async def list_recordings(
        self, account: Account, call_sid: str | None, since: datetime | None, limit: float
    ) -> AsyncIterator[CarrierRecording]:
        query: dict[str, str] = {}
        if call_sid is not None:
            check_sid("CA", call_sid)
            query["CallSid"] = call_sid
        if since is not None:
            query["DateCreated>"] = beginning_of_day(since)
        async for record in self._rest.records(account, f"{home(account)}/Recordings.json", query, "recordings", limit):
            recording = _read_recording(record)
            # Twilio's filter is documented for days only.
            if since is None or recording.made_at is None or recording.made_at >= since:
                yield recording

    async def stream_recording(
        self, account: Account, recording_sid: str, byte_range: str | None, limit: float
    ) -> AsyncIterator[RecordingPart]:
        """`limit` holds for the head and again for each piece. A Range not in bytes is ignored (RFC 9110, 14.2).

        An unsatisfiable range yields a head of status 416 and no data. Close the iterator if not read to its end.
        """
        check_sid("RE", recording_sid)
        url = self._rest.url(f"{home(account)}/Recordings/{recording_sid}.mp3")
        headers, auth = ask_range(byte_range), basic(account)
        async with self._rest.http.stream(NAME, "GET", url, auth=auth, headers=headers, limit=limit) as download:
            head = Reply(download.status, download.headers, b"")
            if not head.ok and head.status != OUT_OF_RANGE:
                raise refusal(head, ())
            yield read_head(head, url)
            if head.ok:
                async for piece in download.pieces:
                    yield RecordingPart(piece, head.status)

    async def delete_recording(self, account: Account, recording_sid: str, limit: float) -> None:
        check_sid("RE", recording_sid)
        await self._rest.delete(account, f"{home(account)}/Recordings/{recording_sid}.json", limit)


def _read_recording(record: Any) -> CarrierRecording:
    call_sid = text(find(record, "call_sid"))
    if call_sid is None or not is_sid("CA", call_sid):
        raise malformed_record()
    return CarrierRecording(
        sid=read_sid("RE", record),
        call_sid=call_sid,
        made_at=read_time(find(record, "date_created")),
        seconds=read_seconds(find(record, "duration")),
        complete=find(record, "status") == "completed",
        is_message=find(record, "source") in (None, _RECORD_VERB),
    )
