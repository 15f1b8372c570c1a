from __future__ import annotations

import asyncio
import json

import aiohttp
import httpx
import pytest

from adapters.sandbox.faults import HUGE, STATUSES, FaultError, read_fault
from adapters.sandbox.server import running_sandbox
from adapters.sandbox.world import DemoWorld, demo_world
from tests.support.local_http import local_client

pytestmark = pytest.mark.anyio

PROVIDERS = ("vapi", "retell", "bland", "twilio")


def handoff(world: DemoWorld, provider: str) -> httpx.Request:
    """The request by which the router would hand a call to a provider; for Twilio the lookup of a number."""
    if provider == "vapi":
        return httpx.Request(
            "POST",
            "http://x/vapi/call",
            headers={"authorization": f"Bearer {world.vapi.key}"},
            json={
                "phoneNumberId": world.vapi.registration,
                "phoneCallProviderBypassEnabled": True,
                "customer": {"number": "+15550001111"},
                "assistantId": world.vapi.assistant_id,
            },
        )
    if provider == "retell":
        return httpx.Request(
            "POST",
            "http://x/retell/v2/register-phone-call",
            headers={"authorization": f"Bearer {world.retell.key}"},
            json={"agent_id": world.retell.assistant_id},
        )
    if provider == "bland":
        return httpx.Request(
            "POST",
            "http://x/bland/v1/inbound/session",
            headers={"authorization": world.bland.key},
            json={"phone_number": world.bland.registration},
        )
    auth = httpx.BasicAuth(world.account_sid, world.auth_token)
    lookup = httpx.Request("GET", f"http://x/twilio/2010-04-01/Accounts/{world.account_sid}.json")
    return next(auth.auth_flow(lookup))


async def ask(client: httpx.AsyncClient, world: DemoWorld, provider: str) -> httpx.Response:
    request = handoff(world, provider)
    request.url = client.base_url.join(request.url.raw_path.decode())
    return await client.send(request)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", STATUSES)
async def test_a_status_comes_in_the_providers_own_shape(client, box, world, provider, status):
    box.state.faults.set(provider, status)

    response = await ask(client, world, provider)

    assert response.status_code == int(status)
    body = response.json()
    if provider == "vapi":
        assert body["statusCode"] == int(status)
    elif provider == "twilio":
        assert body["status"] == int(status)
        assert body["code"] >= 20000
    else:
        assert body.get("status") == "error" or body["errors"][0]["error"]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_without_a_fault_a_request_succeeds(client, world, provider):
    assert (await ask(client, world, provider)).is_success


async def test_a_429_may_say_when_to_come_back(client, box, world):
    box.state.faults.set("vapi", {"fault": "429", "retry_after": 3})

    assert (await ask(client, world, "vapi")).headers["retry-after"] == "3"


@pytest.mark.parametrize(("provider", "status"), [("vapi", 400), ("retell", 402), ("bland", 402)])
async def test_an_empty_wallet(client, box, world, provider, status):
    box.state.faults.set(provider, "wallet")

    response = await ask(client, world, provider)

    assert response.status_code == status
    if provider == "vapi":
        assert "wallet" in response.json()["message"].lower()


async def test_no_free_line(client, box, world):
    for provider in ("vapi", "retell", "bland"):
        box.state.faults.set(provider, "concurrency")

    assert (await ask(client, world, "vapi")).json()["subscriptionLimits"]["concurrencyBlocked"] is True
    assert (await ask(client, world, "retell")).status_code == 429
    assert (await ask(client, world, "bland")).status_code == 429


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["garbage", "html", "empty"])
async def test_a_success_that_is_no_json(client, box, world, provider, fault):
    box.state.faults.set(provider, fault)

    response = await ask(client, world, provider)

    assert response.is_success
    with pytest.raises(ValueError):
        response.json()


