"""ElevenLabs takes registered calls with its own TwiML; a key is checked with a real request."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from adapters.base import ErrorKind, KeyCheck, StreamHandoff, Target
from adapters.http import Http
from adapters.provider import Provider
from adapters.sandbox.elevenlabs.org import ElevenLabsOrg
from adapters.sandbox.server import RunningSandbox
from tests.adapters.canary import CANARY, shows
from tests.adapters.loopback import echo_key, reply, serving
from tests.adapters.refusals import CALL, FAULTS, KEY, assert_fails, error_of
from tests.support.adapters import elevenlabs_at

pytestmark = pytest.mark.anyio

TARGET = Target(assistant_id="agent_1")
URL = "wss://api.us.elevenlabs.io/v1/convai/conversation"
STREAM = (
    f'<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="{URL}">'
    '<Parameter name="conversation_id" value="conv_1"/></Stream></Connect></Response>'
)
# How connections break and bodies grow is a matter of the HTTP client, and proven with it.
OWN_FAULTS = (
    "401", "402", "403", "404", "408", "422", "429", "429 for concurrency", "500", "503 with a page", "empty", "no content",
    "a page with 200", "null", "a list", "a text", "an empty object", "endless depth", "echo in 500",
)  # fmt: skip


async def test_a_call_is_registered_and_its_document_read(http: Http):
    async with serving(reply(200, STREAM.encode(), content_type="text/html")) as server:
        elevenlabs = elevenlabs_at(http, server.url + "/")
        handoff = await elevenlabs.calls.hand_off(elevenlabs.open(KEY, 5), CALL, TARGET)
    assert handoff == StreamHandoff((("url", URL),), ((("name", "conversation_id"), ("value", "conv_1")),), "conv_1")
    assert (server.last.method, server.last.target) == ("POST", "/v1/convai/twilio/register-call")
    assert (server.last.headers["xi-api-key"], "authorization" in server.last.headers) == (CANARY, False)
    assert server.last.json == {
        "agent_id": "agent_1",
        "from_number": "+15550001111",
        "to_number": "+15559990000",
        "direction": "inbound",
        "conversation_initiation_client_data": {
            "dynamic_variables": {
                "client_name": "Ångström & Söhne <Dental>",
                "caller_number": "+15550001111",
                "router_call_id": "call_123",
                "twilio_call_sid": CALL.call_sid,
            }
        },
    }


@pytest.mark.parametrize(("withheld", "number"), [(True, "withheld"), (False, "unknown")])
async def test_a_caller_without_a_number_is_let_through(http: Http, withheld: bool, number: str):
    async with serving(reply(200, STREAM.encode())) as server:
        elevenlabs = elevenlabs_at(http, server.url)
        call = replace(CALL, caller=None, withheld=withheld)
        await elevenlabs.calls.hand_off(elevenlabs.open(KEY, 5), call, TARGET)
    assert server.last.json["from_number"] == number


@pytest.mark.parametrize(
    ("body", "call_id"),
    [
        (json.dumps(STREAM).encode(), "conv_1"),
        (STREAM.replace("conv_1", "../x").encode(), None),
        (STREAM.replace("conversation_id", "other").encode(), None),
        (f'<Response><Connect><Stream url="{URL}"/></Connect></Response>'.encode(), None),
    ],
)
async def test_forms_of_the_reply_that_are_not_documented_are_taken(http: Http, body: bytes, call_id: str | None):
    async with serving(reply(200, body)) as server:
        elevenlabs = elevenlabs_at(http, server.url)
        handoff = await elevenlabs.calls.hand_off(elevenlabs.open(KEY, 5), CALL, TARGET)
    assert (handoff.provider_call_id, dict(handoff.attributes)["url"]) == (call_id, URL)


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe<Response/>", b'"<Response', STREAM.encode("utf-16"), b"<!DOCTYPE x>" + STREAM.encode(), b"<Response/>"],
)
async def test_a_document_that_cannot_be_read_is_no_handoff(http: Http, body: bytes):
    async with serving(reply(200, body)) as server:
        elevenlabs = elevenlabs_at(http, server.url)
        error = await error_of(elevenlabs.calls.hand_off(elevenlabs.open(KEY, 5), CALL, TARGET))
    assert error.kind is ErrorKind.MALFORMED_REPLY


@pytest.mark.parametrize("fault", OWN_FAULTS)
async def test_every_failure_has_its_kind(http: Http, caplog: pytest.LogCaptureFixture, fault: str):
    caplog.set_level(logging.DEBUG)
    async with serving(FAULTS[fault][0]) as server:
        await assert_fails(elevenlabs_at(http, server.url), TARGET, server, fault)
    assert not shows(caplog.text)


@pytest.mark.parametrize(
    ("status", "detail", "kind"),
    [
        (401, {"status": "invalid_api_key", "message": "Invalid API key"}, ErrorKind.KEY_REJECTED),
        (401, {"status": "missing_permissions", "message": "… the permission convai_write"}, ErrorKind.KEY_REJECTED),
        (401, {"status": "quota_exceeded", "message": "This request needs more credits."}, ErrorKind.OUT_OF_CREDIT),
        (402, {"type": "payment_required", "code": "payment_issue", "message": "Pay."}, ErrorKind.OUT_OF_CREDIT),
        (429, {"status": "too_many_concurrent_requests", "message": "Too many."}, ErrorKind.AT_CAPACITY),
        (429, {"status": "system_busy", "message": "Try again."}, ErrorKind.PROVIDER_ERROR),
        (404, {"status": "agent_not_found", "message": "No such agent."}, ErrorKind.BAD_REQUEST),
        (422, [{"loc": ["body", "agent_id"], "msg": "Field required", "type": "missing"}], ErrorKind.BAD_REQUEST),
    ],
)
async def test_a_refusal_means_what_its_name_says(http: Http, status: int, detail: Any, kind: ErrorKind):
    async with serving(reply(status, {"detail": detail})) as server:
        elevenlabs = elevenlabs_at(http, server.url)
        error = await error_of(elevenlabs.calls.hand_off(elevenlabs.open(KEY, 5), CALL, TARGET))
    first = detail[0]["msg"] if isinstance(detail, list) else detail["message"]
    assert error.kind is kind
    assert error.said.startswith(first)


async def test_an_echoed_key_is_covered(http: Http):
    async with serving(echo_key(401, lambda key: {"detail": {"status": "x", "message": f"bad key {key}"}})) as server:
        elevenlabs = elevenlabs_at(http, server.url)
        error = await error_of(elevenlabs.calls.hand_off(elevenlabs.open(KEY, 5), CALL, TARGET))
    assert error.said == "bad key [key]; x"


async def test_a_call_needs_an_assistant_and_no_registration(elevenlabs: Provider[Any]):
    assert elevenlabs.calls.missing(Target()) == "assistant"
    assert elevenlabs.calls.missing(Target(assistant_id="agent_1")) is None


async def test_a_key_is_checked_with_a_real_request(
    box: RunningSandbox, elevenlabs: Provider[Any], org: ElevenLabsOrg, client: Any
):
    assert await elevenlabs.calls.check_key(client) == KeyCheck("valid")
    org.balance = 0
    assert await elevenlabs.calls.check_key(client) == KeyCheck("out_of_credit")
    box.state.elevenlabs.orgs.revoke(CANARY)
    assert (await error_of(elevenlabs.calls.check_key(client))).kind is ErrorKind.KEY_REJECTED


SPENT = {"character_count": 100, "character_limit": 100, "max_credit_limit_extension": 0}


@pytest.mark.parametrize(
    ("subscription", "status"),
    [
        (SPENT, "out_of_credit"),
        (SPENT | {"character_count": 99}, "valid"),
        (SPENT | {"max_credit_limit_extension": 50}, "valid"),
        (SPENT | {"max_credit_limit_extension": "unlimited"}, "valid"),
        ({"character_count": 100, "character_limit": 100, "allowed_to_extend_character_limit": True}, "valid"),
        ({"character_count": "many"}, "valid"),
        (None, "valid"),  # a restricted key may not read it
    ],
)
async def test_used_up_credits_count_unless_more_may_be_used(http: Http, subscription: Any, status: str):
    async def script(asked: Any, writer: Any) -> None:
        answer = {"agents": []} if asked.target.startswith("/v1/convai/agents") else subscription
        refused = {"detail": {"status": "missing_permissions", "message": "user_read"}}
        await reply(200 if answer is not None else 401, refused if answer is None else answer)(asked, writer)

    async with serving(script) as server:
        elevenlabs = elevenlabs_at(http, server.url)
        assert await elevenlabs.calls.check_key(elevenlabs.open(KEY, 5)) == KeyCheck(status)
