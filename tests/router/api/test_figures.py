"""An agency's figures: who answered, how fast, which outages its callers did not notice, what it cost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest
from starlette.applications import Starlette

from router.store.pool import make_database
from tests.router.api.client import ADMIN_TOKEN, Api
from tests.router.api.test_calls import BEGAN, file_call
from tests.support.serving import serve_app
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

MARCH = {"from": "2026-03-01", "to": "2026-03-31"}


async def file_ended(services, agency, call_id, outcome, *, minutes=0.0, waited=None, length=60, **fields):
    began = BEGAN + timedelta(minutes=minutes)
    answered = None if waited is None else began + timedelta(seconds=waited)
    fields = {"ended_at": began + timedelta(seconds=length), "seconds": length} | fields
    await file_call(services, agency, call_id, minutes, outcome=outcome, answered_at=answered, **fields)


async def note(services, call_id, event, reason=None, *, provider="vapi", minutes=0.0):
    await services.database.settings.execute(
        "INSERT INTO call_events (id, call_id, at, event, step, provider, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        f"event_{call_id}_{event}",
        call_id,
        BEGAN + timedelta(minutes=minutes),
        event,
        "inbound",
        provider,
        reason,
    )


@pytest.fixture
async def agency(api):
    return await api.new_agency()


async def test_without_calls_there_is_nothing_to_share(api, agency):
    assert await api.get(f"{agency.path}/figures", token=agency.token) == {
        "from": "2026-01-31T12:00:00Z",
        "to": "2026-03-02T12:00:00Z",
        "calls": 0,
        "answered_by": {"ai": 0, "owner": 0, "voicemail": 0, "nobody": 0},
        "shares": {"ai": 0.0, "owner": 0.0, "voicemail": 0.0, "nobody": 0.0},
        "time_to_answer": {"p50": None, "p99": None},
        "outage_absorbed_minutes": 0,
        "cost": {"total": 0.0, "by_provider": {}, "by_client": []},
        "seconds": {"total": 0, "by_provider": {}},
    }


async def test_calls_are_counted_by_who_answered(api, services, agency):
    await file_ended(services, agency, "call_1", "ai", provider="vapi", waited=1)
    await file_ended(services, agency, "call_2", "ai", provider="retell", waited=3)
    await file_ended(services, agency, "call_3", "owner", waited=20)
    await file_ended(services, agency, "call_4", "voicemail", waited=2)
    await file_ended(services, agency, "call_5", "abandoned")
    figures = await api.get(f"{agency.path}/figures", params=MARCH)
    assert figures["calls"] == 5
    assert figures["answered_by"] == {"ai": 2, "owner": 1, "voicemail": 1, "nobody": 1}
    assert figures["shares"] == {"ai": 0.4, "owner": 0.2, "voicemail": 0.2, "nobody": 0.2}
    assert figures["time_to_answer"]["p50"] == pytest.approx(2.5)
    assert figures["time_to_answer"]["p99"] == pytest.approx(19.49)


async def test_the_same_calls_are_counted_by_day(api, services, agency):
    midnight = 15 * 60  # minutes after the first call
    await file_ended(services, agency, "call_1", "ai", provider="vapi", waited=1, cost=0.25)
    await file_ended(services, agency, "call_2", "owner", minutes=midnight - 1, waited=20)
    await note(services, "call_2", "handoff.failed", "key_rejected", minutes=midnight - 1)
    await file_ended(services, agency, "call_3", "abandoned", minutes=midnight)
    await note(services, "call_3", "handoff.failed", "timeout", minutes=midnight, provider="retell")
    await file_ended(services, agency, "call_4", "rejected", minutes=midnight)
    other = await api.new_agency()
    await file_ended(services, other, "call_5", "ai", provider="vapi", waited=1, cost=1)
    answer = await api.get(f"{agency.path}/figures/days", params={"from": "2026-03-01", "to": "2026-03-04"})
    assert (answer["from"], answer["to"]) == ("2026-03-01T00:00:00Z", "2026-03-05T00:00:00Z")
    empty, first, second, last = answer["days"]
    assert (empty["day"], empty["calls"], empty["time_to_answer"]["p50"]) == ("2026-03-01", 0, None)
    assert last == empty | {"day": "2026-03-04"}
    assert first["answered_by"] == {"ai": 1, "owner": 1, "voicemail": 0, "nobody": 0}
    assert first["time_to_answer"] == {"p50": pytest.approx(10.5), "p99": pytest.approx(19.81)}
    assert (first["cost"], first["failures"]) == (0.25, {"vapi": 1})
    assert second["answered_by"] == {"ai": 0, "owner": 0, "voicemail": 0, "nobody": 1}
    assert (second["cost"], second["failures"]) == (0.0, {"retell": 1})


async def test_calls_that_are_on_or_were_none_are_not_counted(api, services, agency):
    await file_call(services, agency, "call_1")
    await file_call(services, agency, "call_2", outcome="voicemail")
    await file_ended(services, agency, "call_3", "rejected")
    assert (await api.get(f"{agency.path}/figures", params=MARCH))["calls"] == 0


async def test_cost_and_length_are_given_by_provider_and_by_client(api, services, agency):
    client = await api.post(f"{agency.path}/clients", {"name": "Acme"})
    mine = {"client_id": client["id"]}
    await file_ended(services, agency, "call_1", "ai", provider="vapi", waited=1, cost=0.25, **mine)
    await file_ended(services, agency, "call_2", "ai", provider="bland", waited=1, cost=0.5, length=30, **mine)
    await file_ended(services, agency, "call_3", "owner", waited=1, length=10, client_id="client_gone")
    figures = await api.get(f"{agency.path}/figures", params=MARCH)
    assert figures["cost"] == {
        "total": 0.75,
        "by_provider": {"vapi": 0.25, "bland": 0.5},
        "by_client": [
            {"client_id": client["id"], "client_name": "Acme", "calls": 2, "seconds": 90, "cost": 0.75},
            {"client_id": "client_gone", "client_name": None, "calls": 1, "seconds": 10, "cost": 0.0},
        ],
    }
    assert figures["seconds"] == {"total": 100, "by_provider": {"vapi": 60, "bland": 30}}


async def test_what_an_ai_cost_before_it_put_the_caller_through_is_still_its_provider_s(api, services, agency):
    await file_ended(services, agency, "call_1", "owner", waited=1, cost=0.2, length=300, ai_seconds=40.4)
    await note(services, "call_1", "call.answered", "ai", provider="retell")
    figures = await api.get(f"{agency.path}/figures", params=MARCH)
    assert figures["cost"]["by_provider"] == {"retell": 0.2}
    assert figures["seconds"] == {"total": 300, "by_provider": {"retell": 40}}


async def test_minutes_of_an_outage_count_once_and_only_if_somebody_else_took_the_call(api, services, agency):
    await file_ended(services, agency, "call_1", "ai", provider="retell", waited=7)
    await note(services, "call_1", "handoff.failed", "timeout")
    await file_ended(services, agency, "call_2", "owner", minutes=0.5, waited=12)
    await note(services, "call_2", "handoff.skipped", "circuit_open", minutes=0.5)
    await file_ended(services, agency, "call_3", "voicemail", minutes=1, waited=9)
    await note(services, "call_3", "handoff.failed", "provider_error", minutes=1)
    await file_ended(services, agency, "call_4", "abandoned", minutes=2)
    await note(services, "call_4", "handoff.failed", "unreachable", minutes=2)
    await file_ended(services, agency, "call_5", "ai", minutes=3, provider="bland", waited=2)
    await note(services, "call_5", "handoff.failed", "key_rejected", minutes=3)
    await file_ended(services, agency, "call_6", "ai", minutes=4, provider="bland", waited=2)
    await note(services, "call_6", "handoff.skipped", "no_key", minutes=4)
    assert (await api.get(f"{agency.path}/figures", params=MARCH))["outage_absorbed_minutes"] == 2


async def test_another_agency_s_calls_are_not_counted(api, services, agency):
    other = await api.new_agency()
    await file_ended(services, other, "call_1", "ai", provider="vapi", waited=1, cost=1)
    await note(services, "call_1", "handoff.failed", "timeout")
    figures = await api.get(f"{agency.path}/figures", params=MARCH, token=agency.token)
    assert (figures["calls"], figures["cost"]["total"], figures["outage_absorbed_minutes"]) == (0, 0, 0)
    assert (await api.refusal("GET", f"{other.path}/figures", token=agency.token)).status == 404


@pytest.mark.parametrize(
    ("span", "count"),
    [
        ({"from": "2026-03-02", "to": "2026-03-02"}, 2),
        ({"from": "2026-03-02T09:00:00Z", "to": "2026-03-02T10:00:00Z"}, 1),
        ({"from": "2026-03-02T10:00:00.5+01:00", "to": "2026-03-02T15:00:00+05:00"}, 0),
        ({"from": "2026-03-02T10:00:00+01:00", "to": "2026-03-02T10:00:00.001Z"}, 2),
        ({"from": "2026-03-02T09:30:00Z"}, 1),
        ({"to": "2026-03-02T09:30:00Z"}, 1),
    ],
)
async def test_the_span_begins_at_its_first_moment_and_ends_before_its_last(api, services, agency, span, count):
    await file_ended(services, agency, "call_1", "ai")
    await file_ended(services, agency, "call_2", "ai", minutes=60)
    assert (await api.get(f"{agency.path}/figures", params=span))["calls"] == count


@pytest.mark.parametrize(
    ("span", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-02-30"}, "from"),
        ({"to": "2026-03-02T10:00:00"}, "to"),
        ({"to": "1772445600"}, "to"),
        ({"to": "9999-12-31"}, "to"),
        ({"from": "2026-03-03", "to": "2026-03-02"}, "from"),
        ({"from": "2025-01-01", "to": "2026-03-02"}, "from"),
        ({"to": "0001-01-01"}, "to"),
    ],
)
async def test_a_span_that_is_none_is_refused_with_the_reason(api, agency, span, field):
    problem = await api.refusal("GET", f"{agency.path}/figures", params=span)
    assert (problem.status, problem.name, problem.fields) == (422, "invalid", (field,))


async def test_counts_that_hang_keep_nothing_else_waiting_and_end_with_a_reason(services, agency, database_dsn):
    holder = await asyncpg.connect(database_dsn)
    async with (
        make_database(database_dsn, figures_seconds=1).opened() as database,
        serve_app(Starlette(routes=replace(services, database=database).api_routes())) as url,
        Api.connect(url, ADMIN_TOKEN) as api,
    ):
        async with holder.transaction():
            await holder.execute("LOCK TABLE calls IN ACCESS EXCLUSIVE MODE")
            counts = [asyncio.create_task(api.refusal("GET", f"{agency.path}/figures")) for _ in range(30)]
            await wait_until(lambda: holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
            await api.get(f"{agency.path}/clients", token=agency.token)
            assert await database.webhooks.fetchval("SELECT 1") == 1
            ends = await asyncio.gather(*counts)
        assert {(end.status, end.name) for end in ends} == {(503, "unavailable")}
        assert "shorter span" in ends[0].detail
        assert (await api.get(f"{agency.path}/figures"))["calls"] == 0
    await holder.close()
