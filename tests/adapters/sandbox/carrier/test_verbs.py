"""The verbs on the caller's own line: speech, recordings, rejections, the fallback, and how a call ends."""

from __future__ import annotations

import pytest
from starlette.responses import Response

from adapters.sandbox.carrier import CarrierViolation, Quirks, Script
from tests.support.scripted_router import CALLER

pytestmark = pytest.mark.anyio

VOICEMAIL = (
    "<Say>Please leave a message.</Say>"
    '<Record action="/done" maxLength="120" timeout="5" finishOnKey="#" recordingStatusCallback="/file" '
    'recordingStatusCallbackEvent="completed absent"/>'
    "<Say>Goodbye.</Say><Hangup/>"
)


async def test_a_word_and_a_hang_up(router, calls):
    router.serve("/voice", "<Say>This number is not in service.</Say><Hangup/>")
    timeline = await calls.place()
    assert timeline.answered_by == "spoken"
    assert timeline.said == ["This number is not in service."]
    assert timeline.final_status == "completed"
    assert sum(calls.passed) == timeline.seconds > 0


async def test_an_empty_response_ends_the_call_unanswered(router, calls):
    router.serve("/voice", "")
    timeline = await calls.place()
    assert timeline.answered_by == "nobody"
    assert timeline.final_status == "no-answer"


@pytest.mark.parametrize(("verb", "status"), [('<Reject reason="busy"/>', "busy"), ("<Reject/>", "no-answer")])
async def test_a_rejected_call_is_never_answered(router, calls, verb, status):
    router.serve("/voice", verb)
    timeline = await calls.place(status_url=f"{router.url}/status")
    assert timeline.answered_by == "rejected"
    (told,) = router.asked_at("/status")
    assert told.form["CallStatus"] == status
    assert told.form["CallDuration"] == "0"


async def test_a_message_is_recorded_kept_and_told(router, calls):
    router.serve("/voice", VOICEMAIL)
    router.serve("/done", "")
    router.answer("/file", Response(status_code=204))
    timeline = await calls.place(status_url=f"{router.url}/voice")
    (done,) = router.asked_at("/done")
    (file,) = router.asked_at("/file")
    assert timeline.answered_by == "voicemail"
    assert done.form["Digits"] == "hangup"
    assert done.form["CallStatus"] == "completed"
    assert done.form["RecordingUrl"].endswith(f"/Recordings/{timeline.recordings[0]}")
    assert file.form["RecordingSid"] == timeline.recordings[0]
    assert file.form["RecordingStatus"] == "completed"
    assert file.form["RecordingDuration"] == done.form["RecordingDuration"] == "12"
    assert file.form["RecordingSource"] == "RecordVerb"
    assert "Goodbye." not in timeline.said
    assert all(asked.signed for asked in router.asked)


@pytest.mark.parametrize(("ends", "digits"), [("key", "#"), ("silence", "")])
async def test_the_document_behind_a_message_is_executed_if_the_caller_is_still_there(router, calls, ends, digits):
    router.serve("/voice", VOICEMAIL)
    router.serve("/done", "<Say>Thank you.</Say>")
    router.answer("/file", Response(status_code=204))
    timeline = await calls.place(Script(message_ends_with=ends))
    assert router.asked_at("/done")[0].form["Digits"] == digits
    assert router.asked_at("/done")[0].form["CallStatus"] == "in-progress"
    assert timeline.said[-1] == "Thank you."
    assert timeline.answered_by == "voicemail"


async def test_a_message_is_cut_off_at_its_greatest_length(router, calls):
    router.serve("/voice", VOICEMAIL)
    router.serve("/done", "")
    router.answer("/file", Response(status_code=204))
    await calls.place(Script(message_seconds=500))
    assert router.asked_at("/done")[0].form["RecordingDuration"] == "120"
    assert router.asked_at("/done")[0].form["Digits"] == ""


async def test_a_silent_caller_leaves_no_recording_and_the_next_verb_is_executed(router, calls):
    router.serve("/voice", VOICEMAIL)
    router.answer("/file", Response(status_code=204))
    timeline = await calls.place(Script(voicemail="silent"))
    assert not router.asked_at("/done")
    assert router.asked_at("/file")[0].form["RecordingStatus"] == "absent"
    assert timeline.said[-1] == "Goodbye."
    assert not timeline.recordings


async def test_absent_recordings_are_not_told_to_those_who_did_not_ask(router, calls):
    router.serve("/voice", VOICEMAIL.replace("completed absent", "completed"))
    await calls.place(Script(voicemail="silent"))
    assert not router.asked_at("/file")


