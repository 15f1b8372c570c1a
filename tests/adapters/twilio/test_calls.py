"""Live calls are moved, limited and ended; others are looked up."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import CallOver, CarrierCall
from tests.adapters.twilio.examples import ACCOUNT, CALL, CALL_SID, E164, HOME, SINCE, every

pytestmark = pytest.mark.anyio

PATH = f"{HOME}/Calls/{CALL_SID}.json"
URL = "https://calls.example.com/webhooks/twilio/calls/call_1/transfer?state=s"
OVER = {"code": 21220, "message": "Call is not in-progress. Cannot redirect."}
READ = CarrierCall(
    sid=CALL_SID,
    caller="+14155550123",
    to=E164,
    status="completed",
    inbound=True,
    started_at=datetime(2026, 11, 25, 9, tzinfo=UTC),
    ended_at=datetime(2026, 11, 25, 9, 1, 10, tzinfo=UTC),
    seconds=70,
)


class TestLiveCalls:
    async def test_a_call_goes_on_with_another_document(self, twilio, scripted):
        scripted.answers(200, CALL | {"status": "in-progress"})

        await twilio.redirect_call(ACCOUNT, CALL_SID, URL, fallback_url="https://f.example/", seconds=3600, limit=5)

        [asked] = scripted.asked
        assert (asked.method, asked.target) == ("POST", PATH)
        assert dict(asked.form) == {
            "Url": URL,
            "Method": "POST",
            "FallbackUrl": "https://f.example/",
            "FallbackMethod": "POST",
            "TimeLimit": "3600",
        }

    async def test_nothing_is_set_that_was_not_asked_for(self, twilio, scripted):
        scripted.answers(200, CALL)

        await twilio.redirect_call(ACCOUNT, CALL_SID, URL, limit=5)
        await twilio.limit_call(ACCOUNT, CALL_SID, 960, 5)
        await twilio.end_call(ACCOUNT, CALL_SID, 5)

        assert [asked.form for asked in scripted.asked] == [
            [("Url", URL), ("Method", "POST")],
            [("TimeLimit", "960")],
            [("Status", "completed")],
        ]

    @pytest.mark.parametrize(("status", "body"), [(400, OVER), (404, {"code": 20404, "message": "not found"})])
    async def test_a_call_that_is_over_cannot_be_moved(self, twilio, scripted, status, body):
        scripted.answers(status, body)
        for attempt in (
            twilio.redirect_call(ACCOUNT, CALL_SID, URL, limit=5),
            twilio.limit_call(ACCOUNT, CALL_SID, 5, 5),
        ):
            with pytest.raises(CallOver) as caught:
                await attempt
            assert (caught.value.kind, caught.value.status) == (ErrorKind.BAD_REQUEST, status)
            assert f"Twilio error {body['code']}" in caught.value.said

    @pytest.mark.parametrize(("status", "body"), [(400, OVER), (404, b"")])
    async def test_a_call_that_is_over_is_ended_already(self, twilio, scripted, status, body):
        scripted.answers(status, body)

        await twilio.end_call(ACCOUNT, CALL_SID, 5)

        assert len(scripted.asked) == 1

    async def test_another_refusal_is_not_taken_for_a_call_that_is_over(self, twilio, scripted):
        scripted.answers(400, {"code": 21205, "message": "invalid URL"})
        for attempt in (twilio.redirect_call(ACCOUNT, CALL_SID, URL, limit=5), twilio.end_call(ACCOUNT, CALL_SID, 5)):
            with pytest.raises(ProviderError) as caught:
                await attempt
            assert not isinstance(caught.value, CallOver)

    async def test_a_document_that_twilio_would_not_take_is_not_sent(self, twilio, scripted):
        with pytest.raises(ProviderError) as caught:
            await twilio.place_call(ACCOUNT, CALL["to"], CALL["from"], "x" * 4001, seconds=30, limit=5)
        assert caught.value.kind == ErrorKind.BAD_REQUEST
        assert scripted.asked == []


class TestLookingUp:
    async def test_a_call_is_found_with_what_became_of_it(self, twilio, scripted):
        scripted.answers(200, CALL)

        assert await twilio.find_call(ACCOUNT, CALL_SID, 5) == READ
        assert scripted.asked[0].target == PATH
        assert not READ.is_live

    async def test_a_call_that_is_on_has_no_end(self, twilio, scripted):
        on = CALL | {"status": "in-progress", "end_time": None, "duration": None, "forwarded_from": "+15550003333"}
        scripted.answers(200, on)

        call = await twilio.find_call(ACCOUNT, CALL_SID, 5)

        assert call.is_live
        assert (call.ended_at, call.seconds, call.forwarded_from) == (None, None, "+15550003333")

    @pytest.mark.parametrize("status", ["queued", "ringing", "in-progress", "initiated", "answered", "asleep"])
    async def test_a_call_is_on_unless_its_status_says_that_it_ended(self, twilio, scripted, status):
        scripted.answers(200, CALL | {"status": status})
        assert (await twilio.find_call(ACCOUNT, CALL_SID, 5)).is_live

    @pytest.mark.parametrize("change", [{"status": None}, {"status": ""}, {"sid": None}, {"sid": E164}])
    async def test_a_call_without_sid_or_status_is_malformed(self, twilio, scripted, change):
        scripted.answers(200, CALL | change)

        with pytest.raises(ProviderError) as caught:
            await twilio.find_call(ACCOUNT, CALL_SID, 5)
        assert caught.value.kind == ErrorKind.MALFORMED_REPLY

    @pytest.mark.parametrize(
        "odd", ["", "soon", 7, "Wed, 99 Nov 2026 99:00:00 +0000", "Wed, 25 Nov 99999 08:00:00 +0000"]
    )
    async def test_an_invalid_time_is_unknown(self, twilio, scripted, odd):
        scripted.answers(200, CALL | {"start_time": odd, "end_time": odd, "duration": odd})

        call = await twilio.find_call(ACCOUNT, CALL_SID, 5)

        assert (call.started_at, call.ended_at) == (None, None)

    async def test_calls_are_listed_from_a_moment_on(self, twilio, scripted):
        early = CALL | {"start_time": "Wed, 25 Nov 2026 08:29:59 +0000"}
        elsewhere, undated = CALL | {"to": "+15550009999"}, CALL | {"start_time": None, "status": "queued"}
        scripted.answers(200, {"calls": [CALL, early, elsewhere, undated]})

        found = await every(twilio.list_calls(ACCOUNT, E164, SINCE, 5))

        assert [call.status for call in found] == ["completed", "queued"]
        assert scripted.asked[0].query == {"StartTime>": "2026-11-25T00:00:00Z", "To": E164, "PageSize": "250"}

    async def test_calls_to_any_number_are_listed(self, twilio, scripted):
        scripted.answers(200, {"calls": [CALL, CALL | {"to": "+15550009999", "parent_call_sid": CALL_SID}]})

        found = await every(twilio.list_calls(ACCOUNT, None, SINCE, 5))

        assert [(call.to, call.parent_sid) for call in found] == [(E164, None), ("+15550009999", CALL_SID)]
        assert "To" not in scripted.asked[0].query
