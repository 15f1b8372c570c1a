"""Vapi's own client judges what we send: the same call, written with its models, must make the same request."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from adapters.base import ProviderError, Target
from adapters.http import Http
from adapters.vapi.reasons import is_covered
from tests.adapters.canary import CANARY
from tests.adapters.loopback import Asked, reply, serving
from tests.adapters.refusals import CALL, KEY
from tests.contract.sdks import vapi_sdk, vapi_types
from tests.support.adapters import vapi_at
from tests.support.local_http import local_client

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TARGET = Target(assistant_id="0a1b-assistant", registration="7b6e-number")
CREATED = {
    "id": "vapi-call-1",
    "orgId": "org",
    "createdAt": "2026-11-23T12:00:00.000Z",
    "updatedAt": "2026-11-23T12:00:00.000Z",
    "phoneCallProviderDetails": {
        "twiml": '<Response><Connect><Stream url="wss://api.vapi.ai/abc/transport"/></Connect></Response>'
    },
}


def essence(asked: Asked) -> tuple[str, str, str]:
    return asked.method, asked.target, asked.headers["authorization"]


@pytest.mark.parametrize(
    ("caller", "withheld", "said"),
    [("+14155550123", False, None), (None, False, "unknown"), (None, True, "withheld")],
)
async def test_a_bypass_call_is_a_call_of_the_sdk_with_one_field_more(
    caller: str | None, withheld: bool, said: str | None
):
    customer = (
        vapi_types.CreateCustomerDto(number=caller)
        if said is None
        else vapi_types.CreateCustomerDto(number=said, number_e_164_check_enabled=False)
    )
    call = replace(CALL, caller=caller, withheld=withheld)
    variables = {"client_name": CALL.client_name, "caller_number": caller or ("withheld" if withheld else "")}
    metadata = {"router_call_id": CALL.call_id, "twilio_call_sid": CALL.call_sid}
    http = Http()
    async with serving(reply(201, CREATED)) as server:
        vapi = vapi_at(http, server.url)
        await vapi.calls.hand_off(vapi.open(KEY, 5), call, TARGET)
        await http.aclose()
        async with local_client() as client:
            await vapi_sdk.AsyncVapi(token=CANARY, base_url=server.url, httpx_client=client).calls.create(
                phone_number_id="7b6e-number",
                assistant_id="0a1b-assistant",
                customer=customer,
                assistant_overrides=vapi_types.AssistantOverrides(variable_values=variables, metadata=metadata),
            )
    ours, theirs = server.asked
    assert essence(ours) == essence(theirs)
    assert ours.json == {**theirs.json, "phoneCallProviderBypassEnabled": True}


async def test_the_key_check_is_a_request_of_the_sdk():
    http = Http()
    async with serving(reply(200, [])) as server:
        vapi = vapi_at(http, server.url)
        await vapi.calls.check_key(vapi.open(KEY, 5))
        await http.aclose()
        async with local_client() as client:
            await vapi_sdk.AsyncVapi(token=CANARY, base_url=server.url, httpx_client=client).assistants.list(limit=1)
    ours, theirs = server.asked
    assert essence(ours) == essence(theirs)


def test_every_reason_for_an_end_has_a_rule():
    """If this fails for a new SDK, decide whose failure the new reason is: adapters/vapi/reasons.py."""
    lists = (
        vapi_types.CallEndedReason,
        vapi_types.ServerMessageEndOfCallReportEndedReason,
        vapi_types.ServerMessageStatusUpdateEndedReason,
    )
    reasons = {reason for union in lists for literal in get_args(union) for reason in get_args(literal)}
    assert len(reasons) > 500
    assert [reason for reason in sorted(reasons) if not is_covered(reason)] == []


async def test_ending_a_call_begins_with_a_request_of_the_sdk():
    http = Http()
    async with serving(reply(200, {**CREATED, "monitor": {"controlUrl": "https://evil.example/"}})) as server:
        vapi = vapi_at(http, server.url)
        with pytest.raises(ProviderError):
            await vapi.end_call(vapi.open(KEY, 5), "vapi-call-1")
        await http.aclose()
        async with local_client() as client:
            read = await vapi_sdk.AsyncVapi(token=CANARY, base_url=server.url, httpx_client=client).calls.get(
                "vapi-call-1"
            )
    assert read.monitor is not None
    assert read.monitor.control_url == "https://evil.example/"
    ours, theirs = server.asked
    assert essence(ours) == essence(theirs)
