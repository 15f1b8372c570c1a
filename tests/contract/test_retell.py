"""Retell's own client judges what we send, and its own signer which webhooks we believe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from adapters.base import Target
from adapters.facets import Delivery
from adapters.http import Http
from adapters.provider import Provider
from crypto.secret import Secret
from tests.adapters.canary import CANARY
from tests.adapters.loopback import Asked, Script, reply, serving
from tests.adapters.refusals import CALL, KEY
from tests.contract.sdks import retell_sdk, retell_signing, retell_types
from tests.support.adapters import retell_at
from tests.support.provider_samples import sign_as_retell

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

REGISTERED = {"call_id": "call_1", "call_type": "phone_call", "agent_id": "agent_1", "call_status": "registered"}


async def both(
    script: Script,
    ours: Callable[[Provider[Any]], Awaitable[object]],
    theirs: Callable[[retell_sdk.AsyncRetell], Awaitable[object]],
) -> tuple[Asked, Asked]:
    http = Http()
    async with serving(script) as server:
        await ours(retell_at(http, server.url, "sip.retellai.com;transport=tcp"))
        await http.aclose()
        async with retell_sdk.AsyncRetell(api_key=CANARY, base_url=server.url, max_retries=0) as client:
            await theirs(client)
    first, second = server.asked
    return first, second


def essence(asked: Asked) -> tuple[str, str, str, bytes]:
    return asked.method, asked.target, asked.headers["authorization"], asked.body if asked.method == "GET" else b""


@pytest.mark.parametrize("caller", ["+15550001111", None])
async def test_a_registration_is_one_of_the_sdk(caller: str | None):
    params: retell_types.CallRegisterPhoneCallParams = {
        "agent_id": "agent_1",
        "agent_version": "latest_published",
        "direction": "inbound",
        "to_number": CALL.to,
        "metadata": {"router_call_id": CALL.call_id, "twilio_call_sid": CALL.call_sid},
        "retell_llm_dynamic_variables": {"client_name": CALL.client_name, "caller_number": caller or ""},
    }
    if caller:
        params["from_number"] = caller
    call = replace(CALL, caller=caller)
    ours, theirs = await both(
        reply(201, REGISTERED),
        lambda retell: retell.calls.hand_off(retell.open(KEY, 5), call, Target(assistant_id="agent_1")),
        lambda client: client.call.register_phone_call(**params),
    )
    assert essence(ours) == essence(theirs)
    assert ours.json == theirs.json
    read = TypeAdapter(retell_types.CallRegisterPhoneCallParams).validate_python(ours.json, strict=True)
    assert read == ours.json


def test_the_other_tests_sign_as_the_sdk_does():
    body = '{"call_id": "call_1", "name": "Grüße"}'
    assert sign_as_retell(body.encode(), CANARY, NOW) == retell_signing.symmetric["sign"](body, CANARY, NOW)


async def test_the_key_check_is_a_request_of_the_sdk():
    ours, theirs = await both(
        reply(200, {"org_id": "org_1", "org_name": "Agency"}),
        lambda retell: retell.calls.check_key(retell.open(KEY, 5)),
        lambda client: client.identity.retrieve(),
    )
    assert essence(ours) == essence(theirs)


async def test_ending_a_call_is_a_request_of_the_sdk():
    ours, theirs = await both(
        reply(204, Content_Length="0"),
        lambda retell: retell.end_call(retell.open(KEY, 5), "call_1"),
        lambda client: client.call.stop("call_1"),
    )
    assert essence(ours) == essence(theirs)


NOW = 1_764_000_000_000


@given(
    body=st.text(),
    key=st.text(min_size=1),
    age=st.sampled_from([0, 1, 299_999, 300_000, 300_001, -300_000, -300_001, 10**9]),
    change=st.sampled_from(["", " ", "x", "v"]),
    other=st.booleans(),
)
def test_we_believe_the_webhooks_that_the_sdk_believes(body: str, key: str, age: int, change: str, other: bool):
    signature = change + retell_signing.symmetric["sign"](body, key + "x" if other else key, NOW - age)
    theirs = retell_signing.symmetric["verify"](body, key, signature, {"timestamp": NOW})
    ours = retell_at(Http(), "", "").webhooks.verify(
        Delivery({"x-retell-signature": signature}, body.encode(), datetime.fromtimestamp(NOW / 1000, UTC)),
        [Secret(key)],
    )
    assert ours is theirs
