"""What we ask of Twilio's REST API, and what its answers become."""

from __future__ import annotations

import asyncio
import base64
import socket
import traceback
from typing import Any

import pytest
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from adapters.base import Account, Carrier, CarrierNumber, ErrorKind, KeyCheck, ProviderError, RecordingPart
from adapters.http import Http
from adapters.twilio import Twilio
from crypto.secret import Secret

pytestmark = pytest.mark.anyio

SID = "AC" + "0123456789abcdef" * 2
TOKEN = "canary7f3e91d2c4b8a6501f2e3d4c5b"
BASIC = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
ACCOUNT = Account(SID, Secret(TOKEN))
NUMBER_SID = "PN" + "a" * 32
RECORDING_SID = "RE" + "B" * 32
HOME = f"/2010-04-01/Accounts/{SID}"
E164 = "+15550001111"
URLS = {
    "voice_url": "https://calls.example.com/webhooks/twilio/voice",
    "fallback_url": "https://fallback.example.com/fallback/voice?t=a+b%2F&c#ct=2000",
    "status_url": "https://calls.example.com/webhooks/twilio/status",
}
NUMBER = {
    "sid": NUMBER_SID,
    "phone_number": E164,
    "voice_url": URLS["voice_url"],
    "voice_fallback_url": URLS["fallback_url"],
    "status_callback": URLS["status_url"],
    "trunk_sid": None,
    "voice_application_sid": "",
}


def as_carrier(twilio: Twilio) -> Carrier:
    """Mypy holds Twilio to the protocol here."""
    return twilio


async def read_recording(
    twilio: Twilio, sid: str = RECORDING_SID, byte_range: str | None = None, limit: float = 5
) -> list[RecordingPart]:
    return [part async for part in as_carrier(twilio).stream_recording(ACCOUNT, sid, byte_range, limit)]


REQUESTS = {
    "check_account": lambda twilio, limit=5: twilio.check_account(ACCOUNT, limit),
    "find_number": lambda twilio, limit=5: twilio.find_number(ACCOUNT, E164, limit),
    "configure_number": lambda twilio, limit=5: twilio.configure_number(ACCOUNT, NUMBER_SID, **URLS, limit=limit),
    "stream_recording": lambda twilio, limit=5: read_recording(twilio, limit=limit),
    "delete_recording": lambda twilio, limit=5: twilio.delete_recording(ACCOUNT, RECORDING_SID, limit),
}
every_request = pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS.keys())


class TestAccounts:
    async def test_an_active_account_is_valid(self, twilio, scripted):
        scripted.answers(200, {"sid": SID, "status": "active", "type": "Trial"})

        assert await twilio.check_account(ACCOUNT, 5) == KeyCheck("valid")
        [asked] = scripted.asked
        assert (asked.method, asked.target) == ("GET", f"{HOME}.json")
        assert asked.authorization == f"Basic {BASIC}"

    @pytest.mark.parametrize("status", ["suspended", "closed"])
    async def test_an_account_that_takes_no_calls_is_refused_with_the_reason(self, twilio, scripted, status):
        scripted.answers(200, {"sid": SID, "status": status})

        with pytest.raises(ProviderError) as caught:
            await twilio.check_account(ACCOUNT, 5)
        assert caught.value.kind == ErrorKind.KEY_REJECTED
        assert caught.value.said == f"the Twilio account is {status}"

    @pytest.mark.parametrize("answer", [{}, {"status": 1}, {"status": ["active"]}, {"status": "asleep"}, [], "active"])
    async def test_an_account_without_a_status_is_no_answer(self, twilio, scripted, answer):
        scripted.answers(200, answer)

        with pytest.raises(ProviderError) as caught:
            await twilio.check_account(ACCOUNT, 5)
        assert caught.value.kind == ErrorKind.MALFORMED_REPLY

    @pytest.mark.parametrize(
        "sid", ["", SID[:-1], f"{SID}0", f"{SID}\n", f"PN{'0' * 32}", f"AC{'g' * 32}", f"AC{'../' * 10}00"]
    )
    async def test_a_malformed_account_sid_is_refused_before_anything_is_sent(self, twilio, scripted, sid):
        with pytest.raises(ProviderError) as caught:
            await twilio.check_account(Account(sid, Secret(TOKEN)), 5)
        assert caught.value.kind == ErrorKind.BAD_REQUEST
        assert "AC and 32 hexadecimal digits" in caught.value.said
        assert scripted.asked == []


