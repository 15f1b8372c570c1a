from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from router.store.numbers.numbers import (
    Number,
    activate_number,
    claim_number,
    confirm_fallback,
    find_number,
    has_number,
    list_numbers,
    want_fallback,
)
from router.store.numbers.registrations import GivenRegistration, save_registration
from router.store.tenants.agencies import Agency, insert_agency
from router.store.tenants.clients import Client, delete_client, insert_client

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NUMBER = Number(
    account_sid="AC1",
    e164="+14155550100",
    agency_id="agency_a",
    client_id="client_a",
    carrier="twilio",
    account="agency",
    number_sid="PN1",
    voice_url="https://calls.example.com/voice",
    fallback_url="https://calls.example.com/fallback?t=1",
    status_url="https://calls.example.com/status",
    state="pending",
    fallback_state="stale",
    created_at=NOW,
)


@pytest.fixture
async def pool(database):
    pool = database.settings
    for letter in "ab":
        await insert_agency(pool, Agency(f"agency_{letter}", "A", None, None, None, None, NOW))
        client = Client(f"client_{letter}", f"agency_{letter}", "C", None, None, None, "caller", {}, None, NOW)
        await insert_client(pool, client)
    return pool


async def test_a_number_is_claimed_once_on_an_account_and_once_in_an_agency(pool):
    assert await claim_number(pool, NUMBER)
    assert not await claim_number(pool, NUMBER)
    assert not await claim_number(pool, replace(NUMBER, agency_id="agency_b", client_id="client_b"))
    assert not await claim_number(pool, replace(NUMBER, account_sid="AC2"))
    elsewhere = replace(NUMBER, account_sid="AC2", agency_id="agency_b", client_id="client_b")
    assert await claim_number(pool, elsewhere)


async def test_only_the_agency_itself_takes_over_its_abandoned_claim_and_never_an_active_number(pool):
    later = NOW + timedelta(seconds=61)
    await claim_number(pool, NUMBER)
    stranger = replace(NUMBER, agency_id="agency_b", client_id="client_b", created_at=later)
    assert not await claim_number(pool, stranger)
    assert await claim_number(pool, replace(NUMBER, created_at=later))
    await activate_number(pool, "agency_a", NUMBER.e164)
    assert not await claim_number(pool, replace(NUMBER, created_at=later + timedelta(days=1)))


async def test_an_outdated_fallback_is_not_confirmed(pool):
    await claim_number(pool, NUMBER)
    await want_fallback(pool, "agency_a", NUMBER.e164, "https://new")
    assert not await confirm_fallback(pool, "agency_a", NUMBER.e164, NUMBER.fallback_url)
    assert (await find_number(pool, "agency_a", NUMBER.e164)).fallback_state == "stale"
    assert await confirm_fallback(pool, "agency_a", NUMBER.e164, "https://new")
    assert (await find_number(pool, "agency_a", NUMBER.e164)).fallback_state == "ok"


async def test_a_number_is_deleted_with_its_client_and_its_registrations_with_it(pool):
    await claim_number(pool, NUMBER)
    await save_registration(pool, "agency_a", NUMBER.e164, "vapi", GivenRegistration("pn-1", None))
    (number,) = await list_numbers(pool, "agency_a")
    assert number.registrations == {"vapi": {"remote_id": "pn-1"}}
    assert await delete_client(pool, "agency_a", "client_a")
    assert not await has_number(pool, "agency_a", NUMBER.e164)
    assert await pool.fetchval("SELECT count(*) FROM registrations") == 0


def test_a_number_does_not_print_its_sealed_fallback():
    assert "fallback?t=" not in repr(NUMBER)
