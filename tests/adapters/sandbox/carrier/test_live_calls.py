"""A live call is changed through the carrier's API, as a router does it that transfers a caller to a person."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from starlette.responses import Response

from adapters.carrier import Account, CallOver
from adapters.http import Http
from adapters.sandbox.carrier import Anybody, LegVerdict, Quirks, SandboxControl, Script
from adapters.twilio import Twilio
from crypto.secret import Secret
from tests.support.local_http import local_client
from tests.support.scripted_router import ACCOUNT_SID, CALLER, NUMBER, TOKEN

pytestmark = pytest.mark.anyio

OWNER = "+15005550123"
STREAM = '<Connect action="/after"><Stream url="wss://ai.example/1" statusCallback="/stream"/></Connect>'
SIP = '<Dial action="/after" answerOnBridge="true" callerId="+14155550123"><Sip>sip:call@ai.example</Sip></Dial>'
TRANSFER = f'<Dial action="/done" timeout="15" callerId="{CALLER}"><Number>{OWNER}</Number></Dial>'
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LEGS = {"a media stream": STREAM, "a SIP leg": SIP}


class FarEnd(SandboxControl):
    """The sandbox, with an AI at every address but the owner's number."""

    async def leg(self, kind, address, parameters):
        if address == OWNER:
            return await Anybody().leg(kind, address, parameters)
        return LegVerdict("answered", provider="vapi", provider_call_id="vapi-call-1")


class Office:
    """Changes the call through our own adapter and the sandbox's API. Records the timelines that it saw."""

    def __init__(self, twilio, api_url, router):
        self.twilio = twilio
        self.api_url = api_url
        self.account = Account(ACCOUNT_SID, Secret(TOKEN))
        self.router = router
        self.seen = []

    async def redirect(self, timeline, **options):
        self.seen.append(timeline)
        url = f"{self.router.url}/transfer"
        await self.twilio.redirect_call(self.account, timeline.call_sid, url, limit=5, **options)

    async def instruct(self, timeline, twiml):
        """Twilio takes TwiML as well as an address, although our adapter sends none."""
        path = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls/{timeline.call_sid}.json"
        async with local_client(auth=(ACCOUNT_SID, TOKEN)) as http:
            (await http.post(f"{self.api_url}{path}", data={"Twiml": twiml})).raise_for_status()

    async def end(self, timeline):
        await self.twilio.end_call(self.account, timeline.call_sid, 5)

    async def limit(self, timeline, seconds):
        await self.twilio.limit_call(self.account, timeline.call_sid, seconds, 5)

    async def find(self, timeline):
        return await self.twilio.find_call(self.account, timeline.call_sid, 5)


@pytest.fixture
async def far_end(box):
    box.state.twilio.add_account(ACCOUNT_SID, TOKEN)
    async with local_client() as http:
        yield FarEnd(box.url, http)


@pytest.fixture
async def office(box, router):
    router.serve("/after", "<Say>And after all?</Say>")
    router.serve("/transfer", TRANSFER)
    router.serve("/done", "<Hangup/>")
    router.serve("/stream", "")
    http = Http()
    api_url = f"{box.url}/twilio"
    yield Office(Twilio(http, api_url), api_url, router)
    await http.aclose()


@pytest.fixture(params=LEGS.values(), ids=LEGS)
def answered_by_ai(request, router):
    router.serve("/voice", request.param)
    return router


def paths(router):
    return [asked.path for asked in router.asked if asked.path != "/stream"]