class TestNumbers:
    async def test_a_number_of_the_account_is_found_with_what_it_points_at(self, twilio, scripted):
        scripted.answers(200, {"incoming_phone_numbers": [NUMBER]})

        assert await twilio.find_number(ACCOUNT, E164, 5) == CarrierNumber(NUMBER_SID, E164, **URLS)
        assert scripted.asked[0].target == f"{HOME}/IncomingPhoneNumbers.json?PhoneNumber=%2B15550001111"

    async def test_a_trunk_or_application_that_overrides_our_url_is_seen(self, twilio, scripted):
        overridden = {**NUMBER, "trunk_sid": "TK1", "voice_application_sid": "AP1", "voice_url": None}
        scripted.answers(200, {"incoming_phone_numbers": [overridden]})

        number = await twilio.find_number(ACCOUNT, E164, 5)

        assert (number.trunk_sid, number.application_sid, number.voice_url) == ("TK1", "AP1", "")

    @pytest.mark.parametrize("found", [[], [{**NUMBER, "phone_number": f"{E164}2"}], [None, 1]])
    async def test_a_number_that_only_looks_alike_is_not_found(self, twilio, scripted, found):
        scripted.answers(200, {"incoming_phone_numbers": found})

        assert await twilio.find_number(ACCOUNT, E164, 5) is None

    @pytest.mark.parametrize(
        "answer", [{}, {"incoming_phone_numbers": None}, {"incoming_phone_numbers": [{"phone_number": E164}]}]
    )
    async def test_an_answer_without_numbers_is_malformed(self, twilio, scripted, answer):
        scripted.answers(200, answer)

        with pytest.raises(ProviderError) as caught:
            await twilio.find_number(ACCOUNT, E164, 5)
        assert caught.value.kind == ErrorKind.MALFORMED_REPLY

    async def test_a_number_is_pointed_at_us_and_taken_off_trunk_and_application(self, twilio, scripted):
        scripted.answers(200, NUMBER)

        assert await twilio.configure_number(ACCOUNT, NUMBER_SID, **URLS, limit=5) == CarrierNumber(
            NUMBER_SID, E164, **URLS
        )
        [asked] = scripted.asked
        assert (asked.method, asked.target) == ("POST", f"{HOME}/IncomingPhoneNumbers/{NUMBER_SID}.json")
        assert dict(asked.form) == {
            "VoiceUrl": URLS["voice_url"],
            "VoiceMethod": "POST",
            "VoiceFallbackUrl": URLS["fallback_url"],
            "VoiceFallbackMethod": "POST",
            "StatusCallback": URLS["status_url"],
            "StatusCallbackMethod": "POST",
            "TrunkSid": "",
            "VoiceApplicationSid": "",
        }

    async def test_twilios_own_client_sends_the_same(self, twilio, scripted):
        scripted.answers(200, NUMBER)
        await twilio.configure_number(ACCOUNT, NUMBER_SID, **URLS, limit=5)
        await asyncio.to_thread(configure_with_twilios_client, scripted.base_url)

        ours, theirs = scripted.asked
        assert sorted(ours.form) == sorted(theirs.form)
        assert (ours.method, ours.target, ours.authorization) == (theirs.method, theirs.target, theirs.authorization)

    @pytest.mark.parametrize("sid", ["", SID, f"PN{'0' * 31}/", f"{NUMBER_SID}?"])
    async def test_a_malformed_number_sid_is_refused_before_anything_is_sent(self, twilio, scripted, sid):
        with pytest.raises(ProviderError) as caught:
            await twilio.configure_number(ACCOUNT, sid, **URLS, limit=5)
        assert caught.value.kind == ErrorKind.BAD_REQUEST
        assert scripted.asked == []


