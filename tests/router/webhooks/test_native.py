"""Calls to numbers that were bought from a voice provider: told by the provider's webhooks, in whatever order."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from retell.lib import webhook_auth

from tests.support.world import CALLER, Client, World

pytestmark = pytest.mark.anyio

NUMBERS = itertools.count(1)


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world


async def buy_from(world: World, provider: str) -> tuple[Client, str]:
    """A client, and its number at the provider itself."""
    client = await world.add_client(providers=[provider])
    number = f"+1415555{next(NUMBERS) + 2000:04d}"
    await world.db.execute(
        "INSERT INTO numbers (account_sid, e164, agency_id, client_id, carrier, account, number_sid, voice_url, "
        "fallback_url, status_url, state, fallback_state, created_at, bought) "
        "VALUES ($1, $2, $3, $4, $1, 'provider', $2, '', '', '', 'active', 'ok', $5, true)",
        provider,
        number,
        client.agency_id,
        client.client_id,
        world.clock(),
    )
    return client, number


def retell(event: str, number: str, call_id: str, **call: Any) -> dict[str, Any]:
    name = "call_inbound" if event == "call_inbound" else "call"
    return {"event": event, name: {"call_id": call_id, "from_number": CALLER, "to_number": number, **call}}


def vapi(kind: str, number: str, call_id: str, **message: Any) -> dict[str, Any]:
    fields = {"type": kind, "call": {"id": call_id}, "customer": {"number": CALLER}, "phoneNumber": {"number": number}}
    return {"message": fields | message}


async def post(world: World, provider: str, agency_id: str, report: dict[str, Any], *, signed_by: str = "") -> Any:
    """Signed by Retell's own SDK, or proven by the token in the address."""
    body = json.dumps(report)
    headers, query = {}, f"?token=token-{agency_id}"
    if signed_by:
        milliseconds = int(world.clock().timestamp() * 1000)
        headers, query = {"x-retell-signature": webhook_auth.symmetric["sign"](body, signed_by, milliseconds)}, ""
    return await world.http.post(
        f"{world.urls[0]}/webhooks/{provider}/{agency_id}{query}", content=body, headers=headers
    )


async def calls(world: World, client: Client) -> list[Any]:
    return await world.db.fetch("SELECT * FROM calls WHERE agency_id = $1", client.agency_id)


async def timeline(world: World, call_id: str) -> list[str]:
    rows = await world.db.fetch("SELECT event FROM call_events WHERE call_id = $1 ORDER BY event", call_id)
    return [row["event"] for row in rows]


ENDED = {"disconnection_reason": "user_hangup", "duration_ms": 42_000, "call_cost": {"combined_cost": 7.5}}
WHOLE = ["ai.ended", "call.answered", "call.ended", "call.received"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0, 1, 1), (1, 0, 1), (1,)])
async def test_a_call_is_recorded_once_whatever_comes_first(world: World, order):
    client, number = await buy_from(world, "retell")
    call_id = f"retell-{number}"
    reports = (retell("call_started", number, call_id), retell("call_ended", number, call_id, **ENDED))
    for which in order:
        answer = await post(world, "retell", client.agency_id, reports[which], signed_by=client.keys["retell"])
        assert answer.status_code == 204
    (call,) = await calls(world, client)
    assert (call["account_sid"], call["call_sid"], call["to_number"]) == ("retell", call_id, number)
    assert (call["from_number"], call["client_id"], call["provider"]) == (CALLER, client.client_id, "retell")
    assert (call["outcome"], call["seconds"], float(call["cost"])) == ("ai", 42, 0.075)
    assert call["ended_at"] is not None
    assert call["answered_at"] is not None
    assert await timeline(world, call["id"]) == WHOLE


async def test_a_call_that_the_provider_failed_is_abandoned(world: World):
    client, number = await buy_from(world, "retell")
    report = retell("call_ended", number, f"retell-{number}", disconnection_reason="error_retell", duration_ms=1000)
    await post(world, "retell", client.agency_id, report)
    (call,) = await calls(world, client)
    assert call["outcome"] == "abandoned"
    assert await timeline(world, call["id"]) == ["ai.failed", "call.ended", "call.received"]


