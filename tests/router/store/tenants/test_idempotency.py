from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from router.store.tenants.idempotency import claim_key, find_reply, release_key, store_reply, sweep_replies

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
KEY = ("token_1 POST /v1/agencies", "order-66")


async def test_of_many_requests_at_once_one_gets_the_work(database):
    claims = [claim_key(database.settings, *KEY, b"hash", NOW) for _ in range(10)]
    assert sorted(await asyncio.gather(*claims)) == [False] * 9 + [True]


async def test_an_answer_stays_and_is_not_released(database):
    await claim_key(database.settings, *KEY, b"hash", NOW)
    await store_reply(database.settings, *KEY, 201, "sealed", "agency_a")
    await release_key(database.settings, *KEY)
    stored = await find_reply(database.settings, *KEY)
    assert (stored.request_hash, stored.status, stored.reply) == (b"hash", 201, "sealed")
    assert "sealed" not in repr(stored)
    assert not await claim_key(database.settings, *KEY, b"hash", NOW + timedelta(hours=1))


async def test_a_released_key_is_free(database):
    await claim_key(database.settings, *KEY, b"hash", NOW)
    await release_key(database.settings, *KEY)
    assert await claim_key(database.settings, *KEY, b"other", NOW)


async def test_an_abandoned_claim_is_taken_over_for_the_same_body_only(database):
    await claim_key(database.settings, *KEY, b"hash", NOW)
    later = NOW + timedelta(seconds=61)
    assert not await claim_key(database.settings, *KEY, b"other", later)
    assert await claim_key(database.settings, *KEY, b"hash", later)
    assert not await claim_key(database.settings, *KEY, b"hash", later)


async def test_replies_older_than_a_day_are_deleted(database):
    await claim_key(database.settings, "scope", "old", b"hash", NOW - timedelta(hours=25))
    await claim_key(database.settings, "scope", "new", b"hash", NOW - timedelta(hours=23))
    await sweep_replies(database.settings, NOW)
    assert [row["key"] for row in await database.settings.fetch("SELECT key FROM idempotency_keys")] == ["new"]