@pytest.mark.usefixtures("answered_by_ai")
class TestTransfer:
    async def test_the_caller_is_put_through_to_the_owner(self, router, calls, far_end, office):
        timeline = await calls.place(Script(ai_acts_after=12), far_end=far_end, during_ai=office.redirect, strict=True)

        assert paths(router) == ["/voice", "/transfer", "/done"]
        assert [(leg.who, leg.status, leg.talk_seconds) for leg in timeline.legs] == [
            ("ai", "answered", 12),
            ("owner", "answered", 45),
        ]
        assert timeline.answered_by == "owner"
        transfer = router.asked_at("/transfer")[0]
        assert (transfer.method, transfer.signed, transfer.form["CallStatus"]) == ("POST", True, "in-progress")
        assert router.asked_at("/done")[0].form["DialCallStatus"] == "completed"

    @pytest.mark.parametrize(("owner", "status"), [("no-answer", "no-answer"), ("busy", "busy"), ("fails", "failed")])
    async def test_an_owner_who_does_not_answer_is_told_to_the_router(
        self, router, calls, far_end, office, owner, status
    ):
        router.serve("/done", '<Record action="/end"/>')
        router.serve("/end", "")

        timeline = await calls.place(Script(owner=owner), far_end=far_end, during_ai=office.redirect)

        assert router.asked_at("/done")[0].form["DialCallStatus"] == status
        assert timeline.answered_by == "voicemail"

    async def test_the_assistant_acts_on_a_call_that_the_api_knows(self, calls, far_end, office):
        found = []

        async def look(timeline):
            office.seen.append((timeline.provider, timeline.provider_call_id))
            found.append(await office.find(timeline))

        timeline = await calls.place(Script(ai_acts_after=5), far_end=far_end, during_ai=look)

        assert office.seen == [("vapi", "vapi-call-1")]
        assert (found[0].status, found[0].caller, found[0].to) == ("in-progress", CALLER, NUMBER)
        ended = await office.find(timeline)
        assert (ended.status, (ended.ended_at - ended.started_at).total_seconds()) == ("completed", timeline.seconds)

    @pytest.mark.parametrize(
        ("switch", "asked"),
        [
            ("not asked", ["/voice", "/transfer", "/done"]),
            ("ignored", ["/voice", "/after", "/transfer", "/done"]),
            ("executed", ["/voice", "/transfer", "/after"]),
        ],
    )
    async def test_the_action_that_is_left_is_asked_for_or_not(self, router, calls, far_end, office, switch, asked):
        quirks = Quirks(action_after_redirect=switch)

        timeline = await calls.place(far_end=far_end, during_ai=office.redirect, quirks=quirks)

        assert paths(router) == asked
        assert timeline.said == (["And after all?"] if switch == "executed" else [])
        for after in router.asked_at("/after"):
            assert after.form["CallStatus"] == "in-progress"

    async def test_a_call_may_be_moved_again(self, router, calls, far_end, office):
        router.serve("/transfer", STREAM, TRANSFER)

        timeline = await calls.place(Script(ai_acts_after=7), far_end=far_end, during_ai=office.redirect)

        assert len(office.seen) == 2
        assert [leg.who for leg in timeline.legs] == ["ai", "ai", "owner"]

    async def test_a_call_that_is_ended_through_the_api_is_over(self, router, calls, far_end, office):
        timeline = await calls.place(Script(ai_acts_after=9), far_end=far_end, during_ai=office.end)

        assert timeline.final_status == "completed"
        assert timeline.legs[0].talk_seconds == 9
        assert [after.form["CallStatus"] for after in router.asked_at("/after")] == ["completed"]
        assert timeline.said == []
        with pytest.raises(CallOver):
            await office.redirect(timeline)

    async def test_a_time_limit_cuts_a_call_off(self, calls, far_end, office):
        async def limit(timeline):
            await office.limit(timeline, 25)

        timeline = await calls.place(
            Script(ai_acts_after=5, ai_talks=600), far_end=far_end, during_ai=limit, strict=True
        )

        assert timeline.seconds == 25
        assert timeline.final_status == "completed"

    async def test_a_time_limit_may_be_raised_with_the_move(self, calls, far_end, office):
        async def move(timeline):
            await office.limit(timeline, 20)
            await office.redirect(timeline, seconds=3600)

        timeline = await calls.place(far_end=far_end, during_ai=move)

        assert timeline.answered_by == "owner"
        assert timeline.legs[-1].talk_seconds == 45

    async def test_a_caller_who_hangs_up_first_cannot_be_moved(self, calls, far_end, office):
        timeline = await calls.place(Script(caller="hangs-up-during-ai"), far_end=far_end)

        with pytest.raises(CallOver):
            await office.redirect(timeline)