class TestRecordings:
    async def test_a_recording_comes_with_its_head_first(self, twilio, scripted):
        audio = bytes(range(256)) * 2_000
        scripted.answers(200, audio, Content_Type="audio/mpeg")

        head, *pieces = await read_recording(twilio)

        assert head == RecordingPart(content_type="audio/mpeg", content_length=len(audio))
        assert b"".join(piece.data for piece in pieces) == audio
        assert scripted.asked[0].target == f"{HOME}/Recordings/{RECORDING_SID}.mp3"
        assert scripted.asked[0].range is None

    async def test_a_part_of_a_recording_is_passed_through(self, twilio, scripted):
        scripted.answers(206, b"56789", Content_Type="audio/mpeg", Content_Range="bytes 5-9/100")

        head, *pieces = await read_recording(twilio, byte_range="bytes=5-9")

        assert head == RecordingPart(status=206, content_length=5, content_range="bytes 5-9/100")
        assert b"".join(piece.data for piece in pieces) == b"56789"
        assert scripted.asked[0].range == "bytes=5-9"

    async def test_a_part_behind_the_end_is_answered_and_no_error(self, twilio, scripted):
        scripted.answers(416, b"<xml/>", Content_Type="application/xml", Content_Range="bytes */100")

        assert await read_recording(twilio, byte_range="bytes=200-") == [
            RecordingPart(status=416, content_range="bytes */100")
        ]

    @pytest.mark.parametrize("byte_range", ["", "lines=1-2", "bytes=0-1\r\nX-Evil: 1", "bytes=é"])
    async def test_a_range_that_is_none_is_not_sent(self, twilio, scripted, byte_range):
        scripted.answers(200, b"audio", Content_Type="audio/mpeg")

        assert len(await read_recording(twilio, byte_range=byte_range)) == 2
        assert scripted.asked[0].range is None

    @pytest.mark.parametrize(
        ("status", "content_type"), [(200, "text/html"), (200, "application/json"), (203, "audio/mpeg")]
    )
    async def test_what_is_no_audio_is_never_passed_on(self, twilio, scripted, status, content_type):
        scripted.answers(status, b"<script>", Content_Type=content_type)

        with pytest.raises(ProviderError) as caught:
            await read_recording(twilio)
        assert caught.value.kind == ErrorKind.MALFORMED_REPLY

    async def test_a_recording_that_is_gone_is_an_error_to_listen_to(self, twilio, scripted):
        scripted.answers(404, {"code": 20404, "message": "not found"})

        with pytest.raises(ProviderError) as caught:
            await read_recording(twilio)
        assert (caught.value.kind, caught.value.status) == (ErrorKind.BAD_REQUEST, 404)

    async def test_a_listener_who_leaves_early_closes_the_download(self, twilio, scripted):
        scripted.answers(200, b"0" * 5_000_000, Content_Type="audio/mpeg")
        recording = twilio.stream_recording(ACCOUNT, RECORDING_SID, None, 5)
        assert (await anext(recording)).content_length == 5_000_000

        await recording.aclose()

        assert [part async for part in recording] == []

    @pytest.mark.parametrize("status", [204, 404])
    async def test_deleting_twice_is_fine(self, twilio, scripted, status):
        scripted.answers(status)

        await twilio.delete_recording(ACCOUNT, RECORDING_SID, 5)

        [asked] = scripted.asked
        assert (asked.method, asked.target) == ("DELETE", f"{HOME}/Recordings/{RECORDING_SID}.json")

    @pytest.mark.parametrize("sid", ["", "https://evil.example/x", f"RE{'0' * 31}/", "RE../../Accounts"])
    async def test_a_malformed_recording_sid_is_refused_before_anything_is_sent(self, twilio, scripted, sid):
        for attempt in (read_recording(twilio, sid), twilio.delete_recording(ACCOUNT, sid, 5)):
            with pytest.raises(ProviderError) as caught:
                await attempt
            assert caught.value.kind == ErrorKind.BAD_REQUEST
        assert scripted.asked == []


