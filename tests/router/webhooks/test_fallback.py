"""What callers reach through the static fallback when nothing else of ours works."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from adapters.sandbox.carrier import Anybody, Carrier, Quirks, Script, Timeline
from crypto import Keyring, Secret, new_key_entry
from router.calls.fallback import Fallback, RingTimes, fallback_address
from router.dialling import Dialling
from router.webhooks.fallback import fallback_routes
from tests.support.local_http import local_client
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.serving import serve_app

pytestmark = pytest.mark.anyio

__all__ = ["captured_events"]

NUMBER = "+15550100100"
OWNER = "+15550100142"
CALLER = "+15550100199"
ACCOUNT = "AC" + "1" * 32
CALL = "CA" + "2" * 32
GARBAGE = b"\x80%zz=&&=&CallSid"

KEYRING = Keyring.parse(new_key_entry())
FALLBACK = Fallback(
    agency_id="agency_1",
    client_id="client_1",
    client_name="Rosa's Bakery",
    number=NUMBER,
    phone=OWNER,
    ring_seconds=14,
    screen=True,
    caller_id="caller",
    language="en-US",
    greeting=None,
    voicemail_seconds=90,
)


@pytest.fixture
async def base() -> AsyncIterator[str]:
    """The fallback's public address: behind a path of its own, and with nothing beside it."""
    app = Starlette(routes=[Mount("/calls", routes=fallback_routes(KEYRING, Dialling(), "/calls"))])
    async with serve_app(app) as url:
        yield f"{url}/calls"


