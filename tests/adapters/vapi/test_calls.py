"""Vapi takes calls by bypass; a key is checked with a real request."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from adapters.base import ErrorKind, KeyCheck, StreamHandoff, Target
from adapters.http import Http
from adapters.portable import MOST_LINES, Lines
from adapters.provider import Provider
from adapters.replies import Reply
from tests.adapters.canary import CANARY, assert_clean, shows
from tests.adapters.loopback import Asked, Script, echo_key, reply, serving
from tests.adapters.refusals import CALL, FAULTS, KEY, assert_fails, error_of
from tests.support.adapters import vapi_at

pytestmark = pytest.mark.anyio

TARGET = Target(assistant_id="0a1b-assistant", registration="7b6e-number")
STREAM = '<Response><Connect><Stream url="wss://api.vapi.ai/abc/transport"/></Connect></Response>'


def created(twiml: object = STREAM, **more: Any) -> dict[str, Any]:
    return {"id": "vapi-call-1", "status": "ringing", "phoneCallProviderDetails": {"twiml": twiml}, **more}


def as_provider(http: Http, url: str) -> Provider[Any]:
    return vapi_at(http, url + "/")


async def test_hands_a_call_off_as_a_bypass_call(http: Http):
    async with serving(reply(201, created())) as server:
        vapi = as_provider(http, server.url)
        handoff = await vapi.calls.hand_off(vapi.open(KEY, 5), CALL, TARGET)
    assert handoff == StreamHandoff((("url", "wss://api.vapi.ai/abc/transport"),), (), "vapi-call-1")
    assert (server.last.method, server.last.target) == ("POST", "/call")
    assert server.last.headers["authorization"] == f"Bearer {CANARY}"
    assert server.last.json == {
        "phoneNumberId": "7b6e-number",
        "phoneCallProviderBypassEnabled": True,
        "customer": {"number": "+15550001111"},
        "assistantId": "0a1b-assistant",
        "assistantOverrides": {
            "variableValues": {"client_name": "Ångström & Söhne <Dental>", "caller_number": "+15550001111"},
            "metadata": {"router_call_id": "call_123", "twilio_call_sid": CALL.call_sid},
        },
    }


@pytest.mark.parametrize(
    ("caller", "withheld", "number", "variable"),
    [
        (None, True, "withheld", "withheld"),
        (None, False, "unknown", ""),
        ("+5215512345678", False, "+5215512345678", "+5215512345678"),
    ],
)
async def test_a_caller_without_a_number_that_vapi_knows_is_let_through(http: Http, caller, withheld, number, variable):
    async with serving(reply(201, created())) as server:
        vapi = as_provider(http, server.url)
        await vapi.calls.hand_off(vapi.open(KEY, 5), replace(CALL, caller=caller, withheld=withheld), TARGET)
    assert server.last.json["customer"] == {"number": number, "numberE164CheckEnabled": False}
    assert server.last.json["assistantOverrides"]["variableValues"]["caller_number"] == variable


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_failure_has_its_kind(http: Http, caplog: pytest.LogCaptureFixture, fault: str):
    caplog.set_level(logging.DEBUG)
    async with serving(FAULTS[fault][0]) as server:
        await assert_fails(as_provider(http, server.url), TARGET, server, fault)
    assert not shows(caplog.text)


@pytest.mark.parametrize("status", [400, 402, 403, 422])
@pytest.mark.parametrize(
    "words",
    [
        "Wallet Balance is -0.01. Purchase more credits.",
        ["insufficient credits"],
        "Your subscription is FROZEN",
        "billing problem",
    ],
)
async def test_an_empty_wallet_is_known_by_its_words(http: Http, status: int, words: object):
    async with serving(reply(status, {"message": words, "statusCode": status})) as server:
        vapi = as_provider(http, server.url)
        error = await error_of(vapi.calls.hand_off(vapi.open(KEY, 5), CALL, TARGET))
    assert error.kind is ErrorKind.OUT_OF_CREDIT


async def test_a_wrong_key_is_wrong_whatever_the_words(http: Http):
    async with serving(reply(401, {"message": "no such credit or wallet"})) as server:
        vapi = as_provider(http, server.url)
        error = await error_of(vapi.calls.hand_off(vapi.open(KEY, 5), CALL, TARGET))
    assert error.kind is ErrorKind.KEY_REJECTED


async def test_a_call_blocked_for_concurrency_is_no_handoff(http: Http):
    blocked = created(subscriptionLimits={"concurrencyBlocked": True, "concurrencyLimit": 10})
    async with serving(reply(201, blocked)) as server:
        vapi = as_provider(http, server.url)
        error = await error_of(vapi.calls.hand_off(vapi.open(KEY, 5), CALL, TARGET))
    assert (error.kind, error.status) == (ErrorKind.AT_CAPACITY, 201)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("call.start.error-subscription-insufficient-credits", ErrorKind.OUT_OF_CREDIT),
        ("call.start.error-subscription-concurrency-limit-reached", ErrorKind.AT_CAPACITY),
        ("call.start.error-subscription-upgrade-failed", ErrorKind.OUT_OF_CREDIT),
        ("call.start.error-vapifault-get-subscription", ErrorKind.PROVIDER_ERROR),
        ("call.start.error-get-assistant", ErrorKind.BAD_REQUEST),
        ("customer-ended-call", ErrorKind.MALFORMED_REPLY),
    ],
)
async def test_a_call_that_ended_as_it_was_made_says_why(http: Http, reason: str, kind: ErrorKind):
    async with serving(reply(201, {"id": "x", "status": "ended", "endedReason": reason})) as server:
        vapi = as_provider(http, server.url)
        error = await error_of(vapi.calls.hand_off(vapi.open(KEY, 5), CALL, TARGET))
    assert (error.kind, error.said) == (kind, reason)


def controlled_at(address: object) -> Script:
    """Vapi with a live call that is controlled at `address`; "{url}" in it is the API's own."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        here = f"http://{asked.headers['host']}"
        shown = address.replace("{url}", here) if isinstance(address, str) else address
        call = {"id": "vapi-call-1", "status": "in-progress", "monitor": {"controlUrl": shown}}
        await reply(200, call if asked.method == "GET" else b"")(asked, writer)

    return script


