"""Requests as Twilio makes them, and what it makes of answers that are none."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import RedirectResponse, Response, StreamingResponse
from twilio.request_validator import RequestValidator

from adapters.sandbox.carrier import Anybody, Carrier, Quirks, requests
from adapters.sandbox.carrier.requests import Requests, signed_url
from crypto.secret import Secret
from tests.support.scripted_router import ACCOUNT_SID, CALLER, NUMBER, TOKEN, twiml

pytestmark = pytest.mark.anyio


async def test_the_first_request_is_twilios(router, calls):
    router.serve("/voice", "<Hangup/>")
    timeline = await calls.place()
    (asked,) = router.asked
    assert asked.method == "POST"
    assert asked.signed
    assert asked.headers["user-agent"] == "TwilioProxy/1.1"
    assert asked.headers["i-twilio-idempotency-token"]
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.form["CallSid"] == timeline.call_sid
    assert asked.form["AccountSid"] == ACCOUNT_SID
    assert asked.form["From"] == asked.form["Caller"] == CALLER
    assert asked.form["To"] == asked.form["Called"] == NUMBER
    assert asked.form["CallStatus"] == "ringing"
    assert asked.form["Direction"] == "inbound"
    assert asked.form["ApiVersion"] == "2010-04-01"
    assert asked.form["FromCity"] == ""
    assert asked.form["CallToken"]
    assert asked.form["StirVerstat"] == "TN-Validation-Passed-A"


@pytest.mark.parametrize("spelling", ["anonymous", "+266696687", "", "restricted"])
async def test_a_withheld_number_is_spelled_as_asked(router, calls, spelling):
    router.serve("/voice", "<Hangup/>")
    await calls.place(from_=None, quirks=Quirks(withheld=spelling))
    assert router.asked[0].form["From"] == spelling
    assert router.asked[0].signed


async def test_the_fragment_of_the_voice_url_is_neither_sent_nor_signed(router, calls):
    router.serve("/voice", "<Redirect>/next#rc=2</Redirect>")
    router.serve("/next", "<Hangup/>")
    await calls.place(voice_url=f"{router.url}/voice?a=1#rt=8000&rc=0")
    assert [asked.path for asked in router.asked] == ["/voice", "/next"]
    assert all(asked.signed for asked in router.asked)
    assert router.asked[0].query == {"a": "1"}


async def test_the_query_is_signed_as_it_is_sent(router, calls):
    router.serve("/voice", "<Redirect>/a%2Fb//c?state=x%20y&amp;state=%2B&amp;empty=</Redirect>")
    router.serve("/a/b//c", "<Hangup/>")
    await calls.place()
    assert router.asked[1].path == "/a/b//c"
    assert router.asked[1].signed


async def test_get_puts_the_parameters_into_the_signed_query_and_leaves_the_token_out(router, calls):
    router.serve("/voice", '<Redirect method="GET">/next?a=1</Redirect>')
    router.serve("/next", "<Hangup/>")
    await calls.place()
    asked = router.asked[1]
    assert asked.method == "GET"
    assert asked.query["a"] == "1"
    assert asked.query["From"] == CALLER
    assert "CallToken" not in asked.query
    assert asked.signed


@given(
    st.sampled_from(["http://a.example", "https://a.example/x?y=1", "https://a.example:8443/x", "http://a.example:81"]),
    st.booleans(),
)
def test_twilios_own_validator_accepts_both_ways_of_writing_the_port(url, standard_port):
    signature = RequestValidator(TOKEN).compute_signature(
        signed_url(httpx.URL(url), standard_port=standard_port), {"a": "b"}
    )
    assert RequestValidator(TOKEN).validate(str(httpx.URL(url)), {"a": "b"}, signature)


def test_the_standard_port_is_written_out_on_demand():
    assert signed_url(httpx.URL("https://a.example/x"), standard_port=True) == "https://a.example:443/x"
    assert signed_url(httpx.URL("http://a.example/x"), standard_port=True) == "http://a.example:80/x"
    assert signed_url(httpx.URL("http://a.example:8080/x"), standard_port=True) == "http://a.example:8080/x"
    assert signed_url(httpx.URL("https://a.example/x"), standard_port=False) == "https://a.example/x"


@pytest.mark.parametrize("at_once", [False, True])
async def test_copies_of_a_request_are_all_sent_and_the_call_goes_on_once(router, calls, at_once):
    router.serve("/voice", "<Redirect>/next</Redirect>")
    router.serve("/next", "<Hangup/>")
    timeline = await calls.place(quirks=Quirks(copies=3, copies_at_once=at_once))
    assert [asked.path for asked in router.asked] == ["/voice"] * 3 + ["/next"] * 3
    assert len({asked.form["CallSid"] for asked in router.asked}) == 1
    assert [request.copy for request in timeline.requests] == [0, 1, 2] * 2


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Response(status_code=403), "11200"),
        (Response(status_code=500), "11200"),
        (Response("{}", media_type="application/json"), "12300"),
        (Response(b"<Response/>"), "12300"),
        (Response("<Response>", media_type="text/xml"), "12100"),
        (Response("<Reply/>", media_type="text/xml"), "12102"),
        (Response("<Response><Say>" + "a" * 70_000 + "</Say></Response>", media_type="text/xml"), "11750"),
        (StreamingResponse(iter(()), media_type="text/xml"), "11770"),
        (RedirectResponse("/voice", 307), "11215"),
        (RedirectResponse("ftp://a.example", 302), "11216"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_an_answer_that_is_none_leads_to_the_fallback_with_twilios_code(router, calls, answer, code):
    router.answer("/voice", answer)
    router.serve("/fallback", "<Say>Please call again.</Say>")
    timeline = await calls.place(fallback_url=f"{router.url}/fallback")
    (asked,) = router.asked_at("/fallback")
    assert asked.signed
    assert asked.form["ErrorCode"] == code
    assert asked.form["ErrorUrl"] == f"{router.url}/voice"
    assert asked.form["CallSid"] == timeline.call_sid
    assert timeline.fallback_used
    assert timeline.answered_by == "spoken"


async def test_redirects_are_followed_and_each_request_is_signed(router, calls):
    router.answer("/voice", RedirectResponse("/moved?x=1", 307))
    router.answer("/moved", RedirectResponse("/here", 302))
    router.serve("/here", "<Redirect>next</Redirect>")
    router.serve("/next", "<Hangup/>")
    timeline = await calls.place()
    assert [(asked.path, asked.method) for asked in router.asked] == [
        ("/voice", "POST"),
        ("/moved", "POST"),
        ("/here", "GET"),
        ("/next", "POST"),
    ]
    assert all(asked.signed for asked in router.asked)
    assert not timeline.failures


async def test_an_unreachable_router_is_an_application_error_without_a_fallback(calls):
    timeline = await calls.place(voice_url="http://127.0.0.1:9/voice")
    assert timeline.answered_by == "application-error"
    assert "11202" in timeline.failures[0]


async def test_an_address_that_cannot_be_requested_is_a_failure_and_no_crash(router, calls):
    router.serve("/voice", "<Redirect>http://[broken</Redirect>", "<Hangup/>")
    timeline = await calls.place()
    assert timeline.answered_by == "application-error"


async def test_an_answer_that_takes_too_long_is_given_up(router, calls, monkeypatch):
    never = asyncio.Event()

    async def hang(_asked):
        await never.wait()
        return twiml("")

    monkeypatch.setattr(requests, "LIMIT", 0.05)
    router.answer("/voice", hang)
    timeline = await calls.place()
    never.set()
    assert timeline.answered_by == "application-error"
    assert "11205" in timeline.failures[0]


async def test_the_token_is_nowhere_in_what_the_carrier_shows(router, calls):
    router.serve("/voice", "<Hangup/>")
    timeline = await calls.place()
    sender = Requests(calls.client, Secret(TOKEN), Quirks())
    carrier = Carrier(ACCOUNT_SID, Secret(TOKEN), router.url, far_end=Anybody(), pass_time=asyncio.sleep)
    assert TOKEN not in f"{timeline.to_json()} {vars(sender)} {vars(carrier)}"
