"""One story per call: what the providers tell, in whatever order, however often, and by whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from adapters.sandbox.carrier import Script
from tests.support.provider_reports import TAKEN
from tests.support.provider_samples import (
    COST,
    ENDS,
    SECONDS,
    SUMMARY,
    TRANSCRIPT,
    UNANSWERED,
    samples,
    tell,
    unanswered,
)
from tests.support.signed_requests import VOICE, call_form, new_call_sid, post_signed
from tests.support.waiting import wait_until
from tests.support.world import ADMIN_TOKEN, PROVIDERS, Client, World

pytestmark = pytest.mark.anyio

OTHERS = {
    "vapi": "speech-update",
    "retell": "transcript_updated",
    "bland": "call",
    "elevenlabs": "post_call_audio",
}


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world


async def start_call(world: World, client: Client) -> tuple[str, str]:
    """A call that the provider has now: our id and Twilio's."""
    form = call_form(client)
    await post_signed(world, VOICE, form, client.auth_token)
    call_id = await world.db.fetchval("SELECT id FROM calls WHERE call_sid = $1", form["CallSid"])
    return call_id, form["CallSid"]


async def events_of(world: World, call_id: str) -> list[tuple[str, str, str]]:
    """Event, step and reason of all that is not about the handoff, by name."""
    rows = await world.db.fetch(
        "SELECT event, step, reason FROM call_events WHERE call_id = $1 AND event !~ '^(handoff|call.received)' "
        "ORDER BY event, reason",
        call_id,
    )
    return [tuple(row) for row in rows]


async def show(world: World, client: Client, call_id: str) -> dict[str, Any]:
    response = await world.http.get(
        f"{world.urls[0]}/v1/agencies/{client.agency_id}/calls/{call_id}",
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
    )
    assert response.status_code == 200, response.text
    return response.json()


def orders(provider: str) -> list[tuple[int, ...]]:
    """As they happen, backwards, the last one first, and all of them twice."""
    places = tuple(range(len(samples(provider, "", ""))))
    return [places, places[::-1], (*places[-1:], *places[:-1]), places * 2]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_reports_in_any_order_tell_one_story(world: World, provider):
    client = await world.add_client(providers=[provider])
    for order in orders(provider):
        call_id, call_sid = await start_call(world, client)
        taken_as = await world.db.fetchval("SELECT provider_call_id FROM calls WHERE id = $1", call_id)
        reports = samples(provider, call_id, call_sid)
        for place in order:
            assert (await tell(world, provider, client, reports[place])).status_code == TAKEN[provider]
        shown = await show(world, client, call_id)
        assert (shown["summary"], shown["transcript"]) == (SUMMARY, TRANSCRIPT)
        assert (shown["cost"], shown["ai_seconds"]) == (COST, pytest.approx(SECONDS, abs=0.5))
        assert (shown["end_reason"], shown["provider_call_id"]) == (ENDS[provider][0], taken_as or f"bland-{call_id}")
        events = await events_of(world, call_id)
        told = [event for event in events if event[0] != "call.answered"]
        assert told == [
            ("ai.ended", "provider", ENDS[provider][0]),
            ("ai.reported", OTHERS[provider], OTHERS[provider]),
        ]
        started_first = provider in ("vapi", "retell") and order[0] == 0
        assert ("call.answered", "ai-1", "ai") in events or not started_first
        await world.db.execute("UPDATE calls SET ended_at = now() WHERE id = $1", call_id)  # it holds no place any more


@pytest.mark.parametrize("provider", ["vapi", "retell"])
async def test_a_late_started_opens_nothing_again(world: World, provider):
    client = await world.add_client(providers=[provider])
    timeline = await world.call(client, Script(caller="hangs-up-while-ringing"))
    before = dict(await world.find_call(timeline))
    started = samples(provider, before["id"], timeline.call_sid)[0]
    assert (await tell(world, provider, client, started)).status_code == 204
    assert dict(await world.find_call(timeline)) == before
    assert before["outcome"] == "abandoned"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_callers_who_hung_up_while_it_rang_are_not_the_providers_failure(world: World, provider):
    """Nor a success: they neither open nor close its circuit."""
    client = await world.add_client(providers=[provider])
    for _ in range(6):
        timeline = await world.call(client, Script(caller="hangs-up-while-ringing"))
        call = await world.find_call(timeline)
        assert (await tell(world, provider, client, unanswered(provider, call["id"], timeline.call_sid))).is_success
    assert (await events_of(world, call["id"]))[0] == ("ai.ended", "provider", UNANSWERED[provider])
    assert (await world.find_call(timeline))["outcome"] == "abandoned"
    assert world.asked_with(client, provider) == 6


