"""The recorder: what happened on a call is on disk when it says so, once, whatever the database does meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from crypto import Keyring, new_key_entry
from router.calls import recorder as module
from router.calls.recorder import Recorder
from router.calls.spool import Spool
from router.store.calls.records import (
    EndCall,
    InsertEvent,
    InsertVoicemail,
    Record,
    SetAnswered,
    SetProvider,
    SetSeconds,
)
from router.store.guard import Guard
from router.store.pool import connect
from router.telemetry import metrics
from tests.support.database_proxy import DatabaseProxy, proxied
from tests.support.log_capture import captured_events
from tests.support.waiting import PATIENCE, wait_until

__all__ = ["captured_events"]

pytestmark = pytest.mark.anyio

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CALL = "call_1"


@pytest.fixture
async def db(database_dsn: str) -> AsyncIterator[Any]:
    """The test's own eyes on the database, which has one call."""
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("INSERT INTO agencies (id, name, created_at) VALUES ('agency_1', 'Agency', $1)", AT)
    await connection.execute(
        "INSERT INTO calls (id, account_sid, call_sid, agency_id, client_id, from_number, to_number, started_at) "
        "VALUES ($1, 'AC1', 'CA1', 'agency_1', 'client_1', '+14155550123', '+15005550001', $2)",
        CALL,
        AT,
    )
    yield connection
    await connection.close()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", Keyring.parse(new_key_entry()))


@pytest.fixture
def full_spool(tmp_path: Path) -> Spool:
    """One that takes nothing."""
    return Spool(tmp_path / "full", Keyring.parse(new_key_entry()), most_bytes=0)


@contextlib.asynccontextmanager
async def running(dsn: str, spool: Spool) -> AsyncIterator[Recorder]:
    recorder = Recorder(partial(connect, dsn), Guard(), spool)
    recorder.start()
    try:
        yield recorder
    finally:
        await recorder.aclose()


@pytest.fixture
async def recorder(database_dsn: str, db, spool: Spool) -> AsyncIterator[Recorder]:  # noqa: ARG001 - the call is there
    async with running(database_dsn, spool) as recorder:
        yield recorder


@pytest.fixture
async def proxy(database_dsn: str) -> AsyncIterator[DatabaseProxy]:
    async with proxied(database_dsn) as proxy:
        yield proxy


def event(number: int) -> Record:
    return InsertEvent(f"event_{number:06d}", CALL, AT, "call.received", step=f"step-{number}")


async def events(db) -> list[int]:
    rows = await db.fetch("SELECT id FROM call_events ORDER BY id")
    return [int(row["id"].removeprefix("event_")) for row in rows]


async def arrive(db, *numbers: int) -> None:
    """These events, each once and no others, come to stand in the database."""

    async def are_there() -> bool:
        return await events(db) == list(numbers)

    await wait_until(are_there)


@contextlib.asynccontextmanager
async def locked(db, table: str) -> AsyncIterator[None]:
    """Locks the table: other writers wait."""
    async with db.transaction():
        await db.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        yield


async def is_held_up(dsn: str) -> None:
    """Somebody waits for a lock."""
    connection = await asyncpg.connect(dsn)
    await wait_until(lambda: connection.fetchval("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"))
    await connection.close()


async def test_what_was_noted_is_there_after_the_flush(recorder: Recorder, db):
    recorder.note(event(1), event(2))
    assert await recorder.flush(PATIENCE)
    assert await events(db) == [1, 2]


async def test_with_nothing_to_write_a_flush_does_not_wait(recorder: Recorder):
    assert await recorder.flush(0)


async def test_calls_at_once_are_written_in_few_commits(recorder: Recorder, db, database_dsn):
    async def call(number: int) -> bool:
        recorder.note(event(2 * number), event(2 * number + 1))
        return await recorder.flush(PATIENCE)

    async with locked(db, "call_events"):
        first = asyncio.create_task(call(0))
        await is_held_up(database_dsn)
        others = [asyncio.create_task(call(number)) for number in range(1, 200)]
        await wait_until(lambda: recorder._noted == 400)
    assert all(await asyncio.gather(first, *others))
    assert await events(db) == list(range(400))
    assert await db.fetchval("SELECT count(DISTINCT xmin::text) FROM call_events") == 2


async def test_a_flush_waits_until_it_is_durable(recorder: Recorder, db, database_dsn):
    async with locked(db, "call_events"):
        recorder.note(event(1))
        flush = asyncio.create_task(recorder.flush(PATIENCE))
        await is_held_up(database_dsn)
        assert not flush.done()
        assert not await recorder.flush(0.05)
    assert await flush
    assert await events(db) == [1]