@pytest.fixture
async def twilio(base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with local_client(base_url=base) as client:
        yield client


async def place_call(
    base: str, fallback: Fallback, script: Script | None = None, *, forwarded_from: str | None = None, **quirks: Any
) -> Timeline:
    async def pass_time(_seconds: float) -> None: ...

    carrier = Carrier(
        ACCOUNT,
        Secret("0" * 32),
        f"{base}/webhooks/twilio/voice",  # nothing listens there
        fallback_url=fallback_address(KEYRING, base, fallback),
        far_end=Anybody(),
        pass_time=pass_time,
        quirks=Quirks(**quirks),
    )
    return await carrier.place_call(to=NUMBER, from_=CALLER, script=script, forwarded_from=forwarded_from)


def sealed(fallback: Fallback = FALLBACK) -> str:
    return parse_qs(urlsplit(fallback_address(KEYRING, "https://example.com", fallback)).query)["t"][0]


def read(reply: httpx.Response) -> ET.Element:
    """The document of an answer that Twilio can execute."""
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/xml")
    return ET.fromstring(reply.text)  # noqa: S314 - our own document


def verbs(document: ET.Element) -> list[str]:
    return [verb.tag for verb in document]


def form(**changes: str) -> dict[str, str]:
    return {"CallSid": CALL, "AccountSid": ACCOUNT, "From": CALLER, "To": NUMBER, "CallStatus": "ringing"} | changes


async def test_the_owner_is_rung_and_takes_the_call(base: str) -> None:
    timeline = await place_call(base, FALLBACK, Script(owner="accepts"))
    assert timeline.fallback_used
    assert timeline.answered_by == "owner"
    assert "A call for Rosa's Bakery. Press 1 to take it." in timeline.said
    assert timeline.recordings == []


@pytest.mark.parametrize(
    ("screen", "owner"),
    [
        *((True, owner) for owner in ("ignores", "declines", "busy", "no-answer", "fails", "mailbox")),
        *((False, owner) for owner in ("busy", "no-answer", "fails")),
    ],
)
async def test_an_owner_who_does_not_take_the_call_is_followed_by_a_message(
    base: str, screen: bool, owner: Any
) -> None:
    timeline = await place_call(base, replace(FALLBACK, screen=screen), Script(owner=owner))
    assert timeline.answered_by == "voicemail"
    assert len(timeline.recordings) == 1


async def test_without_screening_an_answered_phone_gets_the_call(base: str) -> None:
    timeline = await place_call(base, replace(FALLBACK, screen=False), Script(owner="accepts"), dial_bridged=False)
    assert timeline.answered_by == "owner"
    assert timeline.recordings == []


async def test_a_client_without_a_phone_gets_a_message_in_its_own_words_and_length(base: str) -> None:
    fallback = replace(FALLBACK, phone=None, greeting="Hola, deje su mensaje.", language="es-MX", voicemail_seconds=77)
    timeline = await place_call(base, fallback)
    assert timeline.answered_by == "voicemail"
    assert timeline.legs == []
    assert "Hola, deje su mensaje." in timeline.said
    record = ET.fromstring(timeline.documents[0]).find("Record")  # noqa: S314 - our own document
    assert record is not None
    assert record.get("maxLength") == "77"


@pytest.mark.parametrize(
    ("now", "while_open", "rung"),
    [
        (datetime(2026, 7, 6, 8, 30, tzinfo=UTC), True, True),  # a Monday, 09:30 in London
        (datetime(2026, 7, 6, 7, 59, tzinfo=UTC), True, False),
        (datetime(2026, 1, 5, 8, 30, tzinfo=UTC), True, False),  # 08:30 in winter
        (datetime(2026, 7, 5, 8, 30, tzinfo=UTC), True, False),  # a Sunday
        (datetime(2026, 7, 5, 8, 30, tzinfo=UTC), False, True),
        (datetime(2026, 7, 6, 8, 30, tzinfo=UTC), False, False),
    ],
)
async def test_the_owner_is_rung_only_when_the_opening_hours_say_so(
    now: datetime, while_open: bool, rung: bool
) -> None:
    times = RingTimes("Europe/London", (("01234", 9 * 60, 17 * 60),), while_open=while_open)
    app = Starlette(routes=fallback_routes(KEYRING, Dialling(), clock=lambda: now))
    async with serve_app(app) as url:
        timeline = await place_call(url, replace(FALLBACK, ring_times=times), Script(owner="accepts"))
    assert timeline.answered_by == ("owner" if rung else "voicemail")
    assert (len(timeline.legs), len(timeline.recordings)) == ((1, 0) if rung else (0, 1))


async def test_a_call_that_the_owner_s_phone_sends_back_ends_as_the_first_caller_s_message(base: str) -> None:
    timeline = await place_call(base, FALLBACK, Script(owner="forwards-back"))
    assert timeline.forwarded is not None
    assert timeline.forwarded.answered_by == "rejected"
    assert timeline.answered_by == "voicemail"


@pytest.mark.parametrize("given", [OWNER, OWNER[1:], "5550100142", "(555) 010-0142", "05550100142"])
async def test_the_owner_s_phone_is_known_however_the_carrier_spells_it(twilio: httpx.AsyncClient, given: str) -> None:
    reply = await twilio.post("/fallback/voice", params={"t": sealed()}, data=form(ForwardedFrom=given))
    reject = read(reply).find("Reject")
    assert reject is not None
    assert reject.get("reason") == "busy"


@pytest.mark.parametrize("given", ["", "anonymous", "0142", "+15550100143", "+445550100142"])
async def test_a_call_that_others_forwarded_to_us_is_no_loop(twilio: httpx.AsyncClient, given: str) -> None:
    reply = await twilio.post("/fallback/voice", params={"t": sealed()}, data=form(ForwardedFrom=given))
    assert verbs(read(reply)) == ["Dial"]


@pytest.mark.parametrize(
    ("caller_id", "fields", "shown"),
    [
        ("caller", {}, CALLER),
        ("number", {}, NUMBER),
        ("caller", {"From": "anonymous"}, NUMBER),
        ("caller", {"From": "+266696687"}, NUMBER),
        ("caller", {"From": "sip:caller@example.com"}, NUMBER),
        ("caller", {"From": "", "To": ""}, NUMBER),
        ("number", {"To": "+15550100111"}, "+15550100111"),
    ],
)
async def test_the_owner_sees_the_caller_or_the_number_that_was_called(
    twilio: httpx.AsyncClient, caller_id: Any, fields: dict[str, str], shown: str
) -> None:
    t = sealed(replace(FALLBACK, caller_id=caller_id))
    reply = await twilio.post("/fallback/voice", params={"t": t}, data=form(**fields))
    dial = read(reply).find("Dial")
    assert dial is not None
    assert (dial.get("callerId"), dial.get("timeout"), dial.get("answerOnBridge")) == (shown, "14", "true")


@pytest.mark.parametrize("t", [None, "", "garbage", "1.k.AAAA", "ключ", "A" * 8000, sealed()[:-2], f"{sealed()}AA"])
async def test_whatever_became_of_the_address_the_caller_can_leave_a_message(
    twilio: httpx.AsyncClient, t: str | None
) -> None:
    reply = await twilio.post("/fallback/voice", params={} if t is None else {"t": t}, data=form())
    assert verbs(read(reply)) == ["Say", "Record", "Hangup"]


async def test_a_value_sealed_for_something_else_is_not_taken(twilio: httpx.AsyncClient) -> None:
    for foreign in (KEYRING.seal("{}", "state"), KEYRING.seal("{}", "fallback"), KEYRING.seal(b"\xff", "fallback")):
        reply = await twilio.post("/fallback/voice", params={"t": foreign}, data=form())
        assert verbs(read(reply)) == ["Say", "Record", "Hangup"]


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe\x00", GARBAGE, b"a=b&" * 5_000, b"x" * 200_000, b'{"json": true}'],
    ids=["empty", "binary", "garbage", "many fields", "too large", "json"],
)
async def test_a_body_that_makes_no_sense_does_not_keep_the_owner_from_being_rung(
    twilio: httpx.AsyncClient, body: bytes
) -> None:
    reply = await twilio.post("/fallback/voice", params={"t": sealed()}, content=body)
    assert verbs(read(reply)) == ["Dial"]


