"""Notices of changed settings: every change, and after a lost connection that something may have changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from router.store import notices as module
from router.store.guard import DatabaseAwayError
from router.store.notices import Notices
from tests.router.store.rows import AT, insert, insert_client
from tests.support.database_proxy import DatabaseProxy, proxied
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.waiting import wait_until

__all__ = ["captured_events"]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def db(database_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_dsn)
    await insert_client(connection, "agency_1", "client_1")
    await insert(connection, "agencies", id="agency_2")
    yield connection
    await connection.close()


@pytest.fixture
async def proxy(database_dsn: str) -> AsyncIterator[DatabaseProxy]:
    async with proxied(database_dsn) as proxy:
        yield proxy
        proxy.go_on()


class Listener:
    """Keeps what it hears, or fails as told."""

    def __init__(self) -> None:
        self.heard: list[str | None] = []
        self.fails_with: Exception | None = None

    async def hear(self, agency_id: str | None) -> None:
        self.heard.append(agency_id)
        if self.fails_with is not None:
            error, self.fails_with = self.fails_with, None
            raise error

    async def wait_for(self, *heard: str | None) -> None:
        """Exactly this, in that order, and forget it."""
        await wait_until(lambda: len(self.heard) >= len(heard))
        assert self.heard == list(heard)
        self.heard.clear()


@contextlib.asynccontextmanager
async def listening(dsn: str) -> AsyncIterator[Listener]:
    listener = Listener()
    task = asyncio.create_task(Notices(dsn, listener.hear).run())
    await listener.wait_for(None)
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


CHANGES = {
    "a new key": (
        "INSERT INTO keys (agency_id, kind, version, sealed, last4, status, checked_at, saved_at) "
        "VALUES ('agency_1', 'retell', 2, 's', '1234', 'valid', now(), now())"
    ),
    "a retired key": "UPDATE keys SET retired_at = now()",
    "a deleted key": "DELETE FROM keys",
    "the active provider": "UPDATE agencies SET active_provider = 'bland' WHERE id = 'agency_1'",
    "a phone": "UPDATE clients SET personal_phone = '+15005550124'",
    "a number that is gone": "DELETE FROM numbers",
    "a registration": "INSERT INTO registrations (agency_id, e164, provider, remote_id) "
    "VALUES ('agency_1', '+15005550001', 'vapi', 'r')",
    "an assistant": "UPDATE assistants SET usable = true",
    "a client that is gone": "DELETE FROM clients",
    "the agency itself": "DELETE FROM agencies WHERE id = 'agency_1'",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_change_is_notified_with_its_agency(database_dsn, db, change):
    await insert(db, "keys", agency_id="agency_1", kind="vapi", sealed="s")
    await insert(db, "assistants", client_id="client_1", provider="vapi")
    async with listening(database_dsn) as listener:
        await db.execute(change)
        await listener.wait_for("agency_1")


async def test_a_change_that_is_rolled_back_is_not_notified(database_dsn, db):
    async with listening(database_dsn) as listener:
        with contextlib.suppress(LookupError):
            async with db.transaction():
                await db.execute("UPDATE clients SET personal_phone = '+15005550124'")
                raise LookupError
        await db.execute("UPDATE agencies SET name = 'Other' WHERE id = 'agency_2'")
        await listener.wait_for("agency_2")


async def test_a_call_sends_no_notice(database_dsn, db):
    async with listening(database_dsn) as listener:
        await insert(db, "calls", id="call_1", call_sid="CA1", agency_id="agency_1", client_id="client_1")
        await db.execute("UPDATE calls SET ended_at = $1", AT)
        await db.execute("UPDATE agencies SET name = 'Other' WHERE id = 'agency_2'")
        await listener.wait_for("agency_2")


async def test_many_changes_of_one_agency_become_few_notices(database_dsn, db):
    async with listening(database_dsn) as listener:
        async with db.transaction():
            for number in range(200):
                await db.execute("UPDATE agencies SET name = $1 WHERE id = 'agency_1'", f"Name {number}")
        await listener.wait_for("agency_1")


@pytest.mark.parametrize("lose", [DatabaseProxy.refuse, DatabaseProxy.stall], ids=["killed", "paused"])
async def test_after_a_lost_connection_everything_may_have_changed(proxy: DatabaseProxy, db, monkeypatch, lose):
    monkeypatch.setattr(module, "_ALIVE_SECONDS", 0.1)
    monkeypatch.setattr("router.store.pool.COMMAND_SECONDS", 0.5)
    async with listening(proxy.dsn) as listener:
        before = proxy.accepted
        lose(proxy)
        await db.execute("UPDATE clients SET personal_phone = '+15005550124'")
        await wait_until(lambda: proxy.accepted > before)
        proxy.go_on()
        await wait_until(lambda: None in listener.heard)
        listener.heard.clear()
        await db.execute("UPDATE agencies SET name = 'Other' WHERE id = 'agency_2'")
        await wait_until(lambda: "agency_2" in listener.heard)


@pytest.mark.parametrize("error", [DatabaseAwayError(), asyncpg.PostgresError("odd"), KeyError("days")], ids=repr)
async def test_a_listener_that_missed_notices_is_told_to_look_for_changes(
    database_dsn, db, captured_events: CapturedEvents, error
):
    async with listening(database_dsn) as listener:
        listener.fails_with = error
        await db.execute("UPDATE clients SET personal_phone = '+15005550124'")
        await listener.wait_for("agency_1", None)
    assert len(captured_events.named("request.failed")) == isinstance(error, KeyError)


async def test_a_database_that_is_away_at_the_start_is_listened_to_later(proxy: DatabaseProxy, db):
    proxy.refuse()
    listener = Listener()
    task = asyncio.create_task(Notices(proxy.dsn, listener.hear).run())
    await wait_until(lambda: proxy.accepted > 0)
    assert listener.heard == []
    proxy.go_on()
    await listener.wait_for(None)
    await db.execute("UPDATE clients SET personal_phone = '+15005550124'")
    await listener.wait_for("agency_1")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_listener_that_never_gets_its_database_says_so_once(monkeypatch, captured_events: CapturedEvents):
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(module, "_TOLD_AFTER", 2)
    tries = []

    async def refuse(_dsn: str) -> None:
        tries.append(1)
        raise ConnectionRefusedError

    monkeypatch.setattr(module, "connect", refuse)
    task = asyncio.create_task(Notices("postgresql://nobody@127.0.0.1:1/none", Listener().hear).run())
    await wait_until(lambda: len(tries) > 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert captured_events.only("settings.warning")["setting"] == "CALLROUTER_DATABASE_DIRECT_URL"
