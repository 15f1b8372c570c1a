"""Versions of keys that were replaced: kept while a call may need them, and no longer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import count

import pytest

from adapters.sandbox.world import VAPI_KEY

pytestmark = pytest.mark.anyio

CALLS = count()


@pytest.fixture
def erase(services):
    return services.areas.key_rounds.erase_retired


@pytest.fixture
async def agency(api, clock):
    """With a key that was replaced after two hours."""
    agency = await api.new_agency()
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    clock.move(hours=2)
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    return agency


@pytest.fixture
def place(services, clock):
    """Note a call in which a provider was asked, so many minutes ago; it is still on, or ended some minutes ago."""

    async def place(agency_id, provider="vapi", *, began, ended=None):
        number = next(CALLS)
        pool = services.database.settings
        await pool.execute(
            "INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at, "
            "ended_at) VALUES ($1, 'AC', $1, $2, 'client', '+1', '+2', $3, $4)",
            f"call_{number}",
            agency_id,
            clock.now - timedelta(minutes=began),
            None if ended is None else clock.now - timedelta(minutes=ended),
        )
        await pool.execute(
            "INSERT INTO call_events (id, call_id, at, event, step, provider) "
            "VALUES ($1, $2, $3, 'handoff.requested', 'inbound', $4)",
            f"event_{number}",
            f"call_{number}",
            clock.now,
            provider,
        )
        return f"call_{number}"

    return place


async def versions(services, agency, kind="vapi"):
    rows = await services.database.settings.fetch(
        "SELECT version FROM keys WHERE agency_id = $1 AND kind = $2 ORDER BY version", agency.id, kind
    )
    return [row["version"] for row in rows]


async def test_without_a_call_it_goes_after_an_hour(services, agency, erase, clock, captured_events):
    clock.move(minutes=59)
    await erase()
    assert await versions(services, agency) == [1, 2]
    clock.move(minutes=2)
    await erase()
    assert await versions(services, agency) == [2]
    line = captured_events.only("key.erased")
    assert (line["agency_id"], line["kind"], line["key_version"]) == (agency.id, "vapi", 1)


async def test_it_stays_until_an_hour_after_the_last_call_that_used_it(services, agency, erase, clock, place):
    call = await place(agency.id, began=10)
    clock.move(hours=3)
    await erase()
    assert await versions(services, agency) == [1, 2], "the call is still on"
    await services.database.settings.execute("UPDATE calls SET ended_at = $2 WHERE id = $1", call, clock.now)
    clock.move(minutes=59)
    await erase()
    assert await versions(services, agency) == [1, 2]
    clock.move(minutes=2)
    await erase()
    assert await versions(services, agency) == [2]


async def test_calls_that_did_not_use_it_do_not_keep_it(services, api, agency, erase, clock, place):
    other = await api.new_agency()
    await place(agency.id, "retell", began=10)
    await place(other.id, began=10)
    await place(agency.id, began=100, ended=5)
    clock.move(minutes=61)
    await place(agency.id, began=30)
    await erase()
    assert await versions(services, agency) == [2]


async def test_after_a_day_it_goes_whatever_call_is_on(services, agency, erase, clock, place):
    await place(agency.id, began=10)
    clock.move(hours=23.9)
    await erase()
    assert await versions(services, agency) == [1, 2]
    clock.move(hours=0.2)
    await erase()
    assert await versions(services, agency) == [2]


async def test_an_accounts_former_token_stays_for_the_day_that_a_rotation_may_take(
    api, services, erase, clock, sandbox
):
    account = sandbox.state.twilio.add_account("AC" + "0e" * 16, "token-of-the-agencys-own-account")
    agency = await api.new_agency()
    for _ in range(2):
        body = {"account_sid": account.sid, "auth_token": account.auth_token}
        await api.put(f"{agency.path}/keys/twilio", body)
    clock.move(hours=23.9)
    await erase()
    assert await versions(services, agency, "twilio") == [1, 2]
    clock.move(hours=0.2)
    await erase()
    assert await versions(services, agency, "twilio") == [2]


async def test_a_key_in_use_is_never_touched(services, agency, erase, clock):
    clock.move(hours=10_000)
    await erase()
    assert await versions(services, agency) == [2]


async def test_several_processes_may_do_it_at_once(services, agency, erase, clock, captured_events):
    clock.move(hours=2)
    await asyncio.gather(*(erase() for _ in range(3)))
    assert await versions(services, agency) == [2]
    captured_events.only("key.erased")
