"""Legs to phones and SIP addresses: ringing, answering, screening, putting through, and what the router is told."""

from __future__ import annotations

import pytest
from starlette.responses import Response

from adapters.sandbox.carrier import Anybody, CarrierViolation, LegVerdict, Quirks, Script
from tests.support.scripted_router import CALLER, NUMBER

pytestmark = pytest.mark.anyio

OWNER, AT_BLAND = "+15002220000", "+15005550199"
SIP = "sip:abc@sip.retellai.com;transport=tcp?x-ref=c%201"
AI = f'<Dial answerOnBridge="true" callerId="{CALLER}" timeout="8" timeLimit="960" action="/after"><Sip>{SIP}</Sip></Dial>'
RING = (
    f'<Dial answerOnBridge="true" timeout="15" callerId="{CALLER}" action="/after">'
    f'<Number url="/screen">{OWNER}</Number></Dial>'
)
ASK = '<Gather numDigits="1" finishOnKey="" timeout="6" action="/key"><Say>Press 1 to take it.</Say></Gather><Hangup/>'


class Providers(Anybody):
    """A far end with a SIP address and a number of its own."""

    def __init__(self, sip=None):
        self.sip = sip or LegVerdict("answered", provider="retell")
        self.legs = []

    async def leg(self, kind, address, parameters):
        self.legs.append((kind, address, dict(parameters)))
        if kind == "sip":
            return self.sip
        if address == AT_BLAND:
            return LegVerdict("answered", provider="bland")
        return LegVerdict("rejected", 404)


@pytest.fixture
def far_end():
    return Providers()


@pytest.fixture
def owner(router):
    router.serve("/voice", RING)
    router.serve("/screen", ASK)
    router.serve("/after", "<Hangup/>")
    router.answer("/key", lambda asked: _twiml("" if asked.form["Digits"] == "1" else "<Hangup/>"))
    return router


def _twiml(body):
    return Response(f"<Response>{body}</Response>", media_type="text/xml")


@pytest.fixture
def ai(router):
    router.serve("/voice", AI)
    router.serve("/after", "<Hangup/>")
    return router


def told(router):
    (asked,) = router.asked_at("/after")
    assert asked.signed
    return asked.form


async def test_an_ai_that_answers_by_sip(ai, calls, far_end):
    timeline = await calls.place(Script(ai_talks=42), far_end=far_end, strict=True)
    assert far_end.legs == [("sip", SIP, {"x-ref": "c 1"})]
    assert told(ai)["DialCallStatus"] == "completed"
    assert told(ai)["DialCallDuration"] == "42"
    assert told(ai)["DialBridged"] == "true"
    assert told(ai)["DialSipResponseCode"] == "200"
    assert told(ai)["CallStatus"] == "in-progress"
    assert (timeline.answered_by, timeline.provider) == ("ai", "retell")
    assert timeline.answered_at == timeline.ringing_seconds == 2


@pytest.mark.parametrize(
    ("outcome", "status", "code", "rang"),
    [
        ("busy", "busy", "486", 1),
        ("fails", "failed", "503", 1),
        ("no-answer", "no-answer", "408", 13),
        ("never-starts", "no-answer", "408", 13),
    ],
)
async def test_an_ai_that_does_not_answer_by_sip(ai, calls, far_end, outcome, status, code, rang):
    timeline = await calls.place(Script(ai=outcome), far_end=far_end)
    form = told(ai)
    assert (form["DialCallStatus"], form["DialSipResponseCode"]) == (status, code)
    assert "DialCallDuration" not in form
    assert form["DialBridged"] == "false"
    assert timeline.ringing_seconds == rang  # 8 s of timeout and the 5 that Twilio adds
    assert timeline.answered_by == "nobody"


async def test_an_ai_that_closes_at_once_counts_as_completed(ai, calls, far_end):
    await calls.place(Script(ai="closes"), far_end=far_end)
    assert told(ai)["DialCallStatus"] == "completed"
    assert told(ai)["DialCallDuration"] == "1"