async def test_retells_question_is_answered_with_the_clients_agent_and_brings_the_call(world: World):
    client, number = await buy_from(world, "retell")
    agent = await world.db.fetchval("SELECT remote_id FROM assistants WHERE client_id = $1", client.client_id)
    question = retell("call_inbound", number, f"retell-{number}")
    answer = await post(world, "retell", client.agency_id, question, signed_by=client.keys["retell"])
    assert answer.status_code == 200
    chosen = answer.json()["call_inbound"]
    (call,) = await calls(world, client)
    assert (chosen["override_agent_id"], chosen["override_agent_version"]) == (agent, "latest_published")
    assert chosen["dynamic_variables"] == {"client_name": "Acme Plumbing", "caller_number": CALLER}
    assert chosen["metadata"] == {"router_call_id": call["id"]}
    ended = retell("call_ended", number, f"retell-{number}", metadata=chosen["metadata"], **ENDED)
    await post(world, "retell", client.agency_id, ended, signed_by=client.keys["retell"])
    (call,) = await calls(world, client)
    assert (call["outcome"], call["seconds"]) == ("ai", 42)
    assert await timeline(world, call["id"]) == WHOLE


async def test_without_an_assistant_the_provider_decides(world: World):
    client, number = await buy_from(world, "retell")
    await world.db.execute("DELETE FROM assistants WHERE client_id = $1", client.client_id)
    answer = await post(world, "retell", client.agency_id, retell("call_inbound", number, f"retell-{number}"))
    assert (answer.status_code, answer.content) == (204, b"")


async def test_vapis_question_about_one_of_our_numbers_is_answered_with_the_clients_assistant(world: World):
    client = await world.add_client(providers=["vapi"])
    assistant = await world.db.fetchval("SELECT remote_id FROM assistants WHERE client_id = $1", client.client_id)
    answer = await post(world, "vapi", client.agency_id, vapi("assistant-request", client.number, "vapi-1"))
    assert answer.status_code == 200
    assert answer.json()["assistantId"] == assistant
    assert await calls(world, client) == []  # the number is the carrier's: its calls come from there


@pytest.mark.parametrize("kind", ["call_inbound", "call_started", "call_ended"])
async def test_another_agencys_number_is_none_of_theirs(world: World, kind):
    owner, number = await buy_from(world, "retell")
    stranger, _ = await buy_from(world, "retell")
    answer = await post(world, "retell", stranger.agency_id, retell(kind, number, f"retell-{number}"))
    assert answer.status_code == 204
    assert await calls(world, owner) == []
    assert await calls(world, stranger) == []


async def test_nothing_is_believed_unproven(world: World):
    client, number = await buy_from(world, "retell")
    report = retell("call_ended", number, "x", **ENDED)
    answer = await post(world, "retell", client.agency_id, report, signed_by="somebody-elses-key")
    assert answer.status_code == 401
    assert await calls(world, client) == []


async def test_blands_one_report_brings_the_whole_call(world: World):
    client, number = await buy_from(world, "bland")
    report = {
        "call_id": f"bland-{number}",
        "to": number.removeprefix("+"),
        "from": CALLER,
        "inbound": True,
        "completed": True,
        "queue_status": "complete",
        "call_ended_by": "USER",
        "corrected_duration": "65",
        "price": 0.09,
    }
    for _ in range(2):
        assert (await post(world, "bland", client.agency_id, report)).status_code == 204
    (call,) = await calls(world, client)
    assert (call["outcome"], call["seconds"], float(call["cost"])) == ("ai", 65, 0.09)
    assert (call["ended_at"] - call["started_at"]).total_seconds() == pytest.approx(65, abs=2)
    assert await timeline(world, call["id"]) == WHOLE


async def test_a_calls_analysis_arrives_after_its_end_and_is_kept(world: World):
    client, number = await buy_from(world, "retell")
    call_id = f"retell-{number}"
    analysis = {"call_analysis": {"call_summary": "Wants a quote."}, "transcript": "Agent: Hello?"}
    for report in (
        retell("call_analyzed", number, call_id, **ENDED, **analysis),
        retell("call_ended", number, call_id, **ENDED, transcript="Agent: Hel"),
        retell("transcript_updated", number, call_id, transcript="Agent: Hello? And more"),
    ):
        await post(world, "retell", client.agency_id, report)
    (call,) = await calls(world, client)
    assert (call["summary"], call["transcript"]) == ("Wants a quote.", "Agent: Hello?")
    assert (call["end_reason"], call["ai_seconds"], call["provider_call_id"]) == ("user_hangup", 42, call_id)
    assert await timeline(world, call["id"]) == ["ai.ended", "ai.reported", *WHOLE[1:]]
