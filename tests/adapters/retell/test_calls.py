"""Retell takes calls that were registered first."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from adapters.base import ErrorKind, KeyCheck, SipHandoff, Target
from adapters.http import Http
from adapters.portable import MOST_LINES, Lines
from adapters.provider import Provider
from tests.adapters.canary import CANARY, assert_clean, shows
from tests.adapters.loopback import Script, reply, serving
from tests.adapters.refusals import CALL, FAULTS, KEY, assert_fails, error_of
from tests.support.adapters import retell_at

pytestmark = pytest.mark.anyio

TARGET = Target(assistant_id="agent_1")
SIP = "sip.retellai.com;transport=tcp"


def as_provider(http: Http, url: str, sip: str = SIP) -> Provider[Any]:
    return retell_at(http, url, sip)


async def test_registers_a_call_and_dials_its_id(http: Http):
    async with serving(reply(201, {"call_id": "call_a-1", "call_status": "registered"})) as server:
        retell = as_provider(http, server.url)
        handoff = await retell.calls.hand_off(retell.open(KEY, 5), CALL, TARGET)
    assert handoff == SipHandoff("sip:call_a-1@sip.retellai.com;transport=tcp", provider_call_id="call_a-1")
    assert (server.last.method, server.last.target) == ("POST", "/v2/register-phone-call")
    assert server.last.headers["authorization"] == f"Bearer {CANARY}"
    assert server.last.json == {
        "agent_id": "agent_1",
        "agent_version": "latest_published",
        "direction": "inbound",
        "from_number": "+15550001111",
        "to_number": "+15559990000",
        "metadata": {"router_call_id": "call_123", "twilio_call_sid": CALL.call_sid},
        "retell_llm_dynamic_variables": {"client_name": "Ångström & Söhne <Dental>", "caller_number": "+15550001111"},
    }


async def test_a_caller_without_a_number_is_let_through(http: Http):
    async with serving(reply(201, {"call_id": "a"})) as server:
        retell = as_provider(http, server.url)
        await retell.calls.hand_off(retell.open(KEY, 5), replace(CALL, caller=None), TARGET)
    assert "from_number" not in server.last.json
    assert server.last.json["retell_llm_dynamic_variables"]["caller_number"] == ""


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_failure_has_its_kind(http: Http, caplog: pytest.LogCaptureFixture, fault: str):
    caplog.set_level(logging.DEBUG)
    async with serving(FAULTS[fault][0]) as server:
        await assert_fails(as_provider(http, server.url), TARGET, server, fault)
    assert not shows(caplog.text)


@pytest.mark.parametrize(
    "call_id",
    ["", None, 7, "a b", "a@evil.example", "a?x=1", "a;transport=udp", "a\r\nb", "é", "../x", "a" * 129, {"a": 1}],
)
async def test_an_id_that_would_change_the_address_is_refused(http: Http, call_id: object):
    async with serving(reply(201, {"call_id": call_id})) as server:
        retell = as_provider(http, server.url)
        error = await error_of(retell.calls.hand_off(retell.open(KEY, 5), CALL, TARGET))
    assert (error.kind, error.status) == (ErrorKind.MALFORMED_REPLY, 201)


@pytest.mark.parametrize(
    ("target", "missing"),
    [(TARGET, None), (Target(), "assistant"), (Target(assistant_id="", registration="+1555"), "assistant")],
)
def test_what_a_client_still_lacks(target: Target, missing: str | None):
    assert as_provider(Http(), "").calls.missing(target) == missing


async def test_a_key_is_proven_by_asking_whose_it_is(http: Http):
    async with serving(reply(200, {"org_id": "org_1", "org_name": "Agency"})) as server:
        retell = as_provider(http, server.url)
        assert await retell.calls.check_key(retell.open(KEY, 5)) == KeyCheck("valid")
    assert (server.last.method, server.last.target) == ("GET", "/get-api-key-info")


async def test_a_key_whose_trial_is_over_is_still_a_key(http: Http):
    async with serving(reply(402, {"status": "error", "message": "add a payment method"})) as server:
        retell = as_provider(http, server.url)
        assert await retell.calls.check_key(retell.open(KEY, 5)) == KeyCheck("out_of_credit")


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (reply(401, {"status": "error", "message": "API key is missing or invalid."}), ErrorKind.KEY_REJECTED),
        (reply(403, {"status": "error", "message": "scope"}), ErrorKind.KEY_REJECTED),
        (reply(200, {}), ErrorKind.MALFORMED_REPLY),
        (reply(200, []), ErrorKind.MALFORMED_REPLY),
        (reply(200, b"<html>"), ErrorKind.MALFORMED_REPLY),
        (reply(500), ErrorKind.PROVIDER_ERROR),
    ],
)
async def test_a_key_that_is_not_proven(http: Http, script: Script, kind: ErrorKind):
    async with serving(script) as server:
        retell = as_provider(http, server.url)
        error = await error_of(retell.calls.check_key(retell.open(KEY, 5)))
    assert error.kind is kind
    assert_clean(error)


async def test_ends_a_call_by_its_id(http: Http):
    async with serving(reply(204)) as server:
        retell = as_provider(http, server.url)
        await retell.end_call(retell.open(KEY, 5), "call_a-1")
    assert (server.last.method, server.last.target) == ("POST", "/v2/stop-call/call_a-1")


async def test_a_call_that_cannot_be_ended_says_so(http: Http):
    async with serving(reply(422, {"status": "error", "message": "not ongoing"})) as server:
        retell = as_provider(http, server.url)
        error = await error_of(retell.end_call(retell.open(KEY, 5), "call_a-1"))
        odd = await error_of(retell.end_call(retell.open(KEY, 5), "../../delete-agent/x"))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, "not ongoing")
    assert odd.kind is ErrorKind.BAD_REQUEST
    assert len(server.asked) == 1


CONCURRENCY = {"current_concurrency": 3, "concurrency_limit": 20, "base_concurrency": 20, "concurrency_burst_limit": 60}


async def test_counts_the_lines_that_cost_nothing_extra(http: Http):
    async with serving(reply(200, CONCURRENCY)) as server:
        retell = retell_at(http, server.url, SIP)
        assert await retell.count_lines(retell.open(KEY, 5)) == Lines(20, 3)
    assert (server.last.method, server.last.target) == ("GET", "/get-concurrency")


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ({"concurrency_limit": 20}, Lines(20)),
        ({"concurrency_limit": 0, "current_concurrency": -1}, Lines(0, 0)),
        ({"concurrency_limit": 1e300, "current_concurrency": "9" * 300}, Lines(MOST_LINES, MOST_LINES)),
        ({"concurrency_limit": 2**31, "current_concurrency": -(2**63)}, Lines(MOST_LINES, 0)),
    ],
)
async def test_lines_are_read_with_care(http: Http, answer: object, lines: Lines):
    async with serving(reply(200, answer)) as server:
        retell = retell_at(http, server.url, SIP)
        assert await retell.count_lines(retell.open(KEY, 5)) == lines


@pytest.mark.parametrize("answer", [{}, [], {"concurrency_limit": "many"}, {"concurrency_limit": -1}, b"<html>"])
async def test_an_answer_without_lines_makes_no_sense(http: Http, answer: object):
    async with serving(reply(200, answer)) as server:
        retell = retell_at(http, server.url, SIP)
        error = await error_of(retell.count_lines(retell.open(KEY, 5)))
    assert error.kind is ErrorKind.MALFORMED_REPLY
