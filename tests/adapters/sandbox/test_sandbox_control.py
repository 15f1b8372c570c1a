from __future__ import annotations

import httpx
import pytest

from adapters.sandbox.app import create_app
from adapters.sandbox.server import running_sandbox
from adapters.sandbox.state import REQUESTS_KEPT, Sandbox
from adapters.sandbox.world import ACCOUNT_SID, demo_world

pytestmark = pytest.mark.anyio


async def test_faults_are_set_and_cleared(client):
    fault = {"fault": "429", "retry_after": 3, "operation": "handoff", "times": 1}
    listed = (await client.put("/control/faults", json={"vapi": "503", "retell": fault})).json()["faults"]

    assert [(item["provider"], item["name"], item["times"]) for item in listed] == [
        ("vapi", "503", None),
        ("retell", "429", 1),
    ]
    assert (await client.delete("/control/faults")).json() == {"faults": []}
    assert (await client.get("/control/state")).json()["faults"] == []


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"vapi": "meteor"}, "no such fault: 'meteor'; there are 401"),
        ({"acme": "503"}, "no such provider: 'acme'; there are vapi, retell, bland, elevenlabs, twilio"),
        (["503"], "not a JSON object"),
    ],
)
async def test_a_wrong_fault_is_explained(client, body, complaint):
    response = await client.put("/control/faults", json=body)

    assert response.status_code == 400
    assert complaint in response.json()["error"]


async def test_every_request_is_kept_refused_ones_too(client):
    await client.get("/retell/get-api-key-info", headers={"authorization": "Bearer key_nobody"})
    await client.post("/bland/v1/nonsense", json={"a": 1})

    seen = (await client.get("/control/requests")).json()["items"]
    assert [(item["provider"], item["method"], item["path"], item["operation"]) for item in seen] == [
        ("retell", "GET", "/get-api-key-info", "check"),
        ("bland", "POST", "/v1/nonsense", "other"),
    ]
    assert (seen[0]["headers"]["authorization"], seen[1]["body"]) == ("Bearer key_nobody", {"a": 1})
    only = (await client.get("/control/requests", params={"provider": "bland"})).json()["items"]
    assert [item["provider"] for item in only] == ["bland"]


def test_requests_do_not_fill_the_memory():
    assert Sandbox().requests.maxlen == REQUESTS_KEPT


async def test_what_is_unknown_is_the_providers_own_404(client):
    assert (await client.get("/vapi/nothing")).json()["statusCode"] == 404
    assert (await client.get("/twilio/nothing")).json()["code"] == 20404


async def test_a_recording_is_filed_and_served(client, world):
    sids = {"account_sid": ACCOUNT_SID, "call_sid": "CA" + "1" * 32, "recording_sid": "RE" + "1" * 32}
    filed = await client.post("/control/recordings", json=sids | {"seconds": 4})

    assert filed.status_code == 201
    address = f"/twilio/2010-04-01/Accounts/{ACCOUNT_SID}/Recordings/{sids['recording_sid']}.json"
    assert (await client.get(address, auth=(ACCOUNT_SID, world.auth_token))).json()["duration"] == "4"


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("changes", [{"account_sid": "AC0"}, {"seconds": -1}, {"seconds": "long"}])
async def test_a_recording_that_makes_no_sense_is_refused(client, changes):
    body = {"account_sid": ACCOUNT_SID, "call_sid": "CA1", "recording_sid": "RE1", "seconds": 4}

    assert (await client.post("/control/recordings", json=body | changes)).status_code == 400


async def test_a_leg_is_judged_over_http_as_in_python(client, world):
    body = {"kind": "number", "address": world.bland.registration, "parameters": {}}
    leg = (await client.post("/control/legs", json=body)).json()

    assert (leg["provider"], leg["result"], leg["sip_code"]) == ("bland", "answered", 200)
    nobody = (await client.post("/control/legs", json=body | {"address": "+15005550111"})).json()
    assert (nobody["provider"], nobody["result"], nobody["sip_code"]) == (None, "rejected", 404)


@pytest.mark.parametrize("body", [{"kind": "pigeon", "address": "x"}, {"kind": "sip"}, {"kind": "sip", "address": 7}])
async def test_a_leg_that_makes_no_sense_is_explained(client, body):
    response = await client.post("/control/legs", json=body)

    assert response.status_code == 400
    assert response.json()["error"]


@pytest.mark.parametrize("address", ["sip:x@nowhere.example", "sip:x@sip.retellai.com:port", "mailto:x@y.example"])
def test_a_sip_address_that_leads_nowhere_is_not_found(address):
    assert Sandbox().answer_leg("sip", address).sip_code == 404


async def test_the_state_lists_what_each_org_owns(client, world):
    state = (await client.get("/control/state")).json()

    assert [org["assistants"] for org in state["vapi"]] == [[world.vapi.assistant_id], [world.broke[0].assistant_id]]
    assert state["twilio"][0]["numbers"] == list(world.numbers)


async def test_the_sandbox_is_controlled_from_its_own_machine_only():
    transport = httpx.ASGITransport(create_app(Sandbox()), client=("203.0.113.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as stranger:
        assert (await stranger.put("/control/faults", json={"vapi": "503"})).status_code == 403


async def test_two_sandboxes_know_nothing_of_each_other_and_point_the_router_at_themselves():
    async with running_sandbox() as one, running_sandbox() as other:
        demo_world(one.state)
        assert one.url != other.url
        assert len(other.state.twilio.accounts) == 0
        assert other.environment == {
            "CALLROUTER_VAPI_URL": f"{other.url}/vapi",
            "CALLROUTER_RETELL_URL": f"{other.url}/retell",
            "CALLROUTER_BLAND_URL": f"{other.url}/bland",
            "CALLROUTER_ELEVENLABS_URL": f"{other.url}/elevenlabs",
            "CALLROUTER_TWILIO_URL": f"{other.url}/twilio",
        }


async def test_a_port_that_is_in_use_raises_an_error():
    async with running_sandbox() as box:
        with pytest.raises(OSError):
            async with running_sandbox(port=int(box.url.rpartition(":")[2])):
                pass
