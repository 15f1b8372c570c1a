"""Call events in an order that can be resumed: none is missed, in whichever order transactions commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.store.calls.records import InsertEvent
from router.store.events.feed import CHANNEL, READ_EVENTS, Position, find_end, read_events
from tests.router.store.rows import AT, insert, insert_client
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def db(database_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_dsn)
    for number in (1, 2):
        await insert_client(connection, f"agency_{number}", f"client_{number}", f"+1500555000{number}")
        await insert(
            connection,
            "calls",
            id=f"call_{number}",
            call_sid=f"CA{number}",
            agency_id=f"agency_{number}",
            client_id=f"client_{number}",
        )
    yield connection
    await connection.close()


@pytest.fixture
async def other(database_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


async def note(connection: Any, event_id: str, call_id: str = "call_1") -> None:
    write = InsertEvent(event_id, call_id, AT, "call.answered", step=event_id)
    await connection.execute(write.statement, *write.arguments)


async def read(connection: Any, after: Position, limit: int = 100) -> list[str]:
    return [event.id for event in (await read_events(connection, "agency_1", after, limit)).events]


START = Position(0, 0)


async def test_events_of_one_agency_are_read_in_their_order_and_from_any_place(db):
    for event_id in ("e1", "e2", "e3"):
        await note(db, event_id)
    await note(db, "foreign", "call_2")
    stretch = await read_events(db, "agency_1", START, 100)
    assert [event.id for event in stretch.events] == ["e1", "e2", "e3"]
    assert not stretch.held_back
    assert await read(db, stretch.events[0].position) == ["e2", "e3"]
    assert await read(db, START, limit=2) == ["e1", "e2"]


async def test_an_event_knows_its_call_and_client(db):
    await note(db, "e1")
    [event] = (await read_events(db, "agency_1", START, 1)).events
    assert (event.call_id, event.client_id, event.event, event.step) == ("call_1", "client_1", "call.answered", "e1")


async def test_events_behind_an_open_transaction_are_held_back(db, other):
    """Read at once, the late one would stand before what was read already, and be missed."""
    transaction = other.transaction()
    await transaction.start()
    await note(other, "late")
    await note(db, "early")
    stretch = await read_events(db, "agency_1", START, 100)
    assert stretch.events == ()
    assert stretch.held_back
    await transaction.commit()
    assert await read(db, START) == ["late", "early"]


async def test_a_long_transaction_in_another_database_does_not_hold_events_back(db, postgres_dsn):
    elsewhere = await asyncpg.connect(postgres_dsn)
    transaction = elsewhere.transaction()
    await transaction.start()
    await elsewhere.execute("SELECT pg_current_xact_id()")
    await note(db, "e1")
    assert await read(db, START) == ["e1"]
    await transaction.rollback()
    await elsewhere.close()


async def test_the_end_is_after_all_events_read_and_before_all_to_come(db):
    await note(db, "before")
    end = await find_end(db)
    assert await read(db, end) == []
    await note(db, "after")
    assert await read(db, end) == ["after"]


async def test_readers_beside_many_writers_get_each_event_once(db, database_dsn):
    writers = [await asyncpg.connect(database_dsn) for _ in range(4)]

    async def write(number: int) -> None:
        for event in range(25):
            async with writers[number].transaction():
                await note(writers[number], f"w{number}-{event}-a")
                await asyncio.sleep(0)
                await note(writers[number], f"w{number}-{event}-b")

    seen: list[str] = []
    position = START

    async def follow() -> None:
        nonlocal position
        while len(seen) < 200:
            stretch = await read_events(db, "agency_1", position, 7)
            seen.extend(event.id for event in stretch.events)
            position = stretch.events[-1].position if stretch.events else position

    async with asyncio.timeout(60):
        await asyncio.gather(follow(), *(write(number) for number in range(4)))
    assert len(seen) == len(set(seen)) == 200
    for writer in writers:
        await writer.close()


async def test_listeners_get_the_agency_once_for_each_statement(db, other):
    heard: list[str] = []
    await other.add_listener(CHANNEL, lambda *notice: heard.append(notice[-1]))
    async with db.transaction():
        await note(db, "e1")
        await note(db, "e2")
    await note(db, "foreign", "call_2")
    await wait_until(lambda: len(heard) >= 2)
    assert heard == ["agency_1", "agency_2"]


async def test_reading_uses_the_index(db):
    await db.execute(
        "INSERT INTO call_events (id, call_id, at, event, step) "
        "SELECT 'x' || n, 'call_1', now(), 'call.answered', n::text FROM generate_series(1, 3000) n"
    )
    await db.execute("ANALYZE call_events")
    end = await find_end(db)
    plan = await db.fetch(f"EXPLAIN {READ_EVENTS}", "agency_1", str(end.xid), end.seq, 100, "1")
    assert any("call_events_in_order" in row[0] for row in plan)


@given(st.integers(0, 2**62), st.integers(0, 10**17))
def test_a_position_is_read_as_it_was_written(xid, seq):
    assert Position.parse(str(Position(xid, seq))) == Position(xid, seq)


@pytest.mark.parametrize("text", ["", "1", "1.", ".1", "-1.1", "1.1.1", "a.b", "1.1 ", "٣.١", "9" * 20 + ".1"])
def test_other_text_is_not_a_position(text):
    assert Position.parse(text) is None