@pytest.mark.parametrize(
    ("code", "status"), [(404, "failed"), (403, "failed"), (488, "failed"), (480, "no-answer"), (486, "busy")]
)
async def test_a_provider_that_refuses_the_leg_decides_how_it_ends(ai, calls, code, status):
    far_end = Providers(LegVerdict("rejected", code, "retell", "no such call"))
    timeline = await calls.place(far_end=far_end)
    assert told(ai)["DialCallStatus"] == status
    assert told(ai)["DialSipResponseCode"] == str(code)
    assert "no such call" in timeline.legs[0].describe()


async def test_each_ai_leg_has_an_outcome_of_its_own(ai, calls, far_end):
    ai.serve("/after", AI, "<Hangup/>")
    timeline = await calls.place(Script(ai=("fails", "answers")), far_end=far_end)
    assert [leg.status for leg in timeline.legs] == ["failed", "answered"]
    assert timeline.answered_by == "ai"


async def test_a_number_of_a_provider_is_its_ai_and_no_persons_phone(router, calls, far_end):
    router.serve("/voice", f'<Dial callerId="{NUMBER}" action="/after"><Number>{AT_BLAND}</Number></Dial>')
    router.serve("/after", "<Hangup/>")
    timeline = await calls.place(Script(owner="no-answer"), far_end=far_end, strict=True)
    assert (timeline.answered_by, timeline.provider) == ("ai", "bland")
    assert "DialSipResponseCode" not in told(router)


async def test_a_time_limit_ends_the_leg_and_the_caller_is_still_there(ai, calls, far_end):
    await calls.place(Script(ai_talks=5000), far_end=far_end)
    assert told(ai)["DialCallDuration"] == "960"
    assert told(ai)["CallStatus"] == "in-progress"


@pytest.mark.parametrize("status", ["ringing", "in-progress"])
async def test_the_status_of_an_unbridged_call_depends_on_the_switch(ai, calls, far_end, status):
    await calls.place(Script(ai="busy"), far_end=far_end, quirks=Quirks(unbridged_status=status))
    assert told(ai)["CallStatus"] == status


async def test_dial_bridged_may_be_absent(ai, calls, far_end):
    await calls.place(far_end=far_end, quirks=Quirks(dial_bridged=False))
    assert "DialBridged" not in told(ai)


async def test_a_leg_that_is_screened_out_may_count_as_unanswered(owner, calls, far_end):
    quirks = Quirks(screened_out_status="no-answer")
    await calls.place(Script(owner="mailbox"), far_end=far_end, quirks=quirks)
    assert told(owner)["DialCallStatus"] == "no-answer"


async def test_a_dial_without_answer_on_bridge_answers_the_call(ai, calls, far_end):
    ai.serve("/voice", AI.replace("true", "false"))
    await calls.place(Script(ai="busy"), far_end=far_end)
    assert told(ai)["CallStatus"] == "in-progress"


@pytest.mark.parametrize("asked", [True, False])
async def test_a_caller_who_hangs_up_while_it_rings(ai, calls, far_end, asked):
    ai.answer("/status", Response(status_code=204))
    timeline = await calls.place(
        Script(caller="hangs-up-while-ringing"),
        far_end=far_end,
        quirks=Quirks(dial_action_after_hangup=asked, abandoned_status="canceled"),
        status_url=f"{ai.url}/status",
    )
    forms = [each.form for each in ai.asked_at("/after")]
    assert [(form["CallStatus"], form["DialCallStatus"]) for form in forms] == [("canceled", "canceled")] * asked
    assert ai.asked[-1].form["CallStatus"] == "canceled"
    assert timeline.answered_by == "abandoned"
    assert timeline.final_status == "canceled"


async def test_a_caller_who_hangs_up_while_talking_to_the_ai(ai, calls, far_end):
    timeline = await calls.place(Script(caller="hangs-up-during-ai"), far_end=far_end)
    assert told(ai)["CallStatus"] == "completed"
    assert told(ai)["DialCallStatus"] == "completed"
    assert timeline.answered_by == "ai"


async def test_an_owner_who_accepts_is_put_through(owner, calls, far_end):
    timeline = await calls.place(far_end=far_end, strict=True)
    screen, key = owner.asked_at("/screen")[0], owner.asked_at("/key")[0]
    assert screen.form["ParentCallSid"] == key.form["ParentCallSid"] == timeline.call_sid
    assert screen.form["CallSid"] == key.form["CallSid"] == told(owner)["DialCallSid"] != timeline.call_sid
    assert screen.form["Direction"] == "outbound-dial"
    assert screen.form["To"] == OWNER
    assert screen.form["From"] == CALLER
    assert key.form["Digits"] == "1"
    assert told(owner)["DialBridged"] == "true"
    assert told(owner)["CallSid"] == timeline.call_sid
    assert timeline.answered_by == "owner"
    assert timeline.said == ["Press 1 to take it."]


