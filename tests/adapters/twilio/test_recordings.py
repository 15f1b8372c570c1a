"""Recordings: found, listened to, deleted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import CarrierRecording, RecordingPart
from adapters.twilio import Twilio
from tests.adapters.twilio.examples import ACCOUNT, CALL_SID, HOME, RECORDING, RECORDING_SID, SINCE, every

pytestmark = pytest.mark.anyio


async def read_recording(twilio: Twilio, byte_range: str | None = None) -> list[RecordingPart]:
    return await every(twilio.stream_recording(ACCOUNT, RECORDING_SID, byte_range, 5))


async def test_recordings_of_a_call_are_listed_from_a_moment_on(twilio, scripted):
    early = RECORDING | {"date_created": "Wed, 25 Nov 2026 08:29:59 +0000"}
    unfinished = RECORDING | {"status": "processing", "duration": "-1", "date_created": None}
    scripted.answers(200, {"recordings": [RECORDING, early, unfinished]})

    found = await every(twilio.list_recordings(ACCOUNT, CALL_SID, SINCE, 5))

    made_at = datetime(2026, 11, 25, 9, 1, tzinfo=UTC)
    assert found == [
        CarrierRecording(RECORDING_SID, CALL_SID, made_at, 12, complete=True),
        CarrierRecording(RECORDING_SID, CALL_SID, None, None, complete=False),
    ]
    assert scripted.asked[0].path == f"{HOME}/Recordings.json"
    assert scripted.asked[0].query == {
        "CallSid": CALL_SID,
        "DateCreated>": "2026-11-25T00:00:00Z",
        "PageSize": "250",
    }


@pytest.mark.parametrize(
    ("source", "is_message"),
    [("RecordVerb", True), (None, True), ("DialVerb", False), ("StartCallRecordingAPI", False), ("Conference", False)],
)
async def test_a_recorded_conversation_is_not_a_message(twilio, scripted, source, is_message):
    scripted.answers(200, {"recordings": [RECORDING | {"source": source}]})

    (found,) = await every(twilio.list_recordings(ACCOUNT, None, None, 5))
    assert found.is_message is is_message


async def test_all_recordings_are_listed(twilio, scripted):
    scripted.answers(200, {"recordings": [RECORDING]})

    assert len(await every(twilio.list_recordings(ACCOUNT, None, None, 5))) == 1
    assert scripted.asked[0].query == {"PageSize": "250"}


@pytest.mark.parametrize("call_sid", [None, 7, "CA1", "https://evil.example/"])
async def test_a_recording_of_no_call_is_malformed(twilio, scripted, call_sid):
    scripted.answers(200, {"recordings": [RECORDING | {"call_sid": call_sid}]})

    with pytest.raises(ProviderError) as caught:
        await every(twilio.list_recordings(ACCOUNT, None, None, 5))
    assert caught.value.kind == ErrorKind.MALFORMED_REPLY


async def test_a_recording_comes_with_its_head_first(twilio, scripted):
    audio = bytes(range(256)) * 2_000
    scripted.answers(200, audio, Content_Type="audio/mpeg")

    head, *pieces = await read_recording(twilio)

    assert head == RecordingPart(content_type="audio/mpeg", content_length=len(audio))
    assert b"".join(piece.data for piece in pieces) == audio
    assert scripted.asked[0].target == f"{HOME}/Recordings/{RECORDING_SID}.mp3"
    assert scripted.asked[0].range is None


async def test_a_part_of_a_recording_is_passed_through(twilio, scripted):
    scripted.answers(206, b"56789", Content_Type="audio/mpeg", Content_Range="bytes 5-9/100")

    head, *pieces = await read_recording(twilio, byte_range="bytes=5-9")

    assert head == RecordingPart(status=206, content_length=5, content_range="bytes 5-9/100")
    assert b"".join(piece.data for piece in pieces) == b"56789"
    assert scripted.asked[0].range == "bytes=5-9"


async def test_a_part_behind_the_end_is_answered_and_no_error(twilio, scripted):
    scripted.answers(416, b"<xml/>", Content_Type="application/xml", Content_Range="bytes */100")

    assert await read_recording(twilio, byte_range="bytes=200-") == [
        RecordingPart(status=416, content_range="bytes */100")
    ]


@pytest.mark.parametrize("byte_range", ["", "lines=1-2", "bytes=0-1\r\nX-Evil: 1", "bytes=é"])
async def test_an_invalid_range_is_not_sent(twilio, scripted, byte_range):
    scripted.answers(200, b"audio", Content_Type="audio/mpeg")

    assert len(await read_recording(twilio, byte_range=byte_range)) == 2
    assert scripted.asked[0].range is None


@pytest.mark.parametrize(
    ("status", "content_type"), [(200, "text/html"), (200, "application/json"), (203, "audio/mpeg")]
)
async def test_only_audio_is_passed_on(twilio, scripted, status, content_type):
    scripted.answers(status, b"<script>", Content_Type=content_type)

    with pytest.raises(ProviderError) as caught:
        await read_recording(twilio)
    assert caught.value.kind == ErrorKind.MALFORMED_REPLY


async def test_a_recording_that_is_gone_is_an_error_to_listen_to(twilio, scripted):
    scripted.answers(404, {"code": 20404, "message": "not found"})

    with pytest.raises(ProviderError) as caught:
        await read_recording(twilio)
    assert (caught.value.kind, caught.value.status) == (ErrorKind.BAD_REQUEST, 404)


async def test_a_listener_who_leaves_early_closes_the_download(twilio, scripted):
    scripted.answers(200, b"0" * 5_000_000, Content_Type="audio/mpeg")
    recording = twilio.stream_recording(ACCOUNT, RECORDING_SID, None, 5)
    assert (await anext(recording)).content_length == 5_000_000

    await recording.aclose()

    assert [part async for part in recording] == []


@pytest.mark.parametrize("status", [204, 404])
async def test_deleting_twice_is_fine(twilio, scripted, status):
    scripted.answers(status)

    await twilio.delete_recording(ACCOUNT, RECORDING_SID, 5)

    [asked] = scripted.asked
    assert (asked.method, asked.target) == ("DELETE", f"{HOME}/Recordings/{RECORDING_SID}.json")
