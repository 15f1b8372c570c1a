"""Bland takes calls by redirect, by a session over SIP or at its number, and tells what a key is good for."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from adapters.base import ErrorKind, KeyCheck, NumberHandoff, OpenedTarget, RedirectHandoff, SipHandoff, Target
from adapters.bland.imports import is_import_address
from adapters.http import Http
from adapters.provider import Provider
from crypto.secret import Secret
from tests.adapters.canary import CANARY, assert_clean, shows
from tests.adapters.loopback import Script, reply, serving
from tests.adapters.refusals import CALL, FAULTS, KEY, assert_fails, error_of
from tests.support.adapters import bland_at

pytestmark = pytest.mark.anyio

NUMBER = "+15557770000"
TARGET = Target(registration=NUMBER)
BY_NUMBER = Target(registration=NUMBER, mode="number")
ADDRESS = f"https://server.aws.dc8.bland.ai/incoming?encrypted_key={CANARY}&user_id=u1&region=dc8"
BY_REDIRECT = OpenedTarget(registration=NUMBER, mode="redirect", sealed_address="sealed", address=Secret(ADDRESS))
SIP = "us2.sip.bland.ai:5061;transport=tls;secure=true"
METADATA = {"router_call_id": "call_123", "twilio_call_sid": "CA1"}
UNAUTHORIZED = {"data": None, "errors": [{"error": "AUTH_FAILURE", "message": "Unauthorized"}]}


def as_provider(http: Http, url: str, sip: str = SIP) -> Provider[Any]:
    return bland_at(http, url, sip)


@pytest.mark.parametrize("mode", [None, "sip"])
async def test_opens_a_session_and_dials_it(http: Http, mode: str | None):
    async with serving(reply(200, {"token": "tok.en-1", "expires_at": "2026-11-23T13:00:00Z"})) as server:
        bland = as_provider(http, server.url)
        handoff = await bland.calls.hand_off(bland.open(KEY, 5), CALL, Target(registration=NUMBER, mode=mode))
    assert handoff == SipHandoff(f"sip:{NUMBER}@{SIP}?x-bland-session-id=tok.en-1")
    assert (server.last.method, server.last.target) == ("POST", "/v1/inbound/session")
    assert server.last.headers["authorization"] == CANARY
    assert server.last.json == {
        "phone_number": NUMBER,
        "request_data": {
            "client_name": "Ångström & Söhne <Dental>",
            "caller_number": "+15550001111",
            "router_call_id": "call_123",
            "twilio_call_sid": CALL.call_sid,
        },
    }


async def test_a_token_is_escaped_for_the_address(http: Http):
    async with serving(reply(200, {"token": "a+b/c=&x-evil=1?;@<>"})) as server:
        bland = as_provider(http, server.url)
        handoff = await bland.calls.hand_off(bland.open(KEY, 5), CALL, TARGET)
    assert handoff == SipHandoff(
        f"sip:{NUMBER}@{SIP}?x-bland-session-id=a%2Bb%2Fc%3D%26x-evil%3D1%3F%3B%40%3C%3E"
    )  # fmt: skip


@pytest.mark.parametrize("token", ["", None, 7, "a b", "a\r\nb", "é", "x" * 901, "=" * 340])
async def test_a_token_that_fits_no_address_is_refused(http: Http, token: object):
    async with serving(reply(200, {"token": token})) as server:
        bland = as_provider(http, server.url)
        error = await error_of(bland.calls.hand_off(bland.open(KEY, 5), CALL, TARGET))
    assert error.kind is ErrorKind.MALFORMED_REPLY


async def test_asks_for_the_number_and_dials_it(http: Http):
    async with serving(reply(200, {"phone_number": NUMBER, "prompt": "…"})) as server:
        bland = as_provider(http, server.url)
        handoff = await bland.calls.hand_off(bland.open(KEY, 5), CALL, BY_NUMBER)
    assert handoff == NumberHandoff(NUMBER)
    assert server.last.method == "GET"
    assert server.last.target.replace("%2B", "+") == f"/v1/inbound/{NUMBER}"
    assert server.last.headers["authorization"] == CANARY


async def test_asks_for_the_number_and_redirects_to_the_address_of_the_import(http: Http):
    async with serving(reply(200, {"phone_number": NUMBER, "prompt": "…"})) as server:
        bland = as_provider(http, server.url)
        handoff = await bland.calls.hand_off(bland.open(KEY, 5), CALL, BY_REDIRECT)
    assert isinstance(handoff, RedirectHandoff)
    assert handoff.url.reveal() == (
        f"{ADDRESS}&client_name=%C3%85ngstr%C3%B6m%20%26%20S%C3%B6hne%20%3CDental%3E&caller_number=%2B15550001111"
        f"&router_call_id=call_123&twilio_call_sid={CALL.call_sid}"
    )
    assert server.last.target.replace("%2B", "+") == f"/v1/inbound/{NUMBER}"
    assert not shows(repr(handoff), repr(BY_REDIRECT))


ADDRESSES = {
    ADDRESS: True,
    "https://us.api.bland.ai/incoming?any=1&encrypted_key=k": True,
    "https://bland.ai/incoming?encrypted_key=k#rt=3000": True,
    "https://bland.ai:8443/incoming?encrypted_key=k": True,
    "https://server.aws.dc8.bland.ai/incoming": False,
    "https://server.aws.dc8.bland.ai/incoming?encrypted_key=": False,
    "http://server.aws.dc8.bland.ai/incoming?encrypted_key=k": False,
    "https://notbland.ai/incoming?encrypted_key=k": False,
    "https://bland.ai.evil.example/incoming?encrypted_key=k": False,
    "https://server.bland.ai@evil.example/incoming?encrypted_key=k": False,
    "https://evil@server.bland.ai/incoming?encrypted_key=k": False,
    "https://evil.example/?encrypted_key=k&x=.bland.ai": False,
    "https://calls.example.com/webhooks/twilio/voice": False,
    "https://[bland.ai/incoming?encrypted_key=k": False,
    "https://bland.ai:port/incoming?encrypted_key=k": False,
    "https://bland.ai/incoming?encrypted_key=k\r\nx": False,
    f"https://bland.ai/incoming?encrypted_key={'k' * 2000}": False,
    "": False,
}


@pytest.mark.parametrize(("address", "fits"), ADDRESSES.items())
async def test_only_an_address_that_blands_import_wrote_gets_calls(http: Http, address: str, fits: bool):
    assert is_import_address(Secret(address)) == fits
    target = OpenedTarget(registration=NUMBER, mode="redirect", sealed_address="sealed", address=Secret(address))
    async with serving(reply(200, {"phone_number": NUMBER})) as server:
        bland = as_provider(http, server.url)
        if fits:
            await bland.calls.hand_off(bland.open(KEY, 5), CALL, target)
        else:
            error = await error_of(bland.calls.hand_off(bland.open(KEY, 5), CALL, target))
            assert (error.kind, len(server.asked)) == (ErrorKind.BAD_REQUEST, 0)


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_failure_has_its_kind(http: Http, caplog: pytest.LogCaptureFixture, fault: str):
    caplog.set_level(logging.DEBUG)
    async with serving(FAULTS[fault][0]) as server:
        await assert_fails(as_provider(http, server.url), TARGET, server, fault)
    assert not shows(caplog.text)


@pytest.mark.parametrize("target", [TARGET, BY_NUMBER, BY_REDIRECT], ids=["sip", "number", "redirect"])
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (reply(401, UNAUTHORIZED), ErrorKind.KEY_REJECTED),
        (reply(402, {"status": "error", "message": "Insufficient balance."}), ErrorKind.OUT_OF_CREDIT),
        (reply(400, {"status": "error", "message": "Insufficient balance."}), ErrorKind.OUT_OF_CREDIT),
        (reply(403, {"status": "error", "message": "No billing record found."}), ErrorKind.OUT_OF_CREDIT),
        (reply(403, {"status": "error", "message": "Account flagged"}), ErrorKind.KEY_REJECTED),
        (reply(429, {"status": "error", "message": "Rate limit exceeded"}), ErrorKind.RATE_LIMITED),
        (reply(404, {"errors": [{"error": "NOT_FOUND", "message": "No such number"}]}), ErrorKind.BAD_REQUEST),
        (reply(200, {"status": "error", "message": "Something"}), ErrorKind.MALFORMED_REPLY),
        (reply(200, UNAUTHORIZED), ErrorKind.MALFORMED_REPLY),
        (reply(200, b"<html>"), ErrorKind.MALFORMED_REPLY),
        (reply(200, []), ErrorKind.MALFORMED_REPLY),
    ],
)
async def test_both_forms_of_an_error_are_understood(http: Http, target: Target, script: Script, kind: ErrorKind):
    async with serving(script) as server:
        bland = as_provider(http, server.url)
        error = await error_of(bland.calls.hand_off(bland.open(KEY, 5), CALL, target))
    assert error.kind is kind
    assert_clean(error)


@pytest.mark.parametrize(
    "registration", [None, "", "15557770000", "+1555", "+1555777x000", "+15557770000/../x", "+0123456789"]
)
@pytest.mark.parametrize("mode", ["sip", "number"])
async def test_a_registration_that_is_no_number_is_asked_for_nowhere(http: Http, registration: str | None, mode: str):
    async with serving(reply(200, {"token": "t"})) as server:
        target = Target(registration=registration, mode=mode)
        bland = as_provider(http, server.url)
        error = await error_of(bland.calls.hand_off(bland.open(KEY, 5), CALL, target))
    assert error.kind is ErrorKind.BAD_REQUEST
    assert not server.asked


@pytest.mark.parametrize(
    ("target", "missing"),
    [
        (TARGET, None),
        (BY_NUMBER, None),
        (Target(), "registration"),
        (Target(assistant_id="a"), "registration"),
        (Target(registration=NUMBER, mode="redirect"), "registration"),
        (Target(registration=NUMBER, mode="redirect", sealed_address="sealed"), None),
    ],
)
def test_what_a_client_still_lacks(target: Target, missing: str | None):
    assert as_provider(Http(), "").calls.missing(target) == missing


@pytest.mark.parametrize(
    ("answer", "check"),
    [
        ({"status": "active", "billing": {"current_balance": 99.1}, "total_calls": 12}, KeyCheck("valid", 99.1)),
        ({"status": "active", "billing": {"current_balance": "2.5"}}, KeyCheck("valid", 2.5)),
        ({"status": "active", "billing": {"current_balance": 0}}, KeyCheck("out_of_credit", 0)),
        ({"status": "active", "billing": {"current_balance": -3}}, KeyCheck("out_of_credit", -3)),
        ({"status": "active"}, KeyCheck("valid")),
        ({"status": "active", "billing": {"current_balance": None}}, KeyCheck("valid")),
    ],
)
async def test_a_key_is_proven_by_the_account(http: Http, answer: object, check: KeyCheck):
    async with serving(reply(200, answer)) as server:
        bland = as_provider(http, server.url)
        assert await bland.calls.check_key(bland.open(KEY, 5)) == check
    assert (server.last.method, server.last.target) == ("GET", "/v1/me")
    assert server.last.headers["authorization"] == CANARY


async def test_a_key_that_is_asked_to_pay_is_still_a_key(http: Http):
    async with serving(reply(402, {"status": "error", "message": "Insufficient balance."})) as server:
        bland = as_provider(http, server.url)
        assert await bland.calls.check_key(bland.open(KEY, 5)) == KeyCheck("out_of_credit")


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (reply(401, UNAUTHORIZED), ErrorKind.KEY_REJECTED),
        (reply(200, UNAUTHORIZED), ErrorKind.MALFORMED_REPLY),
        (reply(200, b"<html>"), ErrorKind.MALFORMED_REPLY),
        (reply(503), ErrorKind.PROVIDER_ERROR),
    ],
)
async def test_a_key_that_is_not_proven(http: Http, script: Script, kind: ErrorKind):
    async with serving(script) as server:
        bland = as_provider(http, server.url)
        error = await error_of(bland.calls.check_key(bland.open(KEY, 5)))
    assert error.kind is kind
