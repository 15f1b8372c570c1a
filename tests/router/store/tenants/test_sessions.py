"""Sessions that were ended early, and are deleted once they expire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from router.store.guard import Guard
from router.store.pool import Database
from router.store.tenants.sessions import SessionsOnRecord

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def on_record(database: Database, now: datetime = NOW) -> SessionsOnRecord:
    return SessionsOnRecord(database, Guard(), lambda: now)


async def test_an_ended_session_is_known_in_every_process(database: Database):
    await on_record(database).end("one", NOW + timedelta(hours=1))
    assert await on_record(database).has_ended("one")
    assert not await on_record(database).has_ended("another")


async def test_a_session_can_be_ended_twice(database: Database):
    for _ in range(2):
        await on_record(database).end("one", NOW + timedelta(hours=1))
    assert await on_record(database).has_ended("one")


async def test_expired_sessions_are_deleted(database: Database):
    await on_record(database).end("old", NOW + timedelta(hours=1))
    await on_record(database, NOW + timedelta(hours=2)).end("new", NOW + timedelta(hours=14))
    rows = await database.settings.fetch("SELECT id FROM ended_sessions")
    assert [row["id"] for row in rows] == ["new"]


async def test_without_a_database_it_raises_an_oserror(database: Database):
    await database.settings.close()
    with pytest.raises(OSError):
        await on_record(database).has_ended("one")