async def test_a_number_configured_for_get_works_too(twilio: httpx.AsyncClient) -> None:
    reply = await twilio.get("/fallback/voice", params={"t": sealed(), **form(ForwardedFrom=OWNER)})
    assert verbs(read(reply)) == ["Reject"]
    reply = await twilio.get("/fallback/accept", params={"t": sealed(), **form(Digits="1")})
    assert verbs(read(reply)) == []


@pytest.mark.parametrize("digits", [None, "", "2", "11", "#", "*"])
async def test_any_key_but_1_hangs_up_on_the_owner_s_leg(twilio: httpx.AsyncClient, digits: str | None) -> None:
    fields = form() if digits is None else form(Digits=digits)
    assert verbs(read(await twilio.post("/fallback/accept", params={"t": sealed()}, data=fields))) == ["Hangup"]


@pytest.mark.parametrize("t", [None, "garbage"])
async def test_a_screening_without_its_state_connects_no_caller(twilio: httpx.AsyncClient, t: str | None) -> None:
    reply = await twilio.post("/fallback/screen", params={"t": t} if t else {}, data=form())
    assert verbs(read(reply)) == ["Hangup"]


@pytest.mark.parametrize(
    ("screen", "fields", "answer"),
    [
        (True, {"DialBridged": "true", "DialCallStatus": "completed"}, ["Hangup"]),
        (True, {"DialBridged": "false", "DialCallStatus": "completed"}, ["Say", "Record", "Hangup"]),
        (True, {"DialCallStatus": "completed"}, ["Say", "Record", "Hangup"]),
        (False, {"DialCallStatus": "completed"}, ["Hangup"]),
        (False, {"DialBridged": "false", "DialCallStatus": "completed"}, ["Say", "Record", "Hangup"]),
        (False, {"DialCallStatus": "no-answer"}, ["Say", "Record", "Hangup"]),
        (True, {}, ["Say", "Record", "Hangup"]),
    ],
)
async def test_after_the_owner_s_leg_only_a_conversation_ends_the_call(
    twilio: httpx.AsyncClient, screen: bool, fields: dict[str, str], answer: list[str]
) -> None:
    t = sealed(replace(FALLBACK, screen=screen))
    reply = await twilio.post("/fallback/done", params={"t": t}, data=form(**fields))
    assert verbs(read(reply)) == answer


async def test_after_the_message_somebody_says_goodbye(twilio: httpx.AsyncClient) -> None:
    t = sealed(replace(FALLBACK, language="de-DE"))
    say = read(await twilio.post("/fallback/recorded", params={"t": t}, data=form())).find("Say")
    assert say is not None
    assert "Auf Wiederhören" in (say.text or "")