async def test_the_recording_may_be_told_late_and_often(router, calls):
    router.serve("/voice", VOICEMAIL)
    router.serve("/done", "")
    for path in ("/file", "/status"):
        router.answer(path, Response(status_code=204))
    quirks = Quirks(recording_callback="after-end", recording_callback_copies=3)
    await calls.place(quirks=quirks, status_url=f"{router.url}/status")
    assert [asked.path for asked in router.asked] == ["/voice", "/done", "/status", "/file", "/file", "/file"]
    assert len({asked.form["RecordingSid"] for asked in router.asked_at("/file")}) == 1


async def test_a_caller_who_hangs_up_in_the_greeting_leaves_nothing(router, calls):
    router.serve("/voice", VOICEMAIL)
    router.answer("/status", Response(status_code=204))
    timeline = await calls.place(Script(caller="hangs-up-in-voicemail-greeting"), status_url=f"{router.url}/status")
    assert [asked.path for asked in router.asked] == ["/voice", "/status"]
    assert router.asked[-1].form["CallStatus"] == "completed"
    assert timeline.answered_by == "abandoned"


async def test_a_record_without_action_asks_for_the_same_document_until_it_is_stopped(router, calls):
    router.serve("/voice", '<Record maxLength="5"/>')
    with pytest.raises(CarrierViolation, match="goes round in circles") as caught:
        await calls.place(Script(message_ends_with="silence"), strict=True)
    assert len(caught.value.timeline.requests) == 25


async def test_a_caller_who_presses_nothing_falls_through_a_gather(router, calls):
    router.serve("/voice", '<Gather action="/key" timeout="4"><Say>Press 1.</Say></Gather><Say>Too late.</Say>')
    timeline = await calls.place()
    assert timeline.said == ["Press 1.", "Too late."]
    assert 4 in calls.passed
    assert not router.asked_at("/key")


async def test_plain_text_is_read_to_the_caller_and_is_a_violation(router, calls):
    router.answer("/voice", Response("Internal Server Error", media_type="text/plain"))
    timeline = await calls.place()
    assert timeline.answered_by == "spoken"
    assert timeline.said == ["Internal Server Error"]
    assert "text/plain" in timeline.violations[0]


async def test_a_strict_carrier_raises_at_the_end_with_the_whole_story(router, calls):
    router.serve("/voice", '<Say langauge="en-US">Hello</Say><Redirect>/next</Redirect>')
    router.serve("/next", "<Hangup/>")
    with pytest.raises(CarrierViolation, match="langauge") as caught:
        await calls.place(strict=True)
    assert caught.value.timeline.said == ["Hello"]
    assert caught.value.timeline.final_status == "completed"


async def test_a_strict_carrier_says_nothing_of_a_good_call(router, calls):
    router.serve("/voice", VOICEMAIL)
    router.serve("/done", "")
    router.answer("/file", Response(status_code=204))
    timeline = await calls.place(strict=True)
    assert timeline.violations == timeline.failures == []


async def test_what_cannot_be_executed_goes_to_the_fallback(router, calls):
    router.serve("/voice", '<Connect><Stream url="ws://a.example/x"/></Connect>')
    router.serve("/fallback", VOICEMAIL)
    router.serve("/done", "")
    router.answer("/file", Response(status_code=204))
    timeline = await calls.place(fallback_url=f"{router.url}/fallback#rc=0")
    assert router.asked_at("/fallback")[0].form["ErrorCode"] == "31922"
    assert timeline.answered_by == "voicemail"
    assert timeline.fallback_used
    assert timeline.violations


async def test_a_later_document_that_fails_goes_to_the_fallback_as_well(router, calls):
    router.serve("/voice", "<Redirect>/gone</Redirect>")
    router.serve("/fallback", "<Hangup/>")
    timeline = await calls.place(fallback_url=f"{router.url}/fallback")
    assert router.asked_at("/fallback")[0].form["ErrorUrl"] == f"{router.url}/gone"
    assert timeline.answered_by == "fallback"


async def test_the_fallback_has_no_fallback(router, calls):
    router.serve("/fallback", "<Redirect>/gone</Redirect>")
    timeline = await calls.place(fallback_url=f"{router.url}/fallback")
    assert [asked.path for asked in router.asked] == ["/voice", "/fallback", "/gone"]
    assert timeline.answered_by == "application-error"


async def test_a_status_callback_that_is_refused_is_a_failure(router, calls):
    router.serve("/voice", "<Hangup/>")
    timeline = await calls.place(status_url=f"{router.url}/status")
    assert "15003" in timeline.failures[0]
    assert timeline.violations == []


async def test_the_timeline_is_plain_json(router, calls):
    router.serve("/voice", VOICEMAIL)
    router.serve("/done", "")
    shown = (await calls.place()).to_json()
    assert shown["answered_by"] == "voicemail"
    assert shown["from_"] == CALLER
    assert shown["requests"][0]["parameters"]["CallStatus"] == "ringing"
    assert [entry["at"] for entry in shown["entries"]] == sorted(entry["at"] for entry in shown["entries"])