async def test_ends_a_call_at_its_own_address_without_the_key(http: Http):
    async with serving(controlled_at("{url}/vapi-call-1/control")) as server:
        vapi = as_provider(http, server.url)
        await vapi.end_call(vapi.open(KEY, 5), "vapi-call-1")
    look, end = server.asked
    assert (look.method, look.target, look.headers["authorization"]) == ("GET", "/call/vapi-call-1", f"Bearer {CANARY}")
    assert (end.method, end.target, end.json) == ("POST", "/vapi-call-1/control", {"type": "end-call"})
    assert not any(shows(f"{name}: {value}") for name, value in end.headers.items())


@pytest.mark.parametrize(
    "address",
    [
        None,
        7,
        "",
        "/control",
        "https://evil.example/control",
        "https://vapi.ai.evil.example/control",
        "https://evilvapi.ai/control",
        "http://phone.vapi.ai/control",
        "https://phone.vapi.ai:444/control",
        "https://vapi.ai@evil.example/control",
        "https://evil.example#.vapi.ai/control",
        "https://evil.example\\.vapi.ai/control",
        "https://phone.vapi.ai/control\r\nhost: evil.example",
        "{url}.evil.example/control",
        "{url}@evil.example/control",
        "wss://phone.vapi.ai/control",
    ],
)
async def test_a_call_is_not_ended_at_an_address_that_is_not_vapis(http: Http, address: object):
    async with serving(controlled_at(address)) as server:
        vapi = as_provider(http, server.url)
        error = await error_of(vapi.end_call(vapi.open(KEY, 5), "vapi-call-1"))
    assert error.kind is ErrorKind.BAD_REQUEST
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "address",
    [
        "https://phone-call-websocket.aws-us-west-2-backend-production2.vapi.ai/7420f27a-30fd-4f49/control",
        "https://phone.eu.vapi.ai/7420f27a/control?region=eu",
    ],
)
async def test_vapis_hosts_are_known(address: str):
    asked: list[str] = []

    class Listening(Http):
        async def send(self, system: str, method: str, url: str, **_: Any) -> Reply:
            asked.append(f"{system} {method} {url}")
            return Reply(200, {}, json.dumps({"id": "vapi-call-1", "monitor": {"controlUrl": address}}).encode())

    vapi = as_provider(Listening(), "https://api.vapi.ai")
    await vapi.end_call(vapi.open(KEY, 5), "vapi-call-1")
    assert asked == ["vapi GET https://api.vapi.ai/call/vapi-call-1", f"vapi POST {address}"]


async def test_a_call_that_cannot_be_ended_says_so(http: Http):
    async with serving(reply(404, {"message": "no such call"})) as server:
        vapi = as_provider(http, server.url)
        error = await error_of(vapi.end_call(vapi.open(KEY, 5), "vapi-call-1"))
        odd = await error_of(vapi.end_call(vapi.open(KEY, 5), "../assistant/x"))
    assert (error.kind, error.said, odd.kind) == (ErrorKind.BAD_REQUEST, "no such call", ErrorKind.BAD_REQUEST)
    assert len(server.asked) == 1