async def test_a_flush_waits_for_what_was_noted_before_it_and_for_no_more(recorder: Recorder, db, database_dsn):
    async with locked(db, "call_events"):
        recorder.note(event(1))
        first = asyncio.create_task(recorder.flush(PATIENCE))
        await is_held_up(database_dsn)
        recorder.note(event(2))
    assert await first
    assert 1 in await events(db)
    assert await recorder.flush(PATIENCE)
    assert await events(db) == [1, 2]


async def test_a_flush_that_gives_up_loses_no_records(recorder: Recorder, db, database_dsn):
    async with locked(db, "call_events"):
        recorder.note(event(1))
        flush = asyncio.create_task(recorder.flush(PATIENCE))
        await is_held_up(database_dsn)
        flush.cancel()
        await asyncio.gather(flush, return_exceptions=True)
    assert await recorder.flush(PATIENCE)
    assert await events(db) == [1]


async def test_the_order_is_kept(recorder: Recorder, db):
    for number in range(1500):
        recorder.note(SetSeconds(CALL, number), event(number), SetProvider(CALL, f"provider-{number}", AT))
    assert await recorder.flush(PATIENCE)
    await wait_until(lambda: not recorder.spooling)  # a busy machine takes the long way, in the same order
    call = await db.fetchrow("SELECT seconds, provider FROM calls WHERE id = $1", CALL)
    assert tuple(call) == (1499, "provider-1499")
    assert await events(db) == list(range(1500))