@pytest.mark.parametrize(
    ("provider", "missing"),
    [("vapi", "phoneCallProviderDetails"), ("retell", "call_id"), ("bland", "token"), ("twilio", "sid")],
)
async def test_a_success_without_what_matters(client, box, world, provider, missing):
    box.state.faults.set(provider, "no-twiml")

    response = await ask(client, world, provider)

    assert response.is_success
    assert missing not in response.json()


@pytest.mark.parametrize(
    ("fault", "piece"),
    [
        ("bad-twiml", "<Redirect>"),
        ("doctype-twiml", "<!DOCTYPE"),
        ("broken-twiml", "<Connect>"),
        ("insecure-twiml", "ws://"),
    ],
)
async def test_twiml_that_must_not_be_passed_on(client, box, world, fault, piece):
    box.state.faults.set("vapi", fault)

    assert piece in (await ask(client, world, "vapi")).json()["phoneCallProviderDetails"]["twiml"]


async def test_addresses_that_must_not_be_passed_on(client, box, world):
    box.state.faults.set("retell", "bad-twiml")
    box.state.faults.set("bland", "bad-twiml")

    assert "@" in (await ask(client, world, "retell")).json()["call_id"]
    assert "\r\nRoute:" in (await ask(client, world, "bland")).json()["token"]


@pytest.mark.parametrize("fault", ["hang", "slow-body", "late"])
async def test_a_provider_that_does_not_finish(client, box, world, fault):
    box.state.faults.set("vapi", fault)

    request = handoff(world, "vapi")

    with pytest.raises(httpx.ReadTimeout):
        await client.post("/vapi/call", headers=request.headers, content=request.content, timeout=0.2)


async def test_a_late_answer_is_the_proper_one(client, box, world):
    box.state.faults.set("vapi", {"fault": "late", "seconds": 0.05})

    response = await ask(client, world, "vapi")

    assert response.status_code == 201
    assert response.json()["id"] in box.state.vapi.orgs.of(world.vapi.key).calls


async def test_a_call_that_is_answered_too_late_exists_all_the_same(client, box, world):
    box.state.faults.set("retell", "late")
    request = handoff(world, "retell")

    with pytest.raises(httpx.TimeoutException):
        await client.post(request.url.path, headers=request.headers, content=request.content, timeout=0.2)

    assert len(box.state.retell.orgs.of(world.retell.key).calls) == 1


async def test_a_connection_that_is_cut_in_the_body(client, box, world):
    box.state.faults.set("vapi", "reset")

    with pytest.raises(httpx.RemoteProtocolError):
        await ask(client, world, "vapi")


async def test_a_body_without_end_and_one_that_swells(box, world):
    async with local_client(base_url=box.url, timeout=30) as client:
        for fault in ("huge", "gzip-bomb"):
            box.state.faults.set("vapi", fault)
            request = handoff(world, "vapi")
            async with client.stream(
                "POST", "/vapi/call", headers=request.headers, content=request.content
            ) as response:
                size = sum([len(piece) async for piece in response.aiter_bytes()])
            assert response.status_code == 201
            assert size > HUGE


async def test_a_caller_who_leaves_a_body_without_end_leaves_no_trace(box, world, client, caplog):
    box.state.faults.set("vapi", "huge")

    async with aiohttp.ClientSession() as caller:
        response = await caller.post(f"{box.url}/vapi/call", json={})
        await response.content.readexactly(1_000_000)
        response.close()
    box.state.faults.clear()

    assert (await ask(client, world, "vapi")).status_code == 201
    assert [record for record in caplog.records if record.name.startswith(("asyncio", "uvicorn"))] == []


async def test_a_redirect_leads_to_a_stranger_who_notes_who_came(client, box, world):
    box.state.faults.set("vapi", "redirect")

    assert (await ask(client, world, "vapi")).status_code == 307
    assert box.state.requests_to("redirected") == []
    await client.send((await ask(client, world, "vapi")).next_request)
    assert len(box.state.requests_to("redirected")) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_provider_that_repeats_the_key(client, box, world, provider):
    box.state.faults.set(provider, "echo-key")
    key = world.auth_token if provider == "twilio" else getattr(world, provider).key

    response = await ask(client, world, provider)

    assert response.status_code == 500
    assert key in response.text
    assert response.headers["x-echo"] == key


