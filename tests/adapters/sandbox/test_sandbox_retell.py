from __future__ import annotations

import httpx
import pytest

from adapters.sandbox.api import new_number
from adapters.sandbox.world import DemoWorld

pytestmark = pytest.mark.anyio


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def register(client: httpx.AsyncClient, world: DemoWorld, **changes: object) -> httpx.Response:
    body = {"agent_id": world.retell.assistant_id, "agent_version": "latest_published", "direction": "inbound"}
    return await client.post("/retell/v2/register-phone-call", headers=bearer(world.retell.key), json=body | changes)


def address(answer: dict) -> str:
    return f"sip:{answer['call_id']}@sip.retellai.com;transport=tcp"


async def test_a_registered_call_is_answered_once(client, box, world):
    response = await register(client, world, metadata={"call_id": "call_1"})
    answer = response.json()

    assert (response.status_code, answer["call_status"], answer["metadata"]) == (
        201,
        "registered",
        {"call_id": "call_1"},
    )
    leg = box.state.answer_leg("sip", address(answer))
    assert (leg.result, leg.provider, leg.provider_call_id) == ("answered", "retell", answer["call_id"])
    assert box.state.answer_leg("sip", address(answer)).sip_code == 480


async def test_a_call_dialled_after_five_minutes_is_gone(client, box, world, clock):
    answer = (await register(client, world)).json()
    clock.advance(minutes=5, seconds=1)

    leg = box.state.answer_leg("sip", address(answer))

    assert (leg.result, leg.reason) == ("rejected", "registered_call_timeout")


async def test_a_stopped_call_is_gone(client, box, world):
    answer = (await register(client, world)).json()

    stopped = await client.post(f"/retell/v2/stop-call/{answer['call_id']}", headers=bearer(world.retell.key))

    assert stopped.status_code == 204
    assert box.state.answer_leg("sip", address(answer)).sip_code == 404


async def test_the_retired_sip_host_answers_no_calls(client, box, world):
    answer = (await register(client, world)).json()

    assert box.state.answer_leg("sip", f"sip:{answer['call_id']}@5t4n6j0wnrl.sip.livekit.cloud").sip_code == 404


async def test_every_dynamic_variable_is_a_string(client, world):
    refused = await register(client, world, retell_llm_dynamic_variables={"visits": 3})

    assert (refused.status_code, refused.json()["status"]) == (400, "error")
    assert (await register(client, world, retell_llm_dynamic_variables={"visits": "3"})).status_code == 201


@pytest.mark.parametrize(
    "changes",
    [
        {"agent_id": ""},
        {"agent_id": 7},
        {"metadata": "text"},
        {"from_number": "anonymous"},
        {"direction": "sideways"},
        {"assistant_id": "x"},
    ],
)
async def test_a_registration_of_the_wrong_shape_is_refused(client, world, changes):
    assert (await register(client, world, **changes)).status_code == 400


async def test_an_agent_of_somebody_else_is_not_found(client, box, world):
    foreign = box.state.retell.add_assistant(box.state.retell.add_org())

    assert (await register(client, world, agent_id=foreign)).status_code == 422


async def test_an_agent_that_was_never_published_has_no_published_version(client, box, world):
    draft = box.state.retell.add_assistant(box.state.retell.orgs.of(world.retell.key), published=False)
    headers = bearer(world.retell.key)

    assert (await register(client, world, agent_id=draft)).status_code == 422
    assert (await register(client, world, agent_id=draft, agent_version="latest")).status_code == 201
    published = await client.post(f"/retell/publish-agent-version/{draft}", headers=headers, json={"version": 0})
    assert published.status_code == 200
    assert (await register(client, world, agent_id=draft)).json()["agent_version"] == 0


async def test_a_new_version_is_a_draft_until_it_is_published(client, world):
    headers = bearer(world.retell.key)
    agent = world.retell.assistant_id

    refused = await client.patch(f"/retell/update-agent/{agent}", headers=headers, json={"agent_name": "New"})
    draft = await client.post(f"/retell/create-agent-version/{agent}", headers=headers, json={"base_version": 0})
    changed = await client.patch(f"/retell/update-agent/{agent}", headers=headers, json={"agent_name": "New"})

    assert (refused.status_code, draft.json()["version"], changed.json()["agent_name"]) == (422, 1, "New")
    assert (await register(client, world)).json()["agent_name"] == "Front desk"
    await client.post(f"/retell/publish-agent-version/{agent}", headers=headers, json={"version": 1})
    assert (await register(client, world)).json()["agent_name"] == "New"


async def test_keys_credit_lines_and_scopes_have_each_their_own_refusal(client, box, world):
    org = box.state.retell.orgs.of(world.retell.key)
    unknown = await client.get("/retell/get-api-key-info", headers=bearer("key_nobody"))
    assert (unknown.status_code, unknown.json()["message"]) == (401, "API key is missing or invalid.")

    org.scopes = frozenset({"check"})
    assert (await register(client, world)).status_code == 403
    assert (await client.get("/retell/get-api-key-info", headers=bearer(org.key))).json()["org_id"] == org.id
    org.scopes = frozenset({"check", "handoff"})
    org.concurrency_used = org.concurrency_limit
    assert (await register(client, world)).status_code == 429
    org.balance = 0
    assert (await register(client, world)).status_code == 402


