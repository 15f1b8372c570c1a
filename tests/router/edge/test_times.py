"""A client that takes its time does not keep its connection for it."""

from __future__ import annotations

import asyncio
from itertools import repeat

import pytest

from tests.router.edge.conftest import LARGE, App, Serve

pytestmark = pytest.mark.anyio

SOON = 0.1  # seconds
LATER = 3600.0
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
WITH_BODY = HEAD + b"Content-Length: 100000\r\n\r\n"


@pytest.mark.parametrize("begin", [b"P", HEAD, HEAD + b"X-Half: of it"])
async def test_headers_that_do_not_end_in_time_get_408(serve: Serve, begin: bytes):
    async with serve(header_timeout=SOON, idle_timeout=LATER) as edge:
        connection = await edge.open()
        await connection.send(begin)
        answer = await connection.read_to_end()
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"\r\nconnection: close\r\n" in answer


async def test_a_byte_now_and_then_makes_headers_no_longer_in_time(serve: Serve):
    async with serve(header_timeout=SOON, idle_timeout=LATER) as edge:
        connection = await edge.open(HEAD)
        reading = asyncio.create_task(connection.read_to_end())
        await connection.send_all(repeat(b"x"))
        assert (await reading).startswith(b"HTTP/1.1 408 ")


async def test_the_headers_of_a_second_request_have_to_come_in_time_as_well(serve: Serve):
    async with serve(header_timeout=SOON, idle_timeout=LATER) as edge:
        connection = await edge.open()
        assert await connection.ask() == (200, b"")
        await connection.send(HEAD)
        assert (await connection.read_to_end()).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("limits", [{"body_timeout": SOON}, {"header_timeout": SOON}], ids=["in all", "too little"])
async def test_a_body_that_does_not_come_in_time_gets_408(serve: Serve, app: App, limits: dict[str, float]):
    async with serve(**{"header_timeout": LATER, "body_timeout": LATER, "idle_timeout": LATER, **limits}) as edge:
        connection = await edge.open()
        await connection.send(WITH_BODY + b"some")
        assert (await connection.read_to_end()).startswith(b"HTTP/1.1 408 ")
        await app.was_cut_off.wait()


async def test_the_rest_of_a_body_that_was_answered_early_has_to_come_in_time(serve: Serve):
    async with serve(body_timeout=SOON, idle_timeout=LATER) as edge:
        connection = await edge.open()
        await connection.send(WITH_BODY.replace(b"/ ", b"/early "))
        assert (await connection.read_answer())[0] == 200
        assert await connection.read_to_end() == b""


async def test_a_body_that_comes_fast_enough_may_take_longer_than_headers(serve: Serve):
    async with serve(header_timeout=SOON, least_rate=10, body_timeout=LATER, idle_timeout=LATER) as edge:
        connection, other = await edge.open(), await edge.open()
        await connection.send(WITH_BODY + b"b" * 99_999)
        assert await other.read_to_end() == b"", "that long it has taken"
        await connection.send(b"b")
        assert await connection.read_answer() == (200, b"b" * 100_000)


async def test_a_connection_that_says_nothing_is_closed(serve: Serve):
    async with serve(header_timeout=SOON, idle_timeout=LATER) as edge:
        connection = await edge.open()
        assert await connection.read_to_end() == b""


async def test_a_connection_that_has_nothing_more_to_ask_is_closed(serve: Serve):
    async with serve(header_timeout=LATER, idle_timeout=SOON) as edge:
        connection = await edge.open()
        assert await connection.ask() == (200, b"")
        assert await connection.read_to_end() == b""


async def test_an_answer_may_take_as_long_as_it_likes(serve: Serve, app: App):
    soon = {"header_timeout": SOON, "body_timeout": SOON, "idle_timeout": SOON, "unread_timeout": SOON}
    async with serve(**soon) as edge:
        connection, other = await edge.open(), await edge.open()
        await connection.send(b"GET /held HTTP/1.1\r\n\r\n")
        assert await other.read_to_end() == b"", "that long it has taken"
        app.let_go.set()
        assert (await connection.read_answer())[0] == 200


async def test_an_answer_that_is_not_read_is_cut_off(serve: Serve, app: App):
    async with serve(unread_timeout=SOON, idle_timeout=LATER) as edge:
        connection = await edge.open(limit=1024)
        await connection.send(b"GET /large HTTP/1.1\r\n\r\n")
        await app.is_done.wait()
        assert len(await connection.read_to_end()) < LARGE


async def test_a_client_that_was_refused_and_stays_is_cut_off(serve: Serve):
    async with serve(linger_timeout=SOON) as edge:
        connection = await edge.open(b"hello\r\n\r\n")
        assert (await connection.read_to_end()).startswith(b"HTTP/1.1 400 ")
        await connection.send_all(repeat(b"x"))