@pytest.mark.usefixtures("answered_by_ai")
class TestDocuments:
    async def test_a_document_may_come_with_the_update(self, router, calls, far_end, office):
        twiml = f"<Response><Say>One moment.</Say><Redirect>{router.url}/transfer</Redirect></Response>"

        async def instruct(timeline):
            await office.instruct(timeline, twiml)

        timeline = await calls.place(far_end=far_end, during_ai=instruct, strict=True)

        assert timeline.said == ["One moment."]
        assert timeline.answered_by == "owner"

    async def test_addresses_in_it_must_be_absolute(self, calls, far_end, office):
        async def instruct(timeline):
            await office.instruct(timeline, f"<Response>{TRANSFER}</Response>")

        timeline = await calls.place(far_end=far_end, during_ai=instruct)

        assert any("15004" in violation for violation in timeline.violations)

    @pytest.mark.parametrize("keeps", [True, False])
    async def test_a_move_that_fails_falls_back(self, router, calls, far_end, office, keeps):
        router.answer("/transfer", Response(status_code=500))
        router.serve("/fallback", "<Say>The fallback.</Say>")
        options = {
            "far_end": far_end,
            "quirks": Quirks(redirect_keeps_fallback=keeps),
            "fallback_url": f"{router.url}/fallback",
        }

        timeline = await calls.place(during_ai=office.redirect, **options)
        assert timeline.said == (["The fallback."] if keeps else [])
        assert (timeline.answered_by == "application-error") is not keeps

        async def redirect(timeline):
            await office.redirect(timeline, fallback_url=f"{router.url}/done")

        timeline = await calls.place(during_ai=redirect, **options)
        assert paths(router)[-1] == "/done"
        assert timeline.fallback_used


async def test_the_owners_phone_stops_ringing_when_the_call_is_moved(router, calls, far_end, office):
    router.serve(
        "/voice",
        f'<Say>Hello.</Say><Dial action="/after" callerId="{CALLER}"><Number statusCallback="/leg">{OWNER}</Number></Dial>',
    )
    router.serve("/leg", "")
    router.serve("/transfer", "<Say>Moved.</Say>")

    class WhileItRings(FarEnd):
        async def keep_call(self, standing):
            if standing.seconds > 3 and not office.seen:
                office.seen.append(standing)
                await office.twilio.redirect_call(office.account, standing.call_sid, f"{router.url}/transfer", limit=5)
            return await super().keep_call(standing)

    timeline = await calls.place(
        far_end=WhileItRings(far_end._base_url, far_end._client), quirks=Quirks(action_after_redirect="ignored")
    )

    assert timeline.said == ["Hello.", "Moved."]
    assert [(leg.who, leg.status, leg.bridged) for leg in timeline.legs] == [("owner", "canceled", False)]
    assert router.asked_at("/leg")[0].form["CallStatus"] == "canceled"
    assert router.asked_at("/after")[0].form["DialCallStatus"] == "canceled"


async def test_what_was_recorded_when_the_call_was_moved_stays(router, calls, far_end, office, box):
    router.serve("/voice", '<Record action="/recorded" recordingStatusCallback="/kept"/>')
    router.serve("/kept", "")
    router.serve("/transfer", "<Say>Moved.</Say>")

    class DuringTheMessage(FarEnd):
        async def keep_call(self, standing):
            if standing.status == "in-progress" and not office.seen:
                office.seen.append(standing)
                await super().keep_call(standing)
                await office.twilio.redirect_call(office.account, standing.call_sid, f"{router.url}/transfer", limit=5)
            return await super().keep_call(standing)

    timeline = await calls.place(far_end=DuringTheMessage(far_end._base_url, far_end._client))

    assert paths(router) == ["/voice", "/kept", "/transfer"]
    assert list(box.state.twilio.accounts[ACCOUNT_SID].recordings) == timeline.recordings
    assert timeline.said == ["Moved."]


async def test_a_stream_in_real_time_is_left_as_soon_as_the_call_is_moved(router, calls, far_end, office):
    router.serve("/voice", STREAM)
    started, moved = asyncio.Event(), []

    async def real_time(_seconds):
        started.set()
        await asyncio.Event().wait()  # for ever, were it not for the move

    async def move():
        await started.wait()
        [call] = [call async for call in office.twilio.list_calls(office.account, NUMBER, LONG_AGO, 5)]
        moved.append(call)
        await office.twilio.redirect_call(office.account, call.sid, f"{router.url}/transfer", limit=5)

    async with asyncio.TaskGroup() as group:
        group.create_task(move())
        placing = group.create_task(calls.place(far_end=far_end, pass_stream_time=real_time, watch_every=0.02))

    timeline = placing.result()
    assert moved[0].is_live
    assert timeline.answered_by == "owner"
    assert timeline.legs[0].talk_seconds < 30


async def test_a_call_on_an_unknown_account_is_not_kept(router, calls, box):
    router.serve("/voice", "<Say>Hello.</Say>")
    async with local_client() as http:
        timeline = await calls.place(far_end=SandboxControl(box.url, http), strict=True)
    assert timeline.said == ["Hello."]
