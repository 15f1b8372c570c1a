"""Calls to numbers that were bought from a voice provider: told by the provider's webhooks, in whatever order."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from adapters.registry import PROVIDERS
from tests.support.provider_samples import sign_as_retell
from tests.support.world import CALLER, Client, World

pytestmark = pytest.mark.anyio

NUMBERS = itertools.count(1)
NATIVE = [one.name for one in PROVIDERS if one.shop is not None or one.answer_question is not None]


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
    """Signed as by Retell, or proven by the token in the address."""
    body = json.dumps(report)
    headers, query = {}, f"?token=token-{agency_id}"
    if signed_by:
        milliseconds = int(world.clock().timestamp() * 1000)
        headers, query = {"x-retell-signature": sign_as_retell(body.encode(), signed_by, milliseconds)}, ""
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
    assert (call["account_sid"], call["call_sid"], call["to_number"]) == (f"retell/{client.agency_id}", call_id, number)
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


async def test_a_caller_who_hung_up_while_it_rang_is_no_failure(world: World):
    client, number = await buy_from(world, "retell")
    report = retell("call_ended", number, f"retell-{number}", disconnection_reason="error_user_not_joined")
    await post(world, "retell", client.agency_id, report)
    (call,) = await calls(world, client)
    assert (call["outcome"], call["answered_at"]) == ("abandoned", None)
    assert await timeline(world, call["id"]) == ["ai.ended", "call.ended", "call.received"]


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


@pytest.mark.parametrize("said", ["anonymous", "266696687", "+266696687", ""])
async def test_a_withheld_caller_is_called_so_to_the_provider_too(world: World, said):
    client, number = await buy_from(world, "retell")
    question = retell("call_inbound", number, f"retell-{number}", from_number=said)
    answer = await post(world, "retell", client.agency_id, question, signed_by=client.keys["retell"])
    assert answer.json()["call_inbound"]["dynamic_variables"]["caller_number"] == "withheld"
    assert [call["from_number"] for call in await calls(world, client)] == ["withheld"]


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


def end_of(provider: str, number: str, call_id: str, transcript: str) -> dict[str, Any]:
    """The provider's report of an end, with what was said."""
    match provider:
        case "retell":
            return retell("call_ended", number, call_id, **ENDED, transcript=transcript)
        case "vapi":
            said = {"artifact": {"transcript": transcript}, "endedReason": "customer-ended-call", "cost": 0.1}
            return vapi("end-of-call-report", number, call_id, **said)
        case _:
            ended = {"completed": True, "queue_status": "complete", "concatenated_transcript": transcript}
            return {"call_id": call_id, "to": number, "from": CALLER, **ended}


@pytest.mark.parametrize("forger_first", [False, True])
@pytest.mark.parametrize("provider", NATIVE)
async def test_an_agency_that_names_anothers_call_reaches_only_a_call_of_its_own(world: World, provider, forger_first):
    """It has a number at the same provider and its own webhook token, and has learned the id of the other's call."""
    owner, owners_number = await buy_from(world, provider)
    forger, forgers_number = await buy_from(world, provider)
    call_id = f"{provider}-{owners_number}"
    honest = (owner, end_of(provider, owners_number, call_id, "The owner's caller said this."))
    forged = (forger, end_of(provider, forgers_number, call_id, "The forger wrote this, and it is a lot longer."))
    for client, report in (forged, honest) if forger_first else (honest, forged, forged):
        assert (await post(world, provider, client.agency_id, report)).status_code == 204
    for client, said in ((owner, "The owner's"), (forger, "The forger")):
        (call,) = await calls(world, client)
        assert call["transcript"].startswith(said)
        assert (call["client_id"], call["call_sid"]) == (client.client_id, call_id)
        assert await timeline(world, call["id"]) == WHOLE


@pytest.mark.parametrize("provider", NATIVE)
async def test_our_id_of_anothers_call_opens_it_to_nobody(world: World, provider):
    owner, owners_number = await buy_from(world, provider)
    forger, forgers_number = await buy_from(world, provider)
    call_id = f"{provider}-{owners_number}"
    await post(world, provider, owner.agency_id, end_of(provider, owners_number, call_id, "The owner's."))
    (before,) = await calls(world, owner)
    for report in (end_of(provider, forgers_number, call_id, "Forged, longer than the owner's own."),):
        call = report.get("message", report).get("call", report)
        metadata = {"router_call_id": before["id"]}
        if provider == "vapi":
            call["assistantOverrides"] = {"metadata": metadata}
        else:
            call["metadata"] = metadata
        assert (await post(world, provider, forger.agency_id, report)).status_code == 204
    assert [dict(call) for call in await calls(world, owner)] == [dict(before)]
    assert await calls(world, forger) == []