@pytest.mark.parametrize("outcome", ["ignores", "declines", "mailbox"])
async def test_an_owner_who_does_not_press_the_key_is_not_put_through(owner, calls, far_end, outcome):
    timeline = await calls.place(Script(owner=outcome), far_end=far_end, strict=True)
    assert [asked.form["Digits"] for asked in owner.asked_at("/key")] == (["2"] if outcome == "declines" else [])
    assert told(owner)["DialCallStatus"] == "completed"
    assert told(owner)["DialBridged"] == "false"
    assert told(owner)["CallStatus"] == "ringing"
    assert timeline.answered_by == "nobody"


@pytest.mark.parametrize("outcome", ["ignores", "mailbox"])
async def test_a_screening_document_that_does_not_hang_up_puts_machines_through(owner, calls, far_end, outcome):
    owner.serve("/screen", ASK.replace("<Hangup/>", ""))
    timeline = await calls.place(Script(owner=outcome), far_end=far_end)
    assert told(owner)["DialBridged"] == "true"
    assert timeline.answered_by == ("mailbox" if outcome == "mailbox" else "owner")


@pytest.mark.parametrize(
    "body", ["<Say>Hi</Say><Dial>+15002220001</Dial>", '<Record action="/x"/>', "<Redirect>/x</Redirect>", "<Pause/>"]
)
async def test_a_screening_document_that_does_more_than_ask_is_a_violation(owner, calls, far_end, body):
    owner.serve("/screen", body)
    with pytest.raises(CarrierViolation, match="screening document may not have"):
        await calls.place(far_end=far_end, strict=True)


async def test_a_key_that_ends_the_gather_is_swallowed(owner, calls, far_end):
    owner.serve("/screen", ASK.replace('finishOnKey=""', 'finishOnKey="1"'))
    await calls.place(far_end=far_end)
    assert owner.asked_at("/key")[0].form["Digits"] == ""


async def test_a_screening_document_that_cannot_be_had_hangs_up_that_leg_alone(owner, calls, far_end):
    owner.answer("/screen", Response(status_code=500))
    timeline = await calls.place(far_end=far_end, fallback_url=f"{owner.url}/fallback")
    assert told(owner)["DialBridged"] == "false"
    assert not timeline.fallback_used
    assert timeline.failures


@pytest.mark.parametrize(
    ("outcome", "status", "rang"), [("busy", "busy", 1), ("fails", "failed", 1), ("no-answer", "no-answer", 20)]
)
async def test_an_owners_phone_that_is_not_answered(owner, calls, far_end, outcome, status, rang):
    timeline = await calls.place(Script(owner=outcome), far_end=far_end)
    assert told(owner)["DialCallStatus"] == status
    assert not owner.asked_at("/screen")
    assert timeline.ringing_seconds == rang


async def test_a_mailbox_later_than_the_timeout_never_answers(owner, calls, far_end):
    await calls.place(Script(owner="mailbox", mailbox_after=20), far_end=far_end)
    assert told(owner)["DialCallStatus"] == "no-answer"


async def test_a_leg_is_reported_as_far_as_it_is_asked_for(router, calls, far_end):
    events = "initiated ringing answered completed"
    number = f'<Number statusCallback="/leg" statusCallbackEvent="{events}">{OWNER}</Number>'
    router.serve("/voice", f"<Dial>{number}</Dial>")
    router.answer("/leg", Response(status_code=204))
    timeline = await calls.place(far_end=far_end)
    forms = [asked.form for asked in router.asked_at("/leg")]
    assert [form["CallStatus"] for form in forms] == ["initiated", "ringing", "in-progress", "completed"]
    assert [form["SequenceNumber"] for form in forms] == ["0", "1", "2", "3"]
    assert {form["ParentCallSid"] for form in forms} == {timeline.call_sid}