async def test_an_id_that_is_none_does_not_cost_the_caller_the_assistant(http: Http):
    async with serving(reply(201, {**created(), "id": {"odd": 1}})) as server:
        vapi = as_provider(http, server.url)
        handoff = await vapi.calls.hand_off(vapi.open(KEY, 5), CALL, TARGET)
    assert handoff.provider_call_id is None


@pytest.mark.parametrize(
    ("limits", "lines"),
    [
        ({"concurrencyBlocked": False, "concurrencyLimit": 10, "remainingConcurrentCalls": 7}, Lines(10, 3)),
        ({"concurrencyLimit": 10, "remainingConcurrentCalls": 12}, Lines(10, 0)),
        ({"concurrencyLimit": 10}, Lines(10)),
        ({"concurrencyLimit": 10, "remainingConcurrentCalls": "7"}, Lines(10)),
        ({"concurrencyLimit": 10, "remainingConcurrentCalls": -3}, Lines(10)),
        ({"concurrencyLimit": True, "remainingConcurrentCalls": 7}, None),
        ({"concurrencyLimit": 10**30}, Lines(MOST_LINES)),
        ({"concurrencyLimit": 10, "remainingConcurrentCalls": 10**30}, Lines(10, 0)),
        ({"remainingConcurrentCalls": 7}, None),
        ([10, 7], None),
    ],
)
async def test_a_handoff_tells_how_many_lines_are_taken(http: Http, limits: object, lines: Lines | None):
    async with serving(reply(201, created(subscriptionLimits=limits))) as server:
        vapi = as_provider(http, server.url)
        handoff = await vapi.calls.hand_off(vapi.open(KEY, 5), CALL, TARGET)
    assert handoff.lines == lines


@pytest.mark.parametrize("twiml", [None, "", "<Response/>", "<!DOCTYPE r>" + STREAM])
async def test_no_handoff_is_a_malformed_reply(http: Http, twiml: object):
    async with serving(reply(201, created(twiml))) as server:
        vapi = as_provider(http, server.url)
        error = await error_of(vapi.calls.hand_off(vapi.open(KEY, 5), CALL, TARGET))
    assert (error.kind, error.status) == (ErrorKind.MALFORMED_REPLY, 201)


async def test_a_key_within_a_document_is_not_passed_on_in_the_error(http: Http):
    async with serving(echo_key(201, lambda key: {"endedReason": f"billing of {key}"})) as server:
        vapi = as_provider(http, server.url)
        error = await error_of(vapi.calls.hand_off(vapi.open(KEY, 5), CALL, TARGET))
    assert error.said == "billing of Bearer [key]"


@pytest.mark.parametrize(
    ("target", "missing"),
    [
        (TARGET, None),
        (Target(), "assistant"),
        (Target(registration="7b6e-number"), "assistant"),
        (Target(assistant_id="0a1b"), "registration"),
    ],
)
def test_what_a_client_still_lacks(target: Target, missing: str | None):
    assert as_provider(Http(), "").calls.missing(target) == missing


@pytest.mark.parametrize("answer", [[], [{"id": "a"}]])
async def test_a_key_is_proven_by_listing_assistants(http: Http, answer: list[object]):
    async with serving(reply(200, answer)) as server:
        vapi = as_provider(http, server.url)
        assert await vapi.calls.check_key(vapi.open(KEY, 5)) == KeyCheck("valid")
    assert (server.last.method, server.last.target) == ("GET", "/assistant?limit=1")


async def test_a_key_without_credit_is_still_a_key(http: Http):
    async with serving(reply(402, {"message": "wallet"})) as server:
        vapi = as_provider(http, server.url)
        assert await vapi.calls.check_key(vapi.open(KEY, 5)) == KeyCheck("out_of_credit")


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (reply(401, {"message": "Invalid Key."}), ErrorKind.KEY_REJECTED),
        (reply(200, {"items": []}), ErrorKind.MALFORMED_REPLY),
        (reply(200, b"<html>"), ErrorKind.MALFORMED_REPLY),
        (reply(502), ErrorKind.PROVIDER_ERROR),
    ],
)
async def test_a_key_that_is_not_proven(http: Http, script: Script, kind: ErrorKind):
    async with serving(script) as server:
        vapi = as_provider(http, server.url)
        error = await error_of(vapi.calls.check_key(vapi.open(KEY, 5)))
    assert error.kind is kind
    assert_clean(error)