async def test_every_address_in_a_document_is_one_that_we_serve(twilio: httpx.AsyncClient) -> None:
    reply = await twilio.post("/fallback/voice", params={"t": sealed()}, data=form())
    found = re.findall(r'(?:action|url)="([^"]+)"', reply.text)
    assert len(found) == 2
    for address in found:
        assert address.startswith("/calls/fallback/")
        read(await twilio.post(httpx.URL(str(twilio.base_url)).join(address), data=form()))


class BrokenKeyring(Keyring):
    def open_bytes(self, envelope: str, *context: str) -> bytes:
        raise RuntimeError(f"a bug of ours, with {envelope} {context}")


@pytest.mark.parametrize(
    ("step", "last_resort"),
    [("voice", "Record"), ("done", "Record"), ("recorded", "Hangup"), ("screen", "Hangup"), ("accept", "Hangup")],
)
async def test_our_own_bug_is_answered_by_the_step_s_last_resort(
    step: str, last_resort: str, captured_events: CapturedEvents
) -> None:
    app = Starlette(routes=fallback_routes(BrokenKeyring.parse(new_key_entry()), Dialling()))
    async with serve_app(app) as url, local_client() as client:
        reply = await client.post(f"{url}/fallback/{step}", params={"t": "some-address"}, data=form(Digits="1"))
    assert last_resort in verbs(read(reply))
    assert captured_events.only("request.failed")["exception"]["type"] == "RuntimeError"
    assert "some-address" not in captured_events.text()


async def test_each_visit_is_logged_as_a_sign_of_trouble(
    twilio: httpx.AsyncClient, captured_events: CapturedEvents
) -> None:
    await twilio.post("/fallback/voice", params={"t": sealed()}, data=form(ErrorCode="11200"))
    line = captured_events.only("fallback.served")
    told = {name: line.get(name) for name in ("level", "step", "answer", "sealed", "error_code", "call_sid")}
    assert told == {
        "level": "warning",
        "step": "voice",
        "answer": "ring",
        "sealed": "opened",
        "error_code": 11200,
        "call_sid": CALL,
    }
    assert (line["agency_id"], line["client_id"]) == ("agency_1", "client_1")


@pytest.mark.parametrize(
    ("query", "step"), [({"check": ""}, "check"), ({}, "voice"), ({"check": "", "t": "an-address"}, "voice")]
)
async def test_only_a_test_without_an_address_is_logged_as_one(
    twilio: httpx.AsyncClient, captured_events: CapturedEvents, query: dict[str, str], step: str
) -> None:
    assert read(await twilio.post("/fallback/voice", params=query, data=form())) is not None
    assert captured_events.only("fallback.served")["step"] == step


async def test_a_message_can_be_found_again(twilio: httpx.AsyncClient, captured_events: CapturedEvents) -> None:
    recording = "RE" + "3" * 32
    url = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/{recording}"
    await twilio.post("/fallback/recorded", params={"t": sealed()}, data=form(RecordingUrl=url))
    line = captured_events.only("fallback.served")
    assert (line["recording_sid"], line["call_sid"], line["agency_id"]) == (recording, CALL, "agency_1")


async def test_strangers_cannot_write_into_the_log(twilio: httpx.AsyncClient, captured_events: CapturedEvents) -> None:
    fields = form(CallSid="forged\nline", ErrorCode="999999999999", RecordingUrl="forged-recording")
    await twilio.post("/fallback/recorded", params={"t": "forged-address"}, data=fields)
    assert "forged" not in captured_events.text()
    assert captured_events.only("fallback.served")["sealed"] == "unreadable"


@pytest.mark.parametrize("phone", ["+881612345678", "+19002345678", "+447012345678", "+4918012345678"])
async def test_a_costly_phone_is_not_rung_and_a_message_is_taken(base: str, phone: str) -> None:
    """An address is older than the operator's setting, or than the numbering plan."""
    timeline = await place_call(base, replace(FALLBACK, phone=phone), Script(owner="accepts"))
    assert timeline.fallback_used
    assert (timeline.legs, len(timeline.recordings)) == ([], 1)


async def test_a_costly_phone_is_rung_if_the_operator_allows_it() -> None:
    app = Starlette(routes=fallback_routes(KEYRING, Dialling(("+881",))))
    async with serve_app(app) as url:
        timeline = await place_call(url, replace(FALLBACK, phone="+881612345678"), Script(owner="accepts"))
    assert timeline.answered_by == "owner"