@pytest.mark.parametrize("provider", ["vapi", "retell"])
async def test_the_ais_answer_is_noted_once_whichever_report_comes_first(world: World, provider):
    client = await world.add_client(providers=[provider])
    call_sid = new_call_sid()

    async def meanwhile(_: float) -> None:
        call_id = await world.db.fetchval("SELECT id FROM calls WHERE call_sid = $1", call_sid)
        for report in samples(provider, call_id, call_sid)[:1]:
            await tell(world, provider, client, report)

    timeline = await world.call(client, call_sid=call_sid, meanwhile=meanwhile)
    call = await world.find_call(timeline)
    answers = [event for event in await events_of(world, call["id"]) if event[0] == "call.answered"]
    assert answers == [("call.answered", "ai-1", "ai")]
    assert (call["outcome"], call["answered_by"]) == ("ai", "ai")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_report_without_our_id_is_known_by_the_provider_s(world: World, provider):
    client, other = await world.add_client(providers=[provider]), await world.add_client(providers=[provider])
    call_id, call_sid = await start_call(world, client)
    report = samples(provider, "", call_sid)[-1]
    call = report.get("message", report).get("call", report)
    call.pop("metadata" if provider == "retell" else "assistantOverrides", None)
    report.pop("request_data", None)
    if provider == "elevenlabs":
        call = report["data"]
        del call["conversation_initiation_client_data"]
    handed_over = await world.db.fetchval("SELECT provider_call_id FROM calls WHERE id = $1", call_id)
    if handed_over is None:  # Bland names none when it takes a call on
        await world.db.execute("UPDATE calls SET provider_call_id = 'its-own' WHERE id = $1", call_id)
    call[{"vapi": "id", "elevenlabs": "conversation_id"}.get(provider, "call_id")] = handed_over or "its-own"
    await tell(world, provider, other, report)
    assert (await show(world, client, call_id))["summary"] is None
    await tell(world, provider, client, report)
    assert (await show(world, client, call_id))["summary"] == SUMMARY


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_strangers_change_nothing(world: World, provider):
    """One agency's report of another's call is proven, and refused all the same; so is one with a wrong signature."""
    client, other = await world.add_client(providers=[provider]), await world.add_client(providers=[provider])
    call_id, call_sid = await start_call(world, client)
    before = await show(world, client, call_id)
    for report in samples(provider, call_id, call_sid, fault=True):
        assert (await tell(world, provider, other, report)).status_code == TAKEN[provider]
        assert (await tell(world, provider, client, report, signed_by=other)).status_code == 401
    assert await show(world, client, call_id) == before


async def test_other_things_are_kept_by_name_and_not_without_end(world: World):
    client = await world.add_client(providers=["retell"])
    call_id, call_sid = await start_call(world, client)
    call = samples("retell", call_id, call_sid)[0]["call"]
    for number in range(25):
        for _ in range(2):
            report = {"event": f"novelty_{number}", "call": call}
            assert (await tell(world, "retell", client, report)).status_code == 204
    told = [event for event in await events_of(world, call_id) if event[0] == "ai.reported"]
    assert sorted(told) == sorted(("ai.reported", f"novelty_{n}", f"novelty_{n}") for n in range(20))


async def after_the_ai(
    world: World, client: Client, provider: str, report: Callable[[list[dict[str, Any]]], Awaitable[None]]
) -> str:
    """Who answered a call whose provider says why it ended only once Twilio has asked us what comes next."""
    call_sid = new_call_sid()

    async def is_asked() -> Any:
        return await world.db.fetchval(
            "SELECT call_id FROM call_steps WHERE call_sid = $1 AND step LIKE 'ai-%' AND answered_at IS NULL", call_sid
        )

    async def tell_then() -> None:
        await report(samples(provider, await wait_until(is_asked), call_sid, fault=True))

    timeline, _ = await asyncio.gather(world.call(client, call_sid=call_sid), tell_then())
    return timeline.answered_by