EXTREMES = [0, -1, 1e-9, 86_401, 2**31, 2**63, 1e18, 1e300, "1e999", "9" * 5000, "-1e400", True, None, [], {}]


@pytest.mark.parametrize("extreme", EXTREMES, ids=lambda extreme: repr(extreme)[:12])
@pytest.mark.parametrize("provider", NATIVE)
async def test_no_duration_and_no_cost_loses_the_end_of_a_call(world: World, provider, extreme):
    client, number = await buy_from(world, provider)
    report = end_of(provider, number, f"{provider}-{number}", "Hello?")
    match provider:
        case "retell":
            report["call"] |= {"duration_ms": extreme, "call_cost": {"combined_cost": extreme}}
        case "vapi":
            report["message"] |= {"durationSeconds": extreme, "cost": extreme}
        case _:
            report |= {"corrected_duration": extreme, "call_length": extreme, "price": extreme}
    assert (await post(world, provider, client.agency_id, report)).status_code == 204
    (call,) = await calls(world, client)
    assert (call["outcome"], call["transcript"]) == ("ai", "Hello?")
    assert 0 <= (call["seconds"] or 0) <= 86_400
    assert abs((call["ended_at"] - world.clock()).total_seconds()) < 60
    assert await timeline(world, call["id"]) == WHOLE


@pytest.mark.parametrize("digits", ["9" * 5000, "-" + "9" * 5000, "1e400", "1" + "0" * 400])
async def test_a_number_without_end_is_no_number(world: World, digits):
    """Written as JSON has it, not as a string."""
    client, number = await buy_from(world, "retell")
    report = json.dumps(retell("call_ended", number, f"retell-{number}", **ENDED)).replace("42000", digits)
    address = f"{world.urls[0]}/webhooks/retell/{client.agency_id}?token=token-{client.agency_id}"
    assert (await world.http.post(address, content=report)).status_code == 204
    (call,) = await calls(world, client)
    assert (call["outcome"], call["seconds"]) == ("ai", None)


@pytest.mark.parametrize("began", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59+00:00", "2026-11-30", "soon", 7, None])
async def test_a_date_far_away_says_nothing_about_a_duration(world: World, began):
    client, number = await buy_from(world, "vapi")
    report = end_of("vapi", number, f"vapi-{number}", "Hello?")
    report["message"] |= {"startedAt": began, "endedAt": "2026-11-30T10:00:00Z"}
    assert (await post(world, "vapi", client.agency_id, report)).status_code == 204
    (call,) = await calls(world, client)
    assert (call["outcome"], call["ended_at"] is not None) == ("ai", True)
    assert call["seconds"] in (None, 0)


@pytest.mark.parametrize("text", ["x" * 3000, "x" * 100_000, "a\0b", "\ud800c", "€" * 5000, "\0" * 9 + "d"])
@pytest.mark.parametrize("provider", NATIVE)
async def test_ids_and_names_of_any_length_lose_no_call(world: World, provider, text):
    client, number = await buy_from(world, provider)
    for _ in range(2):
        report = end_of(provider, number, f"{text}-{number}", "Hello?")
        match provider:
            case "retell":
                report["call"] |= {"from_number": text, "disconnection_reason": f"user_{text}"}
            case "vapi":
                report["message"] |= {"customer": {"number": text}, "endedReason": f"customer-{text}"}
            case _:
                report |= {"from": text, "call_ended_by": text, "category": text}
        assert (await post(world, provider, client.agency_id, report)).status_code == 204
    other = end_of(provider, number, f"{text}-{number}-another", "Hello?")
    assert (await post(world, provider, client.agency_id, other)).status_code == 204
    found = await calls(world, client)
    assert [call["outcome"] for call in found] == ["ai", "ai"]
    for call in found:
        assert await timeline(world, call["id"]) == WHOLE
        assert max(len(call["call_sid"]), len(call["from_number"]), len(call["end_reason"] or "")) <= 300
