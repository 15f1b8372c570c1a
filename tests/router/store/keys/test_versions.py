from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from crypto import Keyring, OpenError, Secret, new_key_entry
from router.store.keys.versions import StoredKey, find_account_key, find_key_in_use, replace_key, take_version
from router.store.sealed import key_context
from router.store.tenants.agencies import Agency, insert_agency

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def keyring():
    return Keyring.parse(new_key_entry())


@pytest.fixture
async def pool(database):
    for agency_id in ("agency_a", "agency_b"):
        await insert_agency(database.settings, Agency(agency_id, "A", None, None, None, None, NOW))
    return database.settings


def stored(keyring, agency_id, version=1, **fields):
    key = StoredKey(
        agency_id=agency_id,
        kind="vapi",
        version=version,
        sealed=keyring.seal(Secret(f"key of {agency_id}"), *key_context(agency_id, "vapi", version)),
        webhook_sealed=None,
        webhook_token_sealed=None,
        account_sid=None,
        last4="1234",
        status="valid",
        checked_at=NOW,
        saved_at=NOW,
    )
    return replace(key, **fields)


async def test_a_row_swapped_with_another_agencys_does_not_open(pool, keyring):
    for agency_id in ("agency_a", "agency_b"):
        await replace_key(pool, stored(keyring, agency_id))
    await pool.execute(
        """
        UPDATE keys k SET sealed = other.sealed FROM keys other WHERE other.agency_id <> k.agency_id
        """
    )
    for agency_id in ("agency_a", "agency_b"):
        key = await find_key_in_use(pool, agency_id, "vapi")
        with pytest.raises(OpenError):
            keyring.open(key.sealed, *key_context(agency_id, "vapi", key.version))


async def test_a_row_under_another_version_does_not_open(pool, keyring):
    await replace_key(pool, stored(keyring, "agency_a"))
    await pool.execute("UPDATE keys SET version = 2")
    key = await find_key_in_use(pool, "agency_a", "vapi")
    with pytest.raises(OpenError):
        keyring.open(key.sealed, *key_context("agency_a", "vapi", key.version))


async def test_the_same_key_is_sealed_into_other_text_each_time(keyring):
    sealed = {stored(keyring, "agency_a").sealed for _ in range(50)}
    assert len(sealed) == 50


async def test_the_database_allows_only_one_version_in_use(pool, keyring):
    await replace_key(pool, stored(keyring, "agency_a", 1))
    await replace_key(pool, stored(keyring, "agency_a", 2, saved_at=NOW + timedelta(hours=1)))
    assert (await find_key_in_use(pool, "agency_a", "vapi")).version == 2
    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute("UPDATE keys SET retired_at = NULL")


async def test_versions_are_counted_for_each_agency_and_kind(pool):
    assert [await take_version(pool, "agency_a", "vapi") for _ in range(3)] == [1, 2, 3]
    assert await take_version(pool, "agency_a", "bland") == 1
    assert await take_version(pool, "agency_b", "vapi") == 1


async def test_an_account_is_opened_with_the_newest_version_of_the_agencys_key(pool, keyring):
    account = {"kind": "twilio", "account_sid": "AC1"}
    await replace_key(pool, stored(keyring, "agency_a", 1, **account))
    await replace_key(pool, stored(keyring, "agency_a", 2, **account))
    assert (await find_account_key(pool, "agency_a", "AC1")).version == 2
    assert await find_account_key(pool, "agency_b", "AC1") is None


def test_a_stored_key_does_not_print_its_sealed_values(keyring):
    key = stored(keyring, "agency_a", webhook_sealed="1.k.hooks", webhook_token_sealed="1.k.token")
    for sealed in (key.sealed, key.webhook_sealed, key.webhook_token_sealed):
        assert sealed not in repr(key)
