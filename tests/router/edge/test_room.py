"""When connections are used up, a new one is taken all the same: the carrier always gets in."""

from __future__ import annotations

import asyncio

import pytest

from router.edge import Limits, connections
from router.settings import load_settings
from tests.router.edge.conftest import App, Serve
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

FOREVER = {"header_timeout": 3600.0, "body_timeout": 3600.0, "idle_timeout": 3600.0, "unread_timeout": 3600.0}
HALF_SENT = {
    "nothing": b"",
    "some of the headers": b"POST / HTTP/1.1\r\nX-Half: of",
    "some of the body": b"POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\nsome",
}


@pytest.mark.parametrize("what", HALF_SENT)
async def test_the_one_that_has_waited_longest_for_its_request_makes_room(serve: Serve, what: str):
    async with serve(connections=3, **FOREVER) as edge:
        oldest, *others = await edge.open_all([HALF_SENT[what]] * 3)
        assert (await edge.ask())[0] == 200
        assert await oldest.read_to_end() == b""
        assert not any(each.reader.at_eof() for each in others)


async def test_a_hundred_half_sent_requests_keep_nobody_out(serve: Serve):
    async with serve(connections=5, **FOREVER) as edge:
        await edge.open_all(list(HALF_SENT.values()) * 34)
        assert {(await edge.ask())[0] for _ in range(10)} == {200}


async def test_an_idle_connection_counts_from_its_last_answer(serve: Serve):
    async with serve(connections=2, **FOREVER) as edge:
        first, second = await edge.open_all([b"", b""])
        assert await first.ask() == (200, b"")
        new = await edge.open()
        assert await new.ask() == (200, b"")
        assert await second.read_to_end() == b""
        assert await first.ask() == (200, b"")


async def test_idle_connections_keep_nobody_out(serve: Serve):
    async with serve(connections=5, **FOREVER) as edge:
        idle = await edge.open_all([b""] * 5)
        assert [await each.ask() for each in idle] == [(200, b"")] * 5
        newer = [await edge.open() for _ in range(5)]
        assert [await each.ask() for each in newer] == [(200, b"")] * 5
        assert [await each.read_to_end() for each in idle] == [b""] * 5


def test_idle_connections_outlast_those_of_load_balancers():
    usual = 60  # seconds, at AWS, nginx and others
    assert Limits.of(load_settings({}), 4096).idle_timeout == Limits().idle_timeout > usual


async def test_a_request_that_is_being_answered_never_makes_room(serve: Serve, app: App):
    async with serve(connections=3, **FOREVER) as edge:
        answering = await edge.open_all([b"GET /held HTTP/1.1\r\n\r\n"] * 2)
        await wait_until(lambda: len(app.asked) == 2)
        await edge.open_all(HALF_SENT.values())
        assert (await edge.ask())[0] == 200
        app.let_go.set()
        assert [await each.read_answer() for each in answering] == [(200, b"")] * 2


async def test_where_all_are_being_answered_the_new_one_is_told_at_once(serve: Serve, app: App):
    async with serve(connections=2, **FOREVER) as edge:
        answering = await edge.open_all([b"GET /held HTTP/1.1\r\n\r\n"] * 2)
        await wait_until(lambda: len(app.asked) == 2)
        for _ in range(3):
            refused = await edge.open()
            assert (await refused.read_to_end()).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        app.let_go.set()
        assert [await each.read_answer() for each in answering] == [(200, b"")] * 2
        assert (await edge.ask())[0] == 200


async def test_one_whose_answer_is_not_read_makes_room_before_that(serve: Serve, app: App):
    async with serve(connections=2, **FOREVER) as edge:
        unread = await edge.open(limit=1024)
        await unread.send(b"GET /large HTTP/1.1\r\n\r\n")
        await unread.reader.readuntil(b"\r\n")
        (answering,) = await edge.open_all([b"GET /held HTTP/1.1\r\n\r\n"])
        await wait_until(lambda: len(app.asked) == 2)
        assert (await edge.ask())[0] == 200
        app.let_go.set()
        assert await answering.read_answer() == (200, b"")


async def test_what_half_sent_requests_hold_in_memory_is_bounded_for_all_together(serve: Serve):
    begin = b"POST / HTTP/1.1\r\nContent-Length: 90000\r\n\r\n" + b"b" * 30_000
    async with serve(held_bytes=100_000, **FOREVER) as edge:
        first, *others = await edge.open_all([begin] * 4)
        assert await first.read_to_end() == b""
        assert (await edge.ask())[0] == 200
        await others[-1].send(b"b" * 60_000)
        assert await others[-1].read_answer() == (200, b"b" * 90_000)


async def test_what_was_held_is_given_back(serve: Serve):
    async with serve(held_bytes=100_000, **FOREVER) as edge:
        kept = await edge.open()
        for _ in range(20):
            (half,) = await edge.open_all([HALF_SENT["some of the headers"] + b"x" * 20_000])
            half.close()
            await kept.send(b"POST / HTTP/1.1\r\nContent-Length: 30000\r\n\r\n" + b"b" * 30_000)
            assert await kept.read_answer() == (200, b"b" * 30_000)


@pytest.mark.parametrize(
    ("descriptors", "connections"), [(64, 32), (256, 128), (1024, 512), (4096, 2000), (1_048_576, 2000)]
)
def test_the_bound_leaves_descriptors_for_everything_else(descriptors: int, connections: int):
    limits = Limits.of(load_settings({}), descriptors)
    assert limits.connections == connections
    assert limits.connections + limits.backlog < descriptors


async def test_connections_that_come_and_go_are_not_counted(serve: Serve):
    async with serve(connections=10, **FOREVER) as edge:
        kept = await edge.open_all([b""] * 5)
        for _ in range(10):
            for connection in await edge.open_all([b""] * 4):
                connection.close()
            assert (await edge.ask())[0] == 200
        assert [await each.ask() for each in kept] == [(200, b"")] * 5


async def test_memory_is_given_back_after_a_flood_and_not_for_every_large_request(
    serve: Serve, app: App, monkeypatch: pytest.MonkeyPatch
):
    given_back = asyncio.Event()
    monkeypatch.setattr(connections, "give_memory_back", given_back.set)
    monkeypatch.setattr(connections, "_WORTH_GIVING_BACK", 100_000)
    monkeypatch.setattr(connections, "_CALM_SECONDS", 0)
    begin = b"POST / HTTP/1.1\r\nContent-Length: 60000\r\n\r\n"
    async with serve(**FOREVER) as edge:
        first = await edge.open(begin + b"b" * 60_000)
        assert (await first.read_answer())[0] == 200
        assert not given_back.is_set()
        flood = await edge.open_all([begin + b"b" * 59_000] * 4)
        await wait_until(lambda: len(app.asked) == 1 + len(flood))
        for connection in flood:
            connection.close()
        await given_back.wait()


async def test_memory_is_given_back_after_a_crowd_of_small_requests(
    serve: Serve, app: App, monkeypatch: pytest.MonkeyPatch
):
    given_back = asyncio.Event()
    monkeypatch.setattr(connections, "give_memory_back", given_back.set)
    monkeypatch.setattr(connections, "_WORTH_GIVING_BACK", 9 * connections._ANSWERING_TAKES)
    monkeypatch.setattr(connections, "_CALM_SECONDS", 0)
    async with serve(**FOREVER) as edge:
        crowd = await edge.open_all([b"GET /held HTTP/1.1\r\n\r\n"] * 10)
        await wait_until(lambda: len(app.asked) == len(crowd))
        assert not given_back.is_set()
        app.let_go.set()
        await given_back.wait()
