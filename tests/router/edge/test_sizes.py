"""What a client can send before its request is whole has an end, in whatever shape it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import repeat

import pytest

from tests.router.edge.conftest import App, Serve
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

LIMIT = 32 * 1024
MUCH = 8 * 1024 * 1024  # in all, of what has no end
POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def without_end(begin: bytes, piece: bytes) -> Iterator[bytes]:
    yield begin
    yield from repeat(piece, MUCH // len(piece))


def small_headers() -> Iterator[bytes]:
    yield b"GET / HTTP/1.1\r\n"
    for number in range(MUCH // 32_000):
        yield b"".join(b"x-%d-%d: 1\r\n" % (number, each) for each in range(2000))


ENDLESS = {
    "many small headers": small_headers,
    "one header": lambda: without_end(b"GET / HTTP/1.1\r\nx: ", b"1" * 4000),
    "a header's name": lambda: without_end(b"GET / HTTP/1.1\r\n", b"x" * 4000),
    "empty headers": lambda: without_end(b"GET / HTTP/1.1\r\n", b"x:\r\n" * 1000),
    "an address": lambda: without_end(b"GET /", b"a" * 4000),
    "a query": lambda: without_end(b"GET /?", b"a=1&" * 1000),
    "lines before a request": lambda: without_end(b"\r\n", b"\r\n" * 2000),
    "headers after a whole request": lambda: without_end(
        b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi" + b"GET / HTTP/1.1\r\nx: ", b"1" * 4000
    ),
    "an extension of a chunk": lambda: without_end(POST + b"5;", b"x" * 4000),
    "extensions of many chunks": lambda: without_end(POST, b"1;" + b"x" * 4000 + b"\r\na\r\n"),
    "trailers": lambda: without_end(POST + b"1\r\na\r\n0\r\n", b"x: 1\r\n" * 1000),
    "one trailer": lambda: without_end(POST + b"1\r\na\r\n0\r\nx: ", b"1" * 4000),
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_what_does_not_end_is_ended(serve: Serve, what: str):
    async with serve() as edge:
        connection = await edge.open()
        reading = asyncio.create_task(connection.read_to_end())
        sent = await connection.send_all(ENDLESS[what]())
        answers = await reading
        assert b"HTTP/1.1 431 " in answers or b"HTTP/1.1 200 OK" in answers
        assert answers.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 200 "))
        assert sent < MUCH, "it went on reading"
        assert (await edge.ask())[0] == 200


@pytest.mark.parametrize("what", [name for name in ENDLESS if name != "headers after a whole request"])
async def test_a_client_that_stops_there_reads_why(serve: Serve, what: str):
    async with serve() as edge:
        connection = await edge.open()
        begin = b"".join(piece for piece, _ in zip(ENDLESS[what](), range(40), strict=False))
        await connection.send(begin[: 3 * LIMIT])
        answer = await connection.read_to_end()
        assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
        assert b"\r\nconnection: close\r\n" in answer


@pytest.mark.parametrize("path", ["/", "/early"])
async def test_a_body_that_does_not_end_is_read_no_further_than_the_application_does(serve: Serve, app: App, path: str):
    async with serve() as edge:
        connection = await edge.open()
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n".encode()
        writing = asyncio.create_task(connection.send_all(without_end(head, bytes(64 * 1024))))
        if path == "/early":
            assert (await connection.read_to_end()).startswith(b"HTTP/1.1 200 ")
            await writing
        else:
            assert await writing >= MUCH  # that is for the application to bound, which knows what it needs
            connection.close()
            await app.was_cut_off.wait()


async def test_what_a_request_may_need_is_taken(serve: Serve, app: App):
    headers = b"".join(b"x-%d: %s\r\n" % (number, b"v" * 300) for number in range(98))
    async with serve() as edge:
        connection = await edge.open()
        await connection.send(b"POST /?" + b"q" * 2000 + b" HTTP/1.1\r\nContent-Length: 50000\r\n" + headers + b"\r\n")
        await connection.send(b"b" * 50_000)
        assert await connection.read_answer() == (200, b"b" * 50_000)
        assert len(app.headers) == 99


@pytest.mark.parametrize("pieces", [1, 7, 20_000])
async def test_a_large_body_is_taken_however_it_is_cut(serve: Serve, pieces: int):
    body = b"0123456789" * 20_000
    size = len(body) // pieces
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    async with serve() as edge:
        connection = await edge.open()
        await connection.send(POST + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks))
        await connection.send(b"0\r\n\r\n")
        assert await connection.read_answer() == (200, body)


async def test_the_number_of_headers_is_bounded_exactly(serve: Serve):
    async with serve(header_fields=50) as edge:
        for count, status in ((50, 200), (51, 431)):
            connection = await edge.open()
            await connection.send(b"GET / HTTP/1.1\r\n" + b"x: 1\r\n" * count + b"\r\n")
            assert (await connection.read_answer())[0] == status


async def test_the_size_of_headers_is_bounded_wherever_the_body_begins(serve: Serve):
    async with serve(header_bytes=8192) as edge:
        for size, status in ((8000, 200), (9000, 431)):
            connection = await edge.open()
            head = b"POST / HTTP/1.1\r\nContent-Length: 5000\r\nx: " + b"1" * size + b"\r\n\r\n"
            await connection.send(head + b"b" * 5000)
            assert (await connection.read_answer())[0] == status


async def test_trailers_never_become_headers(serve: Serve, app: App):
    async with serve() as edge:
        connection = await edge.open()
        await connection.send(POST + b"1\r\na\r\n0\r\nX-Twilio-Signature: forged\r\n\r\n")
        assert await connection.read_answer() == (200, b"a")
        assert [name for name, _ in app.headers] == [b"host", b"transfer-encoding"]


async def test_requests_that_are_sent_ahead_are_answered_up_to_a_bound(serve: Serve, app: App):
    async with serve(pipelined=3) as edge:
        connection = await edge.open()
        await connection.send(b"GET /held HTTP/1.1\r\n\r\n" * 1000)
        await wait_until(lambda: bool(app.asked))
        app.let_go.set()
        answers = await connection.read_to_end()
        assert answers.count(b"HTTP/1.1 200 OK") == len(app.asked) == 4
        assert answers.count(b"connection: close") == 1


async def test_a_few_requests_that_are_sent_ahead_are_all_answered(serve: Serve):
    async with serve() as edge:
        connection = await edge.open()
        await connection.send(b"".join(b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n%d" % each for each in range(5)))
        assert [await connection.read_answer() for _ in range(5)] == [(200, b"%d" % each) for each in range(5)]
        assert await connection.ask() == (200, b"")


async def test_what_is_no_http_is_told_so(serve: Serve):
    async with serve() as edge:
        connection = await edge.open()
        await connection.send(b"hello\r\n\r\n")
        assert (await connection.read_to_end()).startswith(b"HTTP/1.1 400 ")


async def test_a_body_that_breaks_the_rules_is_refused_and_the_application_is_told(serve: Serve, app: App):
    async with serve() as edge:
        connection = await edge.open()
        await connection.send(POST + b"no number\r\n")
        assert (await connection.read_to_end()).startswith(b"HTTP/1.1 400 ")
        await app.was_cut_off.wait()


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
async def test_no_connection_changes_to_another_protocol(serve: Serve, protocol: bytes):
    async with serve() as edge:
        connection = await edge.open()
        request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % protocol
        await connection.send(request + b"PRI * HTTP/2.0\r\n\r\n")
        answer = await connection.read_to_end()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.count(b"HTTP/1.1") == 1
