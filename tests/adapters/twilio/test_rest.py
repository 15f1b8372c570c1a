"""What becomes of every request to Twilio when something is wrong, and how lists are read."""

from __future__ import annotations

import socket
import traceback
from urllib.parse import quote

import pytest

from adapters.base import ErrorKind, ProviderError
from adapters.carrier import Account
from adapters.http import Http
from adapters.twilio import Twilio
from crypto.secret import Secret
from tests.adapters.twilio.examples import (
    ACCOUNT,
    BASIC,
    CHILD,
    HOME,
    LISTS,
    RECORDING,
    RECORDING_SID,
    REQUESTS,
    SID,
    TOKEN,
    as_carrier,
    every,
)

pytestmark = pytest.mark.anyio

every_request = pytest.mark.parametrize("name", REQUESTS)
KINDS = {
    302: ErrorKind.MALFORMED_REPLY,
    400: ErrorKind.BAD_REQUEST,
    401: ErrorKind.KEY_REJECTED,
    402: ErrorKind.OUT_OF_CREDIT,
    403: ErrorKind.KEY_REJECTED,
    429: ErrorKind.RATE_LIMITED,
    500: ErrorKind.PROVIDER_ERROR,
    503: ErrorKind.PROVIDER_ERROR,
}
FINE_IF_GONE = {"delete_api_key", "release_number", "delete_recording", "end_call"}
NONE_IF_GONE = {"find_number_by_sid", "find_call"}
NO_JSON_AWAITED = {"delete_api_key", "release_number", "delete_recording", "stream_recording"}


async def failure_of(twilio: Twilio, name: str, limit: float = 5) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await REQUESTS[name](twilio, limit)
    return caught.value


class TestRefusals:
    @every_request
    @pytest.mark.parametrize("body", [{"code": 20003, "message": "Authenticate"}, b"<html>Bad gateway</html>"])
    async def test_a_refusal_has_its_kind_with_any_body(self, twilio, scripted, name, body):
        for status, kind in KINDS.items():
            scripted.answers(status, body, Location="http://127.0.0.1:1/")
            error = await failure_of(twilio, name)
            assert (error.kind, error.status) == (kind, status)
        assert len(scripted.asked) == len(KINDS)  # each was tried once

    @every_request
    async def test_the_account_asks_with_its_own_token(self, twilio, scripted, name):
        scripted.answers(403, {"code": 20403, "message": "Forbidden"})

        await failure_of(twilio, name)

        assert scripted.asked[0].authorization == f"Basic {BASIC}"

    @every_request
    async def test_what_is_not_there(self, twilio, scripted, name):
        scripted.answers(404, {"code": 20404, "message": "The requested resource was not found"})
        if name in FINE_IF_GONE | NONE_IF_GONE:
            assert await REQUESTS[name](twilio, 5) is None
        elif name == "search_numbers":
            assert await REQUESTS[name](twilio, 5) == []
        else:
            error = await failure_of(twilio, name)
            assert error.kind == ErrorKind.BAD_REQUEST
            if name != "stream_recording":
                assert error.said == "The requested resource was not found (Twilio error 20404)"

    @pytest.mark.parametrize("name", [name for name in REQUESTS if name not in NO_JSON_AWAITED])
    async def test_a_reply_that_is_not_json_is_malformed(self, twilio, scripted, name):
        for body in (b"", b"<html>", b"\xff", b"null", b'{"status": NaN}'):
            scripted.answers(200, body)
            assert (await failure_of(twilio, name)).kind == ErrorKind.MALFORMED_REPLY

    async def test_twilio_says_when_to_come_back(self, twilio, scripted):
        scripted.answers(429, {"code": 20429, "message": "Too many requests"}, Retry_After="7")

        assert (await failure_of(twilio, "check_account")).retry_after == 7

    async def test_an_invalid_code_is_left_out(self, twilio, scripted):
        for code in (True, "21422", [21422], None):
            scripted.answers(400, {"code": code, "message": "No."})
            assert (await failure_of(twilio, "buy_number")).said == "No."

    @every_request
    async def test_a_twilio_that_is_not_there_is_unreachable(self, name, unused_tcp_port):
        http = Http()
        error = await failure_of(Twilio(http, f"http://127.0.0.1:{unused_tcp_port}"), name)
        await http.aclose()
        assert error.kind == ErrorKind.UNREACHABLE

    @every_request
    async def test_a_twilio_that_never_answers_is_given_up_in_time(self, name):
        http = Http()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            error = await failure_of(Twilio(http, f"http://127.0.0.1:{silent.getsockname()[1]}"), name, 0.05)
        await http.aclose()
        assert error.kind == ErrorKind.TIMEOUT

    @every_request
    async def test_a_twilio_that_echoes_the_token_does_not_spread_it(self, twilio, scripted, name, caplog):
        caplog.set_level("DEBUG")
        for status in (400, 401, 429, 500):
            scripted.answers(status, {"code": 21422, "message": f"bad: {TOKEN} {BASIC} {TOKEN.encode().hex()}"})
            error = await failure_of(twilio, name)
            told = "".join(traceback.format_exception(error)) + f"{error.said}{error!r}{error.args}{caplog.text}"
            for form in (TOKEN, BASIC, BASIC[-20:], TOKEN.encode().hex()):
                assert form not in told

    @pytest.mark.parametrize(
        "sid", ["", SID[:-1], f"{SID}0", f"{SID}\n", f"PN{'0' * 32}", f"AC{'g' * 32}", f"AC{'../' * 10}00"]
    )
    async def test_a_malformed_account_sid_is_refused_before_anything_is_sent(self, twilio, scripted, sid):
        with pytest.raises(ProviderError) as caught:
            await twilio.check_account(Account(sid, Secret(TOKEN)), 5)
        assert caught.value.kind == ErrorKind.BAD_REQUEST
        assert "AC and 32 hexadecimal digits" in caught.value.said
        assert scripted.asked == []