async def test_a_fault_may_meet_one_operation_and_wear_off(client, box, world):
    headers = {"authorization": f"Bearer {world.vapi.key}"}
    box.state.faults.set("vapi", {"fault": "503", "operation": "handoff", "times": 1})

    assert (await client.get("/vapi/assistant?limit=1", headers=headers)).status_code == 200
    assert (await ask(client, world, "vapi")).status_code == 503
    assert (await ask(client, world, "vapi")).status_code == 201


async def test_by_default_a_fault_meets_handoffs_and_checks_only(client, box, world):
    headers = {"authorization": f"Bearer {world.vapi.key}"}
    box.state.faults.set("vapi", "503")

    assert (await client.get("/vapi/assistant?limit=1", headers=headers)).status_code == 503
    assert (await client.get("/vapi/phone-number", headers=headers)).status_code == 200
    box.state.faults.set("vapi", {"fault": "503", "operation": "all"})
    assert (await client.get("/vapi/phone-number", headers=headers)).status_code == 503


@pytest.mark.parametrize(
    ("operation", "met", "spared"),
    [("assistants", "/vapi/assistant", "/vapi/phone-number"), ("numbers", "/vapi/phone-number", "/vapi/assistant")],
)
async def test_a_fault_may_be_aimed_at_assistants_or_numbers(client, box, world, operation, met, spared):
    headers = {"authorization": f"Bearer {world.vapi.key}"}
    box.state.faults.set("vapi", {"fault": "429", "operation": operation, "retry_after": 7})

    refused = await client.get(met, headers=headers)

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert (await client.get(spared, headers=headers)).status_code == 200
    assert (await client.get("/vapi/assistant?limit=1", headers=headers)).status_code == 200
    assert (await ask(client, world, "vapi")).status_code == 201


async def test_several_faults_come_one_after_the_other(client, box, world):
    box.state.faults.set("vapi", [{"fault": "429", "times": 1}, {"fault": "500", "times": 1}])

    assert [(await ask(client, world, "vapi")).status_code for _ in range(3)] == [429, 500, 201]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("503 please", "no such fault: '503 please'; there are 401,"),
        ({"fault": "429", "after": 3}, "unknown field 'after'"),
        (
            {"fault": "429", "operation": "calls"},
            "operation 'calls' is not one of handoff, check, assistants, numbers, all",
        ),
        ({"fault": "429", "times": -1}, "times must be a number"),
        ({}, "no such fault: ''"),
    ],
)
def test_a_fault_that_makes_no_sense_is_explained(given, complaint):
    with pytest.raises(FaultError, match="fault") as caught:
        read_fault(given)

    assert complaint in str(caught.value)


async def test_the_sandbox_stops_while_requests_hang():
    async with local_client(timeout=30) as client:
        async with running_sandbox() as box:
            world = demo_world(box.state)
            box.state.faults.set("vapi", [{"fault": name, "times": 1} for name in ("hang", "slow-body", "late")])
            request = handoff(world, "vapi")
            waiting = [
                asyncio.create_task(
                    client.post(f"{box.url}/vapi/call", headers=request.headers, content=request.content)
                )
                for _ in range(3)
            ]
            while len(box.state.requests) < len(waiting):  # noqa: ASYNC110  the sandbox has no event for an arrival
                await asyncio.sleep(0)
        ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(end, httpx.RemoteProtocolError) for end in ends), ends


async def test_a_body_that_is_no_json_is_a_bad_request(client, world):
    headers = {"authorization": f"Bearer {world.vapi.key}", "content-type": "application/json"}

    response = await client.post("/vapi/call", headers=headers, content=b"{")

    assert response.status_code == 400
    assert json.loads(response.text)["statusCode"] == 400
