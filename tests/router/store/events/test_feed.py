"""Call events in an order that can be resumed: none is missed, in whichever order transactions commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.events.order import Order
from router.store.calls.records import InsertEvent, write_records
from router.store.events.feed import CHANNEL, READ_EVENTS, Stretch, parse_place, read_events
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


@pytest.fixture
async def third(database_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


async def note(connection: Any, event_id: str, call_id: str = "call_1") -> None:
    write = InsertEvent(event_id, call_id, AT, "call.answered", step=event_id)
    await write_records(connection, write)


async def look(connection: Any, after: int = 0, limit: int = 100, order: Order | None = None) -> Stretch:
    settled = await (order or Order()).look(connection)
    return await read_events(connection, "agency_1", after, settled, limit)


async def read(connection: Any, after: int = 0, limit: int = 100) -> list[str]:
    return [event.id for event in (await look(connection, after, limit)).events]


async def test_events_of_one_agency_are_read_in_their_order_and_from_any_place(db):
    for event_id in ("e1", "e2", "e3"):
        await note(db, event_id)
    await note(db, "foreign", "call_2")
    stretch = await look(db)
    assert [event.id for event in stretch.events] == ["e1", "e2", "e3"]
    assert not stretch.held_back
    assert await read(db, stretch.events[0].place) == ["e2", "e3"]
    assert await read(db, limit=2) == ["e1", "e2"]


async def test_an_event_knows_its_call_and_client(db):
    await note(db, "e1")
    [event] = (await look(db)).events
    assert (event.call_id, event.client_id, event.event, event.step) == ("call_1", "client_1", "call.answered", "e1")


async def test_events_behind_an_open_transaction_are_held_back(db, other):
    """Read at once, the late one would stand before what was read already, and be missed."""
    transaction = other.transaction()
    await transaction.start()
    await note(other, "late")
    await note(db, "early")
    order = Order()
    stretch = await look(db, order=order)
    assert stretch.events == ()
    assert stretch.held_back
    await transaction.commit()
    assert [event.id for event in (await look(db, order=order)).events] == ["late", "early"]


async def test_events_become_readable_though_somebody_always_writes(db, other, third):
    """Each transaction that was open when one was written ends, but there are always others."""
    order, writers = Order(), [other, third]
    transaction = other.transaction()
    await transaction.start()
    await note(other, "w0")
    await look(db, order=order)
    for turn in range(1, 4):
        following = writers[turn % 2].transaction()
        await following.start()
        await note(writers[turn % 2], f"w{turn}")
        await transaction.commit()
        transaction = following
        stretch = await look(db, order=order)
        assert [event.id for event in stretch.events] == [f"w{number}" for number in range(turn)]
    await transaction.rollback()


async def test_a_long_transaction_that_writes_no_events_does_not_hold_them_back(db, other):
    transaction = other.transaction()
    await transaction.start()
    await other.execute("UPDATE agencies SET name = 'Other'")
    await note(db, "e1")
    assert await read(db) == ["e1"]
    await transaction.rollback()


async def test_those_who_ask_at_once_share_one_look_that_began_after_they_asked(database):
    order, pool = Order(), Looking(database.settings)
    first = asyncio.create_task(order.look(pool))
    await asyncio.sleep(0)
    later = [asyncio.create_task(order.look(pool)) for _ in range(20)]
    await asyncio.gather(first, *later)
    assert pool.looks == 2


class Looking:
    """Counts the questions to a pool."""

    def __init__(self, pool: Any) -> None:
        self._pool, self.looks = pool, 0

    async def fetch(self, statement: str) -> Any:
        self.looks += 1
        return await self._pool.fetch(statement)


async def test_a_server_that_took_over_without_the_latest_numbers_is_believed(db):
    """Those that it gives out again are not taken for settled."""
    await note(db, "e1")
    order = Order()
    await look(db, order=order)
    await db.execute("SELECT setval('call_event_places', 1, false)")
    assert await order.look(db) == 0


async def test_a_long_transaction_in_another_database_does_not_hold_events_back(db, postgres_dsn):
    elsewhere = await asyncpg.connect(postgres_dsn)
    transaction = elsewhere.transaction()
    await transaction.start()
    await elsewhere.execute("SELECT pg_current_xact_id()")
    await note(db, "e1")
    assert await read(db) == ["e1"]
    await transaction.rollback()
    await elsewhere.close()


async def test_the_end_is_after_all_events_read_and_before_all_to_come(db, other):
    assert await Order().find_end(db) <= await Order().find_end(db)
    await note(db, "before")
    transaction = other.transaction()
    await transaction.start()
    await note(other, "at the same time")
    finding = asyncio.create_task(Order().find_end(db))
    await transaction.commit()
    end = await finding
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
    place, order = 0, Order()

    async def follow() -> None:
        nonlocal place
        while len(seen) < 200:
            stretch = await look(db, place, 7, order)
            seen.extend(event.id for event in stretch.events)
            place = stretch.events[-1].place if stretch.events else place

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
    end = await Order().find_end(db)
    plan = await db.fetch(f"EXPLAIN {READ_EVENTS}", "agency_1", end, 100)
    assert any("call_events_in_order" in row[0] for row in plan)


@given(st.integers(0, 10**18 - 1))
def test_a_place_is_read_as_it_was_written(place):
    assert parse_place(str(place)) == place


@pytest.mark.parametrize("text", ["", "1.1", "-1", "a", "1 ", "٣", "9" * 20])
def test_other_text_is_not_a_place(text):
    assert parse_place(text) is None