REFUSED = {
    "a number that the column cannot hold": SetSeconds(CALL, 2**40),
    "a text that PostgreSQL cannot hold": SetProvider(CALL, "a\x00b", AT),
    "a text that is no Unicode": SetProvider(CALL, "a\ud800b", AT),
    "a value of another type": SetSeconds(CALL, "many"),  # type: ignore[arg-type]
    "a value that has no form in JSON": SetSeconds(CALL, object()),  # type: ignore[arg-type]
    "a row that may not be": InsertVoicemail(
        "voicemail_1",
        account_sid="AC1",
        recording_sid="RE1",
        call_id=CALL,
        agency_id="nobody",
        client_id="client_1",
        from_number="+1",
        at=AT,
        seconds=1,
    ),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
async def test_a_write_that_is_refused_takes_no_other_along(recorder: Recorder, db, captured_events, refused):
    recorder.note(event(1), refused, event(2), event(3))
    assert await recorder.flush(PATIENCE)
    recorder.note(event(4))
    assert await recorder.flush(PATIENCE)
    assert await events(db) == [1, 2, 3, 4]
    assert captured_events.only("recorder.failed")["count"] == 1
    assert captured_events.named("database.lost") == []
    assert not recorder.spooling


async def test_an_end_that_comes_second_still_tells_who_answered_and_for_how_long(recorder: Recorder, db):
    recorder.note(EndCall(CALL, "end_1", AT, "abandoned", None))
    assert await recorder.flush(PATIENCE)
    recorder.note(SetAnswered(CALL, "ai", "vapi", AT), EndCall(CALL, "end_1", AT, "ai", 42))
    assert await recorder.flush(PATIENCE)
    call = await db.fetchrow(
        "SELECT outcome, answered_by, provider, answered_at, seconds FROM calls WHERE id = $1", CALL
    )
    assert tuple(call) == ("abandoned", "ai", "vapi", AT, 42)


@pytest.mark.parametrize("deadlocks", [1, 4])
async def test_a_deadlock_with_another_process_costs_no_record(recorder: Recorder, db, captured_events, deadlocks):
    await db.execute(
        f"""
        CREATE SEQUENCE deadlocks;
        CREATE FUNCTION stop_some() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('deadlocks') <= {deadlocks} THEN RAISE EXCEPTION USING ERRCODE = 'deadlock_detected'; END IF;
                RETURN NEW;
            END
            $$;
        CREATE TRIGGER stopping BEFORE INSERT ON call_events FOR EACH ROW EXECUTE FUNCTION stop_some();
        """
    )
    recorder.note(event(1))
    assert await recorder.flush(PATIENCE)
    await arrive(db, 1)
    assert captured_events.named("recorder.failed") == []


async def test_after_a_lost_connection_everything_arrives_once(recorder: Recorder, db, captured_events):
    recorder.note(event(1))
    assert await recorder.flush(PATIENCE)
    assert await db.fetchval(
        "SELECT bool_and(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    recorder.note(event(2), SetSeconds(CALL, 7))
    recorder.note(event(3))
    assert await recorder.flush(PATIENCE)
    await arrive(db, 1, 2, 3)
    await wait_until(lambda: not recorder.spooling)
    assert await db.fetchval("SELECT seconds FROM calls WHERE id = $1", CALL) == 7
    await wait_until(lambda: not recorder.spooling)
    # Noticed while writing, or before: then the connection is simply opened again.
    assert sorted(captured_events.names()) in ([], ["database.lost", "database.regained", "spool.replayed"])


async def test_what_was_written_without_our_knowing_is_not_written_again(proxy: DatabaseProxy, db, spool: Spool):
    """The commit went through, its confirmation did not."""
    async with running(proxy.dsn, spool) as recorder:
        recorder.note(event(1))
        assert await recorder.flush(PATIENCE)
        proxy.stall_behind(b"event_000002")
        recorder.note(event(2), event(3))
        await arrive(db, 1, 2, 3)
        proxy.refuse()
        assert await recorder.flush(PATIENCE)
        assert recorder.spooling
        proxy.go_on()
        await wait_until(lambda: not recorder.spooling)
        assert await events(db) == [1, 2, 3]


async def test_while_the_database_is_away_everything_is_kept_on_disk_and_arrives_once(
    proxy: DatabaseProxy, db, spool: Spool, captured_events
):
    async with running(proxy.dsn, spool) as recorder:
        recorder.note(event(0))
        assert await recorder.flush(PATIENCE)
        proxy.refuse()
        for number in range(1, 300):
            recorder.note(event(number), SetSeconds(CALL, number))
            assert await recorder.flush(PATIENCE)
        assert recorder.spooling
        assert REGISTRY.get_sample_value("callrouter_spool_bytes") == spool.size() > 0
        assert await events(db) == [0]
        proxy.go_on()
        await wait_until(lambda: not recorder.spooling)
        recorder.note(event(300))
        assert await recorder.flush(PATIENCE)
    assert await events(db) == list(range(301))
    assert await db.fetchval("SELECT seconds FROM calls WHERE id = $1", CALL) == 299
    assert REGISTRY.get_sample_value("callrouter_spool_bytes") == spool.size() == 0
    assert sorted(captured_events.names()) == ["database.lost", "database.regained", "spool.replayed"]


async def test_a_server_that_says_nothing_any_more_is_given_up(proxy: DatabaseProxy, db, spool: Spool, captured_events):
    async with running(proxy.dsn, spool) as recorder:
        recorder.note(event(1))
        assert await recorder.flush(PATIENCE)
        proxy.stall()
        recorder.note(event(2))
        assert await recorder.flush(PATIENCE)
        assert recorder.spooling
        proxy.go_on()
        await arrive(db, 1, 2)
    assert captured_events.names()[0] == "database.lost"


async def test_a_flush_gives_up_at_its_limit_before_the_server_is_known_to_be_away(
    proxy: DatabaseProxy, db, spool: Spool
):
    async with running(proxy.dsn, spool) as recorder:
        recorder.note(event(1))
        assert await recorder.flush(PATIENCE)
        proxy.stall()
        recorder.note(event(2))
        assert not await recorder.flush(0.05)
        proxy.go_on()
        assert await recorder.flush(PATIENCE)
        await arrive(db, 1, 2)


async def test_a_server_that_accepts_no_logins_is_tried_again(database_dsn, db, spool: Spool, captured_events):
    """Also if it says so for a reason that is none of a lost connection's, such as a database that is not there."""
    tries = 0

    async def connect_at_last():
        nonlocal tries
        tries += 1
        return await connect(database_dsn if tries > 1 else database_dsn.replace("/test_", "/nowhere_"))

    recorder = Recorder(connect_at_last, Guard(), spool)
    recorder.start()
    recorder.note(event(1))
    await arrive(db, 1)
    await recorder.aclose()
    assert captured_events.only("database.lost")["reason"] == "InvalidCatalogNameError"


async def test_without_room_on_any_disk_no_flush_waits_and_nothing_is_lost(
    proxy: DatabaseProxy, db, full_spool: Spool, captured_events
):
    async with running(proxy.dsn, full_spool) as recorder:
        recorder.note(event(0))
        assert await recorder.flush(PATIENCE)
        proxy.refuse()
        for number in range(1, 1000):
            recorder.note(event(number))
            assert not await asyncio.wait_for(recorder.flush(PATIENCE), PATIENCE)
        proxy.go_on()
        await arrive(db, *range(1000))
        assert await recorder.flush(PATIENCE)
    assert {line["reason"] for line in captured_events.named("recorder.failed")} == {"SpoolFullError"}


async def test_memory_is_bounded_and_the_newest_are_kept(
    proxy: DatabaseProxy, db, full_spool: Spool, monkeypatch, captured_events
):
    monkeypatch.setattr(module, "_MOST_WAITING", 50)
    proxy.refuse()
    async with running(proxy.dsn, full_spool) as recorder:
        recorder.note(event(0))
        assert not await recorder.flush(PATIENCE)
        for number in range(1, 1001):
            recorder.note(event(number))
        assert len(recorder._waiting) == 50
        proxy.go_on()
        await arrive(db, 0, *range(951, 1001))
    (line,) = [line for line in captured_events.named("recorder.failed") if line["reason"] == "full"]
    assert line["count"] == 950


async def test_what_is_being_written_is_not_what_is_dropped(recorder: Recorder, db, database_dsn, monkeypatch):
    """A full recorder makes room while a batch is on its way: the batch is settled as it is, and so are the newest."""
    monkeypatch.setattr(module, "_MOST_WAITING", 5)
    async with locked(db, "call_events"):
        recorder.note(event(0))
        await is_held_up(database_dsn)
        recorder.note(*(event(number) for number in range(1, 6)))
        flush_before = asyncio.create_task(recorder.flush(PATIENCE))
        recorder.note(*(event(number) for number in range(6, 9)))
        flush_after = asyncio.create_task(recorder.flush(PATIENCE))
        assert not await recorder.flush(0)
    assert await flush_before
    assert await flush_after
    recorder.note(event(9))
    assert await recorder.flush(PATIENCE)
    await arrive(db, 0, 4, 5, 6, 7, 8, 9)


async def test_a_write_that_cannot_be_kept_on_disk_does_not_stop_the_recorder(
    proxy: DatabaseProxy, db, spool: Spool, captured_events
):
    proxy.refuse()
    async with running(proxy.dsn, spool) as recorder:
        recorder.note(SetSeconds(CALL, object()), event(1))  # type: ignore[arg-type]
        assert not await recorder.flush(PATIENCE)
        proxy.go_on()
        await arrive(db, 1)
        assert await recorder.flush(PATIENCE)
    assert {line["reason"] for line in captured_events.named("recorder.failed")} == {
        "TypeError",  # on the way to the disk
        "PydanticSerializationError",  # to the database
    }


async def test_closing_writes_what_is_waiting(database_dsn, db, spool: Spool):
    async with running(database_dsn, spool) as recorder:
        recorder.note(*(event(number) for number in range(1200)))
    assert await events(db) == list(range(1200))


async def test_what_was_on_disk_at_closing_is_written_by_the_next_process(
    proxy: DatabaseProxy, db, database_dsn, spool: Spool, captured_events
):
    proxy.refuse()
    async with running(proxy.dsn, spool) as recorder:
        recorder.note(event(1), event(2))
    assert await events(db) == []
    async with running(database_dsn, replace(spool)):
        await arrive(db, 1, 2)
        await wait_until(lambda: captured_events.named("spool.replayed"))
    assert captured_events.only("spool.replayed")["count"] == 2
    assert captured_events.named("recorder.failed") == []


async def test_closing_says_what_could_be_written_nowhere(proxy: DatabaseProxy, db, full_spool: Spool, captured_events):
    proxy.refuse()
    async with running(proxy.dsn, full_spool) as recorder:
        recorder.note(event(1), event(2))
        assert not await recorder.flush(PATIENCE)
        recorder.note(event(3))
    (line,) = [line for line in captured_events.named("recorder.failed") if line["reason"] == "closing"]
    assert line["count"] == 3
    assert await events(db) == []


async def test_closing_does_not_wait_for_a_server_that_says_nothing(
    proxy: DatabaseProxy,
    db,  # noqa: ARG001 - the call is there
    spool: Spool,
    monkeypatch,
    captured_events,
):
    monkeypatch.setattr(module, "_CLOSING_SECONDS", 0.2)
    async with running(proxy.dsn, spool) as recorder:
        recorder.note(event(1))
        assert await recorder.flush(PATIENCE)
        proxy.stall()
        recorder.note(event(2))
    line = captured_events.only("recorder.failed")
    assert (line["count"], line["reason"]) == (1, "closing")


async def test_closing_without_ever_having_started_says_so(captured_events, database_dsn, spool: Spool):
    recorder = Recorder(partial(connect, database_dsn), Guard(), spool)
    recorder.note(event(1))
    await recorder.aclose()
    assert captured_events.only("recorder.failed")["count"] == 1


async def test_records_count_as_not_stored_until_one_is_even_if_the_database_can_be_reached(
    recorder: Recorder, db, monkeypatch: pytest.MonkeyPatch
):
    """Commits hang: for a standby that is gone, say. The metric must not go up and down with each attempt."""
    monkeypatch.setattr(module, "_COMMIT_SECONDS", 0.1)
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    told: list[bool] = []
    monkeypatch.setattr(metrics, "database_up", lambda _, up: told.append(up))
    async with locked(db, "call_events"):
        recorder.note(event(1))
        assert await recorder.flush(PATIENCE)
        await wait_until(lambda: len(told) >= 4)
        assert not any(told)
        monkeypatch.setattr(module, "_COMMIT_SECONDS", PATIENCE)
    await wait_until(lambda: told[-1])
    await arrive(db, 1)