@pytest.mark.usefixtures("much_patience")
@pytest.mark.parametrize("how", ["in order", "out of order", "twice"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_provider_s_own_fault_sends_the_caller_to_a_person(world: World, provider, how):
    client = await world.add_client(providers=[provider], routing={"on_failure": "ring_through"})

    async def report(reports: list[dict[str, Any]]) -> None:
        for each in {"out of order": reports[::-1], "twice": reports + reports}.get(how, reports):
            await tell(world, provider, client, each)

    assert await after_the_ai(world, client, provider, report) == "owner"


@pytest.mark.parametrize("how", ["wrong signature", "foreign agency"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_another_agencys_report_of_a_fault_changes_nothing(world: World, provider, how):
    client = await world.add_client(providers=[provider], routing={"on_failure": "ring_through"})
    other = await world.add_client(providers=[provider])

    async def report(reports: list[dict[str, Any]]) -> None:
        for each in reports:
            if how == "wrong signature":
                await tell(world, provider, client, each, signed_by=other)
            else:
                await tell(world, provider, other, each)

    assert await after_the_ai(world, client, provider, report) == "ai"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_caller_whom_we_moved_on_is_not_the_providers_fault(world: World, provider):
    client = await world.add_client(providers=[provider])
    call_id, call_sid = await start_call(world, client)
    await world.db.execute(
        "INSERT INTO call_events (id, call_id, at, event, step) VALUES ($1, $2, now(), 'call.transferring', 'ai-1')",
        f"event_{call_id}",
        call_id,
    )
    for report in samples(provider, call_id, call_sid, fault=True):
        await tell(world, provider, client, report)
    events = [event for event, _, _ in await events_of(world, call_id)]
    assert "ai.ended" in events
    assert "ai.failed" not in events
    assert (await show(world, client, call_id))["end_reason"] == ENDS[provider][1]


async def test_a_call_that_ended_for_want_of_credit_has_the_key_looked_at(world: World):
    client = await world.add_client(providers=["retell"])
    await world.db.execute(
        "UPDATE keys SET check_at = $2, checked_at = $3 WHERE agency_id = $1",
        client.agency_id,
        world.clock() + timedelta(days=1),
        world.clock() - timedelta(hours=1),
    )
    call_id, call_sid = await start_call(world, client)
    for report in samples("retell", call_id, call_sid):
        report["call"]["disconnection_reason"] = "credit_exhausted"
        await tell(world, "retell", client, report)

    async def is_due() -> bool:
        check_at = await world.db.fetchval("SELECT check_at FROM keys WHERE agency_id = $1", client.agency_id)
        return check_at <= world.clock()

    await wait_until(is_due)


async def test_faults_of_its_own_open_the_provider_s_circuit(world: World):
    """Calls that it takes on and then loses: after enough of them it is not asked any more."""
    clients = [await world.add_client(providers=["bland"]) for _ in range(2)]
    for client in clients * 4:
        call_id, call_sid = await start_call(world, client)
        for report in samples("bland", call_id, call_sid, fault=True):
            await tell(world, "bland", client, report)
    asked = world.asked("bland")
    call_id, _ = await start_call(world, clients[0])
    skipped = "SELECT reason FROM call_events WHERE call_id = $1 AND event = 'handoff.skipped'"
    assert await world.db.fetchval(skipped, call_id) == "circuit_open"
    assert world.asked("bland") == asked


async def test_calls_that_end_for_want_of_money_open_the_circuit_of_that_key(world: World):
    """Retell takes each of them on, and drops it. A new key is asked at once."""
    client, other = await world.add_client(providers=["retell"]), await world.add_client(providers=["retell"])
    for _ in range(3):
        call_id, call_sid = await start_call(world, client)
        ended = samples("retell", call_id, call_sid)[2]
        ended["call"]["disconnection_reason"] = "no_valid_payment"
        await tell(world, "retell", client, ended)
    assert world.asked_with(client, "retell") == 3
    await start_call(world, client)
    await start_call(world, other)
    assert (world.asked_with(client, "retell"), world.asked_with(other, "retell")) == (3, 1)