BAD_SIDS = ["", SID, "https://evil.example/x", f"PN{'0' * 31}/", f"{'PN' + 'a' * 32}?", "RE../../Accounts"]


@pytest.mark.parametrize("sid", BAD_SIDS)
async def test_a_malformed_sid_is_refused_before_anything_is_sent(twilio, scripted, sid):
    carrier = as_carrier(twilio)
    attempts = [
        carrier.close_subaccount(ACCOUNT, sid.removeprefix("AC"), 5),
        carrier.delete_api_key(ACCOUNT, sid, 5),
        carrier.find_number_by_sid(ACCOUNT, sid, 5),
        carrier.configure_number(ACCOUNT, sid, voice_url="", fallback_url="", status_url="", limit=5),
        carrier.release_number(ACCOUNT, sid, 5),
        carrier.limit_call(ACCOUNT, sid, 5, 5),
        carrier.redirect_call(ACCOUNT, sid, "https://x.example/", limit=5),
        carrier.end_call(ACCOUNT, sid, 5),
        carrier.find_call(ACCOUNT, sid, 5),
        every(carrier.list_recordings(ACCOUNT, sid, None, 5)),
        every(carrier.stream_recording(ACCOUNT, sid, None, 5)),
        carrier.delete_recording(ACCOUNT, sid, 5),
    ]
    for attempt in attempts:
        with pytest.raises(ProviderError) as caught:
            await attempt
        assert caught.value.kind == ErrorKind.BAD_REQUEST
    assert scripted.asked == []


class TestLists:
    def page(self, *records: object, following: object = None) -> dict[str, object]:
        return {"recordings": list(records), "next_page_uri": following}

    async def test_a_list_is_read_to_its_end(self, twilio, scripted):
        second = RECORDING | {"sid": "RE" + "2" * 32}
        following = f"{HOME}/Recordings.json?PageSize=50&Page=1&PageToken=PAabc"
        scripted.answers_in_turn(self.page(RECORDING, following=following), self.page(second))

        found = await every(twilio.list_recordings(ACCOUNT, None, None, 5))

        assert [recording.sid for recording in found] == [RECORDING_SID, second["sid"]]
        first, next_one = scripted.asked
        assert first.query == {"PageSize": "250"}
        assert next_one.query == {"PageSize": "250", "Page": "1", "PageToken": "PAabc"}
        assert first.path == next_one.path == f"{HOME}/Recordings.json"

    async def test_a_page_that_is_not_read_is_not_requested(self, twilio, scripted):
        scripted.answers(200, self.page(RECORDING, following="/x?Page=1"))

        recordings = twilio.list_recordings(ACCOUNT, None, None, 5)
        await anext(recordings)
        await recordings.aclose()

        assert len(scripted.asked) == 1

    @pytest.mark.parametrize(
        "following",
        [
            "https://evil.example/2010-04-01/Accounts.json?Page=1",
            "//evil.example/?Page=1",
            "/2010-04-01/Accounts/../../evil?Page=1&AuthToken=1",
        ],
    )
    async def test_the_token_goes_nowhere_that_a_page_points_to(self, twilio, scripted, following):
        scripted.answers_in_turn(self.page(RECORDING, following=following), self.page())

        assert len(await every(twilio.list_recordings(ACCOUNT, None, None, 5))) == 1
        assert scripted.asked[1].target == f"{HOME}/Recordings.json?PageSize=250&Page=1"

    @pytest.mark.parametrize(
        "following", ["/x", "?", "/x?Page=", f"/x?Page={'9' * 300}", f"/x?Page={quote('é')}", "http://[/?Page=1"]
    )
    async def test_an_invalid_next_page_is_malformed(self, twilio, scripted, following):
        scripted.answers(200, self.page(following=following))

        assert (await failure_of(twilio, "list_recordings")).kind == ErrorKind.MALFORMED_REPLY

    async def test_a_list_that_leads_in_circles_is_left(self, twilio, scripted):
        scripted.answers(200, self.page(RECORDING, following="/x?Page=1&PageToken=PA1"))

        assert (await failure_of(twilio, "list_recordings")).kind == ErrorKind.MALFORMED_REPLY
        assert len(scripted.asked) == 2

    @pytest.mark.parametrize(("name", "key"), LISTS.items())
    async def test_a_list_without_its_records_is_malformed(self, twilio, scripted, name, key):
        for body in ({}, [], {key: None}, {key: {"sid": CHILD}}, {key: "none"}):
            scripted.answers(200, body)
            assert (await failure_of(twilio, name)).kind == ErrorKind.MALFORMED_REPLY

    @pytest.mark.parametrize(("name", "key"), [(n, k) for n, k in LISTS.items() if n.startswith("list_")])
    async def test_a_record_without_a_sid_is_malformed(self, twilio, scripted, name, key):
        for record in (None, 1, {}, {"sid": 7}, {"sid": "PN../"}, {"sid": "RE" + "0" * 31}):
            scripted.answers(200, {key: [record]})
            assert (await failure_of(twilio, name)).kind == ErrorKind.MALFORMED_REPLY