TOOL = {"type": "custom", "name": "book", "url": "https://acme.example/book"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", "/update-retell-llm/{llm}", {"general_prompt": "New"}, 400),
        ("DELETE", "/delete-retell-llm/{llm}", None, 400),
        ("POST", "/create-retell-llm", {"general_prompt": "You answer."}, 400),
        ("POST", "/create-retell-llm", {"start_speaker": "agent", "general_tools": [TOOL, TOOL]}, 400),
        ("POST", "/create-retell-llm", {"start_speaker": "agent", "knowledge_base_ids": ["kb_1"]}, 422),
        ("POST", "/create-retell-llm", {"start_speaker": "agent", "prompt": "Not a field"}, 400),
        ("PATCH", "/update-agent/{draft}", {"silence_timeout": 7}, 400),
        ("PATCH", "/update-agent/{draft}", {"webhook_url": "router.example/hooks"}, 400),
        ("PATCH", "/update-agent/{draft}", {"begin_message_delay_ms": 5001}, 400),
        ("PATCH", "/update-agent/{draft}", {"end_call_after_silence_ms": 9999}, 400),
        ("PATCH", "/update-phone-number/{number}", {"fallback_number": "{number}"}, 400),
        ("PATCH", "/update-phone-number/{number}", {"fallback_number": "{other}"}, 400),
        ("POST", "/create-phone-number", {"fallback_number": "{other}"}, 400),
        ("POST", "/publish-agent-version/{agent}", {"version": 0}, 400),
        ("POST", "/publish-agent-version/{agent}?version=0", {}, 400),
        ("GET", "/get-agent/{agent}?published=true", None, 400),
        ("GET", "/v2/list-retell-llms?limit=0", None, 400),
        ("GET", "/v2/list-retell-llms?pagination_key=llm_nobody", None, 400),
        ("POST", "/create-knowledge-base", {"knowledge_base_name": "Not a form"}, 400),
        ("POST", "/create-phone-number", {"country_code": "GB"}, 400),
        ("POST", "/create-phone-number", {"country_code": "CA", "area_code": 416}, 400),
        ("POST", "/create-phone-number", {"inbound_agents": [{"agent_id": "{agent}", "weight": 0.5}]}, 400),
        ("POST", "/create-phone-number", {"inbound_agents": [{"agent_id": "agent_nobody", "weight": 1}]}, 422),
        ("PATCH", "/update-phone-number/+14155550199", {"nickname": "x"}, 404),
    ],
)
async def test_what_retell_refuses_is_refused(box, client, world, method, path, body, status):
    agent = str(world.retell.assistant_id)
    llm = box.state.retell.orgs.of(world.retell.key).agents[agent][0]["response_engine"]["llm_id"]
    org = box.state.retell.orgs.of(world.retell.key)
    number, other = (new_number(415) for _ in range(2))
    org.numbers |= {e164: {"phone_number": e164} for e164 in (number, other)}
    draft = box.state.retell.add_assistant(org, published=False)
    names = {"agent": agent, "llm": llm, "draft": draft, "number": number, "other": other}
    sent = body and {name: value.format(**names) if isinstance(value, str) else value for name, value in body.items()}
    refused = await client.request(
        method, f"/retell{path.format(**names)}", headers=bearer(world.retell.key), json=sent
    )
    assert (refused.status_code, refused.json()["status"]) == (status, "error")


async def test_an_agent_keeps_its_engine_once_it_has_versions(client, world):
    agent, headers = str(world.retell.assistant_id), bearer(world.retell.key)
    await client.post(f"/retell/create-agent-version/{agent}", headers=headers, json={"base_version": 0})
    other = {"response_engine": {"type": "custom-llm", "llm_websocket_url": "wss://acme.example"}}
    refused = await client.patch(f"/retell/update-agent/{agent}", headers=headers, json=other)
    assert (refused.status_code, "response engine" in refused.json()["message"]) == (400, True)


async def test_a_new_draft_brings_a_draft_of_its_llm_and_both_are_published(box, client, world):
    agent, headers = str(world.retell.assistant_id), bearer(world.retell.key)
    draft = await client.post(f"/retell/create-agent-version/{agent}", headers=headers, json={"base_version": 0})
    engine = draft.json()["response_engine"]
    address = f"/retell/update-retell-llm/{engine['llm_id']}?version={engine['version']}"
    changed = await client.patch(address, headers=headers, json={"general_prompt": "New"})
    await client.post(f"/retell/publish-agent-version/{agent}", headers=headers, json={"version": 1})
    first, second = box.state.retell.orgs.of(world.retell.key).llms[engine["llm_id"]]
    assert (changed.json()["version"], second["general_prompt"], second["is_published"]) == (1, "New", True)
    assert first["general_prompt"] == "You answer the phone."


async def test_lists_come_in_pages_newest_first(box, client, world):
    org, headers = box.state.retell.orgs.of(world.retell.key), bearer(world.retell.key)
    agents = [str(world.retell.assistant_id), *(box.state.retell.add_assistant(org) for _ in range(4))]
    seen, query = [], {"limit": 2}
    while True:
        page = (await client.post("/retell/v2/list-agents", headers=headers, params=query)).json()
        seen += [item["agent_id"] for item in page["items"]]
        if not page["has_more"]:
            break
        query["pagination_key"] = page["pagination_key"]
    assert seen == agents[::-1]