async def test_the_first_of_several_phones_to_answer_wins(router, calls, far_end):
    router.serve("/voice", f"<Dial><Number>{OWNER}</Number><Number>{AT_BLAND}</Number></Dial>")
    timeline = await calls.place(Script(owner_rings=9, ai_rings=3), far_end=far_end)
    assert [(leg.address, leg.status) for leg in timeline.legs] == [(OWNER, "canceled"), (AT_BLAND, "answered")]
    assert timeline.answered_by == "ai"


async def test_phones_in_sequence_ring_one_after_the_other(router, calls, far_end):
    nouns = f"<Number>{OWNER}</Number><Number>{AT_BLAND}</Number>"
    router.serve("/voice", f'<Dial sequential="true" timeout="10">{nouns}</Dial>')
    timeline = await calls.place(Script(owner="busy"), far_end=far_end)
    assert [(leg.address, leg.status) for leg in timeline.legs] == [(OWNER, "busy"), (AT_BLAND, "answered")]


@pytest.mark.parametrize(
    ("dial", "from_", "code"),
    [
        (f"<Dial><Number>{OWNER}</Number></Dial>", None, "13214"),
        (f'<Dial callerId="+15009990000"><Number>{OWNER}</Number></Dial>', CALLER, "13214"),
        ("<Dial><Sip>sip:a@b.example</Sip></Dial>", None, "13214"),
        ('<Dial callerId="a b"><Sip>sip:a@b.example</Sip></Dial>', CALLER, "13214"),
        ("<Dial><Number>5002220000</Number></Dial>", CALLER, "13223"),
        (f"<Dial><Number>{NUMBER}</Number></Dial>", CALLER, "13224"),
        ("<Dial><Sip>b.example</Sip></Dial>", CALLER, "13243"),
        ("<Dial><Sip>sip:a@b.example?session=1</Sip></Dial>", CALLER, "13243"),
    ],
)
async def test_a_leg_that_cannot_be_placed_fails_at_once_and_is_a_violation(router, calls, far_end, dial, from_, code):
    router.serve("/voice", dial.replace("<Dial", '<Dial action="/after"'))
    router.serve("/after", "<Hangup/>")
    timeline = await calls.place(from_=from_, far_end=far_end)
    assert told(router)["DialCallStatus"] == "failed"
    assert timeline.ringing_seconds == 0
    assert any(violation.startswith(code) for violation in timeline.violations)
    assert far_end.legs == []


async def test_another_number_of_the_account_may_be_shown(router, calls, far_end):
    router.serve("/voice", f'<Dial callerId="+15009990000"><Number>{OWNER}</Number></Dial>')
    timeline = await calls.place(from_=None, far_end=far_end, numbers=["+15009990000"], strict=True)
    assert timeline.answered_by == "owner"


async def test_a_phone_that_forwards_back_makes_a_second_call_whose_rejection_ends_the_leg(owner, calls, far_end):
    def answer(asked):
        return _twiml('<Reject reason="busy"/>' if asked.form.get("ForwardedFrom") == OWNER else RING)

    owner.answer("/voice", answer)
    timeline = await calls.place(Script(owner="forwards-back"), far_end=far_end, strict=True)
    first, second = owner.asked_at("/voice")
    assert second.form["CallSid"] != first.form["CallSid"]
    assert second.form["From"] == CALLER
    assert second.form["To"] == NUMBER
    assert told(owner)["DialCallStatus"] == "busy"
    assert timeline.forwarded.answered_by == "rejected"
    assert timeline.answered_by == "nobody"


async def test_a_forwarded_call_may_not_say_where_it_comes_from(owner, calls, far_end):
    owner.serve("/voice", RING, "<Say>Leave a message.</Say><Record action='/done'/>")
    owner.serve("/done", "")
    timeline = await calls.place(Script(owner="forwards-back", forwarded_from=False), far_end=far_end, strict=True)
    assert "ForwardedFrom" not in owner.asked_at("/voice")[1].form
    assert timeline.forwarded.answered_by == "voicemail"
    assert owner.asked_at("/screen")
    assert told(owner)["DialBridged"] == "false"


@pytest.mark.usefixtures("owner")
async def test_a_router_that_does_not_see_the_loop_is_caught(calls, far_end):
    with pytest.raises(CarrierViolation, match="endless loop"):
        await calls.place(Script(owner="forwards-back"), far_end=far_end, strict=True)
