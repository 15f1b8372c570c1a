"""A caller connected to a provider's media stream."""

from __future__ import annotations

import pytest
from starlette.responses import Response

from adapters.sandbox.carrier import Anybody, LegVerdict, Quirks, Script

pytestmark = pytest.mark.anyio

URL = "wss://api.vapi.ai/call-1/transport"
STREAM = (
    f'<Connect action="/after"><Stream url="{URL}" name="s" statusCallback="/stream">'
    '<Parameter name="call" value="1"/></Stream></Connect>'
)


class Vapi(Anybody):
    """A far end that knows one stream."""

    def __init__(self, result="answered"):
        self.result = result
        self.legs = []

    async def leg(self, kind, address, parameters):
        self.legs.append((kind, address, dict(parameters)))
        return LegVerdict(self.result, 200 if self.result == "answered" else 404, "vapi", "no such call")


@pytest.fixture
def stream(router):
    router.serve("/voice", STREAM)
    router.serve("/after", "<Hangup/>")
    router.answer("/stream", Response(status_code=204))
    return router


def events(router):
    return [asked.form["StreamEvent"] for asked in router.asked_at("/stream")]


async def test_an_ai_that_answers_is_told_about_and_asked_for_afterwards(stream, calls):
    far_end = Vapi()
    timeline = await calls.place(Script(ai_talks=42), far_end=far_end, strict=True)
    assert far_end.legs == [("stream", URL, {"call": "1"})]
    assert events(stream) == ["stream-started", "stream-stopped"]
    assert {asked.form["StreamName"] for asked in stream.asked_at("/stream")} == {"s"}
    assert stream.asked[-1].path == "/after"
    assert stream.asked[-1].form["CallStatus"] == "in-progress"
    assert (timeline.answered_by, timeline.provider) == ("ai", "vapi")
    assert 42 in calls.passed
    assert timeline.ringing_seconds == 1
    assert all(asked.signed for asked in stream.asked)


async def test_an_ai_that_closes_at_once_was_there_for_a_second(stream, calls):
    timeline = await calls.place(Script(ai="closes"))
    assert events(stream) == ["stream-started", "stream-stopped"]
    assert timeline.legs[0].talk_seconds == 1
    assert stream.asked_at("/after")


@pytest.mark.parametrize("outcome", ["fails", "busy", "no-answer"])
async def test_a_stream_that_is_refused_is_an_error_and_never_started(stream, calls, outcome):
    timeline = await calls.place(Script(ai=outcome))
    assert events(stream) == ["stream-error"]
    assert stream.asked_at("/stream")[0].form["StreamError"]
    assert stream.asked_at("/after")[0].form["CallStatus"] == "in-progress"
    assert timeline.answered_by == "nobody"


async def test_a_stream_that_the_provider_does_not_know_is_refused(stream, calls):
    timeline = await calls.place(far_end=Vapi("rejected"))
    assert events(stream) == ["stream-error"]
    assert "no such call" in timeline.legs[0].describe()


async def test_a_stream_that_never_starts_says_nothing_at_all(stream, calls):
    timeline = await calls.place(Script(ai="never-starts", stream_given_up_after=4))
    assert events(stream) == []
    assert stream.asked_at("/after")
    assert timeline.ringing_seconds == 4


async def test_stream_callbacks_may_never_arrive(stream, calls):
    timeline = await calls.place(quirks=Quirks(stream_callbacks=False))
    assert events(stream) == []
    assert timeline.answered_by == "ai"


@pytest.mark.parametrize("asked", [True, False])
async def test_the_action_after_a_hang_up_depends_on_the_switch_and_is_not_executed(stream, calls, asked):
    stream.serve("/after", "<Say>Still there?</Say>")
    timeline = await calls.place(Script(caller="hangs-up-during-ai"), quirks=Quirks(connect_action_after_hangup=asked))
    assert [each.form["CallStatus"] for each in stream.asked_at("/after")] == ["completed"] * asked
    assert timeline.said == []
    assert timeline.answered_by == "ai"
    assert timeline.final_status == "completed"


async def test_a_caller_may_hang_up_before_the_stream_is_up(stream, calls):
    timeline = await calls.place(Script(caller="hangs-up-while-ringing"))
    assert events(stream) == []
    assert timeline.answered_by == "abandoned"


async def test_without_an_action_the_next_verb_is_executed(router, calls):
    router.serve("/voice", f'<Connect><Stream url="{URL}"/></Connect><Say>Goodbye.</Say>')
    timeline = await calls.place()
    assert timeline.said == ["Goodbye."]
    assert timeline.answered_by == "ai"


@pytest.mark.usefixtures("stream")
async def test_the_time_of_a_stream_is_passed_apart_from_the_rest(calls):
    streamed = []

    async def pass_stream_time(seconds):
        streamed.append(seconds)

    await calls.place(Script(ai_talks=30), pass_stream_time=pass_stream_time)
    assert streamed == [30]
    assert calls.passed == [1]
