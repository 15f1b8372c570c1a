"""What is deleted is gone: from every table, and from the carrier."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.sandbox.world import ACCOUNT_SID
from router.messages import retention
from router.store.calls.sweeps import find_known_calls
from router.tenants import agencies
from tests.router.api.test_calls import file_call, file_voicemail

pytestmark = pytest.mark.anyio

CANARY = "canary-of-what-was-said"
CALLER = "+14155550177"  # who calls in no other test
OLD, NEW = "RE" + "1" * 32, "RE" + "2" * 32


async def file_all(services, sandbox, agency, recording, at, *, name):
    """A call on which something was said, with its message."""
    call_sid = "CA" + recording[2:]
    said = f"{CANARY} {name}"
    await file_call(
        services,
        agency,
        f"call_{name}",
        call_sid=call_sid,
        started_at=at,
        ended_at=at,
        outcome="voicemail",
        from_number=CALLER,
        summary=said,
        transcript=said,
    )
    pool = services.database.settings
    await pool.execute(
        "INSERT INTO call_events (id, call_id, at, event, step, reason) VALUES ($1, $2, $3, 'ai.reported', 'x', $4)",
        f"event_{name}",
        f"call_{name}",
        at,
        said,
    )
    await pool.execute(
        "INSERT INTO call_steps (account_sid, call_sid, step, call_id, claimed_at, answer) "
        "VALUES ($1, $2, 'inbound', $3, $4, $5)",
        ACCOUNT_SID,
        call_sid,
        f"call_{name}",
        at,
        said,
    )
    sandbox.state.twilio.add_recording(ACCOUNT_SID, call_sid, recording, 12)
    await file_voicemail(
        services,
        agency,
        f"voicemail_{name}",
        recording,
        call_id=f"call_{name}",
        at=at,
        from_number=CALLER,
        transcript=said,
    )


async def tables_with(services, text):
    """Every table in which the text stands somewhere."""
    pool = services.database.settings
    names = await pool.fetch(
        "SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'public' AND c.relkind = 'r'"
    )
    found = []
    for row in names:
        query = f"SELECT EXISTS (SELECT FROM {row['name']} t WHERE position($1 IN t::text) > 0)"  # noqa: S608
        if await pool.fetchval(query, text):
            found.append(row["name"])
    return sorted(found)


def recordings(sandbox):
    return set(sandbox.state.twilio.accounts[ACCOUNT_SID].recordings)


async def test_an_agency_says_how_long_what_was_said_is_kept(api):
    agency = await api.new_agency()
    assert (await api.get(agency.path))["retention_days"] is None
    assert (await api.patch(agency.path, {"retention_days": 30}))["retention_days"] == 30
    assert (await api.get(agency.path))["retention_days"] == 30
    assert (await api.patch(agency.path, {"retention_days": None}))["retention_days"] is None
    for days in (0, -1, 4000, "x"):
        assert (await api.send("PATCH", agency.path, {"retention_days": days})).status_code == 422


async def test_after_that_time_it_is_gone_everywhere_and_what_is_newer_stays(
    api, services, sandbox, clock, captured_events
):
    agency, other = await api.new_agency(), await api.new_agency()
    await api.patch(agency.path, {"retention_days": 30})
    await file_all(services, sandbox, agency, OLD, clock() - timedelta(days=31), name="old")
    await file_all(services, sandbox, agency, NEW, clock() - timedelta(days=29), name="new")
    kept = "RE" + "3" * 32
    await file_all(services, sandbox, other, kept, clock() - timedelta(days=300), name="kept")
    everywhere = ["call_events", "call_steps", "calls", "transcripts"]
    assert await tables_with(services, f"{CANARY} old") == everywhere
    await services.areas.retention.apply()
    await services.areas.retention.apply()
    assert await tables_with(services, f"{CANARY} old") == []
    assert await tables_with(services, f"{CANARY} new") == everywhere
    assert await tables_with(services, f"{CANARY} kept") == everywhere
    assert recordings(sandbox) == {NEW, kept}
    call = await api.get(f"{agency.path}/calls/call_old")
    assert (call["from"], call["outcome"], call["events"]) == ("", "voicemail", [])
    line = captured_events.only("retention.applied")
    assert (line["messages"], line["calls"], line["left"]) == (1, 1, 0)


async def test_old_calls_are_forgotten_in_batches_also_one_that_was_recorded_late(
    api, services, sandbox, clock, monkeypatch
):
    monkeypatch.setattr(retention, "_AT_A_TIME", 2)
    agency = await api.new_agency()
    await api.patch(agency.path, {"retention_days": 30})
    for days in range(5):
        await file_all(
            services, sandbox, agency, f"RE{days:032}", clock() - timedelta(days=31 + days), name=f"old{days}"
        )
    await services.areas.retention.apply()
    assert await tables_with(services, f"{CANARY} old") == []
    await file_all(services, sandbox, agency, NEW, clock() - timedelta(days=33), name="late")
    await services.areas.retention.apply()
    assert await tables_with(services, f"{CANARY} late") == []


async def test_an_agency_with_more_calls_than_a_request_can_delete_is_deleted_in_several(
    api, services, sandbox, clock, monkeypatch
):
    monkeypatch.setattr(retention, "_AT_A_TIME", 1)
    monkeypatch.setattr(agencies, "_CALLS_SECONDS", 0)
    agency = await api.new_agency()
    await file_all(services, sandbox, agency, OLD, clock(), name="old")
    answer = await api.send("DELETE", agency.path)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert (await api.send("DELETE", agency.path)).status_code == 204
    assert await tables_with(services, CANARY) == []


async def test_what_the_carrier_does_not_delete_is_tried_the_next_day(api, services, sandbox, clock):
    agency = await api.new_agency()
    await api.patch(agency.path, {"retention_days": 30})
    await file_all(services, sandbox, agency, OLD, clock() - timedelta(days=31), name="old")
    sandbox.state.faults.set("twilio", "503")
    await services.areas.retention.apply()
    assert await tables_with(services, f"{CANARY} old") == []
    assert await tables_with(services, OLD) == ["voicemails"]
    sandbox.state.faults.clear()
    await services.areas.retention.apply()
    assert await tables_with(services, OLD) == []
    assert recordings(sandbox) == set()


async def test_a_call_can_be_deleted_with_all_that_was_said(api, services, sandbox, clock):
    agency, other = await api.new_agency(), await api.new_agency()
    await file_all(services, sandbox, agency, OLD, clock(), name="old")
    path = f"{agency.path}/calls/call_old"
    assert (await api.send("DELETE", f"{other.path}/calls/call_old", token=other.token)).status_code == 404
    sandbox.state.faults.set("twilio", "503")
    assert (await api.send("DELETE", path, token=agency.token)).status_code == 503
    assert OLD in recordings(sandbox)
    sandbox.state.faults.clear()
    assert (await api.send("DELETE", path, token=agency.token)).status_code == 204
    assert (await api.send("DELETE", path, token=agency.token)).status_code == 404
    assert await tables_with(services, CANARY) == []
    assert await tables_with(services, CALLER) == []
    assert recordings(sandbox) == set()
    found = await find_known_calls(services.database.settings, ACCOUNT_SID, ["CA" + OLD[2:]])
    assert found == {"CA" + OLD[2:]}  # so the search of the carrier's list does not file it again


async def test_a_call_that_is_still_on_is_not_deleted(api, services):
    agency = await api.new_agency()
    await file_call(services, agency, "call_1")
    answer = await api.send("DELETE", f"{agency.path}/calls/call_1")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")


async def test_a_deleted_agency_leaves_nothing_that_was_said(api, services, sandbox, clock):
    agency = await api.new_agency()
    await file_all(services, sandbox, agency, OLD, clock(), name="old")
    assert (await api.send("DELETE", agency.path)).status_code == 204
    assert await tables_with(services, CANARY) == []
    assert recordings(sandbox) == set()