class TestFailures:
    @every_request
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (302, ErrorKind.MALFORMED_REPLY),
            (400, ErrorKind.BAD_REQUEST),
            (401, ErrorKind.KEY_REJECTED),
            (403, ErrorKind.KEY_REJECTED),
            (429, ErrorKind.RATE_LIMITED),
            (500, ErrorKind.PROVIDER_ERROR),
            (503, ErrorKind.PROVIDER_ERROR),
        ],
    )
    @pytest.mark.parametrize("body", [{"code": 20003, "message": "Authenticate"}, b"<html>Bad gateway</html>"])
    async def test_a_refusal_is_of_its_kind_whatever_the_body(self, twilio, scripted, request_of, status, kind, body):
        scripted.answers(status, body, Location="http://127.0.0.1:1/")

        with pytest.raises(ProviderError) as caught:
            await request_of(twilio)
        assert (caught.value.kind, caught.value.status) == (kind, status)

    @pytest.mark.parametrize("name", ["find_number", "configure_number", "check_account"])
    async def test_what_is_not_there_is_a_bad_request(self, twilio, scripted, name):
        scripted.answers(404, {"code": 20404, "message": "The requested resource was not found"})

        with pytest.raises(ProviderError) as caught:
            await REQUESTS[name](twilio)
        assert caught.value.kind == ErrorKind.BAD_REQUEST
        assert caught.value.said == "The requested resource was not found (Twilio error 20404)"

    @pytest.mark.parametrize("name", ["find_number", "configure_number", "check_account"])
    @pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"null", b'{"status": NaN}'])
    async def test_what_is_no_json_is_malformed(self, twilio, scripted, name, body):
        scripted.answers(200, body)

        with pytest.raises(ProviderError) as caught:
            await REQUESTS[name](twilio)
        assert caught.value.kind == ErrorKind.MALFORMED_REPLY

    async def test_twilio_says_when_to_come_back(self, twilio, scripted):
        scripted.answers(429, {"code": 20429, "message": "Too many requests"}, Retry_After="7")

        with pytest.raises(ProviderError) as caught:
            await twilio.check_account(ACCOUNT, 5)
        assert caught.value.retry_after == 7

    @every_request
    async def test_a_twilio_that_is_not_there_is_unreachable(self, request_of, unused_tcp_port):
        http = Http()
        with pytest.raises(ProviderError) as caught:
            await request_of(Twilio(http, f"http://127.0.0.1:{unused_tcp_port}"))
        await http.aclose()
        assert caught.value.kind == ErrorKind.UNREACHABLE

    @pytest.mark.parametrize("name", REQUESTS)
    async def test_a_twilio_that_never_answers_is_given_up_in_time(self, name):
        http = Http()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            twilio = Twilio(http, f"http://127.0.0.1:{silent.getsockname()[1]}")
            with pytest.raises(ProviderError) as caught:
                await REQUESTS[name](twilio, 0.05)
        await http.aclose()
        assert caught.value.kind == ErrorKind.TIMEOUT

    @every_request
    @pytest.mark.parametrize("status", [400, 401, 429, 500])
    async def test_a_twilio_that_echoes_the_token_does_not_spread_it(
        self, twilio, scripted, request_of, status, caplog
    ):
        caplog.set_level("DEBUG")
        scripted.answers(status, {"code": 1, "message": f"bad: {TOKEN} {BASIC} {TOKEN.encode().hex()}"})

        with pytest.raises(ProviderError) as caught:
            await request_of(twilio)

        error = caught.value
        told = "".join(traceback.format_exception(error)) + f"{error.said}{error!r}{error.args}{caplog.text}"
        for form in (TOKEN, BASIC, BASIC[-20:], TOKEN.encode().hex()):
            assert form not in told


class Redirected(TwilioHttpClient):
    """Twilio's client, talking to loopback."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self.base_url = base_url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        return super().request(method, url.replace("https://api.twilio.com", self.base_url), *args, **kwargs)


def configure_with_twilios_client(base_url: str) -> None:
    client = Redirected(base_url)
    Client(SID, TOKEN, http_client=client).incoming_phone_numbers(NUMBER_SID).update(
        voice_url=URLS["voice_url"],
        voice_method="POST",
        voice_fallback_url=URLS["fallback_url"],
        voice_fallback_method="POST",
        status_callback=URLS["status_url"],
        status_callback_method="POST",
        trunk_sid="",
        voice_application_sid="",
    )
    client.session.close()
