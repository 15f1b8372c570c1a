"""The outgoing client against a server that does everything a server can do wrong."""

from __future__ import annotations

import asyncio
import base64
import gc
import gzip
import logging
import os
import platform
import re
import secrets
import socket
import sys
import zlib
from asyncio.subprocess import PIPE
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from adapters.base import ErrorKind, ProviderError
from adapters.http import Http, Limits
from adapters.replies import Reply
from adapters.requests import Auth, Part
from adapters.sandbox.api import read_body
from crypto.secret import Secret
from tests.adapters.canary import CANARY, assert_clean, shows
from tests.adapters.certificates import make_certificate
from tests.adapters.loopback import Asked, Script, hang, raw, reply, serving

pytestmark = pytest.mark.anyio

KEY = Secret(CANARY)
OK_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
SHORT = 0.2  # seconds, for what must run into its limit
MAX = 10_000


async def post(http: Http, url: str, auth: Auth | None = None, limit: float = 5) -> Reply:
    return await http.send(
        "system", "POST", url, auth=auth or Auth(KEY, "bearer"), json={"a": 1}, limit=limit, max_bytes=MAX
    )


async def fail(http: Http, url: str, limit: float = 5) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await post(http, url, limit=limit)
    return caught.value


async def test_sends_json_with_an_honest_name_and_asks_for_no_compression(http: Http):
    async with serving(reply(201, {"ok": True})) as server:
        got = await post(http, server.url + "/call?x=1")
    assert (server.last.method, server.last.target, server.last.json) == ("POST", "/call?x=1", {"a": 1})
    assert re.fullmatch(r"callrouter/\S+", server.last.headers["user-agent"])
    assert server.last.headers["accept-encoding"] == "identity"
    assert server.last.headers["content-type"] == "application/json"
    assert (got.status, got.body) == (201, b'{"ok": true}')


async def test_sends_forms(http: Http):
    async with serving(reply(200)) as server:
        await http.send(
            "system", "POST", server.url, auth=Auth(KEY, "bearer"), form=[("To", "+1 é"), ("To", "")], limit=5
        )
    assert parse_qs(server.last.body.decode(), keep_blank_values=True) == {"To": ["+1 é", ""]}
    assert server.last.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_sends_a_file_with_fields_beside_it(http: Http):
    parts = [Part("file", "Öffnungszeiten: 9–17", 'a "b"\r\nX-Evil: 1.txt', "text/plain"), Part("purpose", "knowledge")]
    async with serving(reply(200)) as server:
        await http.send("system", "POST", server.url, auth=Auth(KEY, "bearer"), form=parts, limit=5)
    content_type = server.last.headers["content-type"]
    file, field = read_body(content_type, server.last.body)
    assert content_type.startswith("multipart/form-data; boundary=")
    assert (file["name"], file["content_type"], file["content"]) == ("file", "text/plain", "Öffnungszeiten: 9–17")
    assert (field["name"], field["filename"], field["content"]) == ("purpose", None, "knowledge")
    assert b"\nX-Evil" not in server.last.body
    assert not shows(server.last.body.decode())


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (Auth(KEY, "bearer"), f"Bearer {CANARY}"),
        (Auth(KEY, "bare"), CANARY),
        (Auth(KEY, "basic", "AC1"), "Basic " + base64.b64encode(f"AC1:{CANARY}".encode()).decode()),
    ],
    ids=["bearer", "bare", "basic"],
)
async def test_puts_the_key_where_the_system_wants_it(http: Http, auth: Auth, header: str):
    async with serving(reply(200)) as server:
        await post(http, server.url, auth)
    assert server.last.headers["authorization"] == header
    assert not shows(repr(auth))


async def test_secrets_in_body_and_headers_go_out_in_plain_and_into_no_error(http: Http):
    async with serving(raw(then="reset")) as server:
        with pytest.raises(ProviderError) as caught:
            await http.send(
                "system", "POST", server.url, auth=Auth(Secret("k"), "bearer"), limit=30,
                json={"inner": [{"token": KEY}]}, headers={"x-second": KEY},
            )  # fmt: skip
    assert server.last.json == {"inner": [{"token": CANARY}]}
    assert server.last.headers["x-second"] == CANARY
    assert_clean(caught.value)


async def test_a_secret_that_no_header_can_hold_is_not_sent(http: Http):
    async with serving(reply(200, {})) as server:
        with pytest.raises(ProviderError) as caught:
            await http.send(
                "system", "GET", server.url, auth=Auth(Secret("k"), "bearer"), limit=5,
                headers={"x-second": Secret(f"{CANARY}\r\nx-evil: 1")},
            )  # fmt: skip
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert not server.asked
    assert_clean(caught.value)


async def test_keeps_only_headers_that_may_be_passed_on(http: Http):
    async with serving(reply(200, Retry_After="7", Set_Cookie="a=b", X_Secret=CANARY)) as server:
        got = await post(http, server.url)
    assert got.headers["retry-after"] == "7"
    assert set(got.headers) <= {"content-type", "content-length", "retry-after"}


async def test_forgets_cookies_and_reuses_connections(http: Http):
    async with serving(reply(200, Set_Cookie="session=1")) as server:
        await post(http, server.url)
        await post(http, server.url)
    assert server.connections == 1
    assert "cookie" not in server.last.headers


async def test_takes_no_proxy_from_the_environment(http: Http, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with serving(reply(200)) as server:
        assert (await post(http, server.url)).status == 200


@pytest.mark.parametrize("status", [400, 401, 402, 404, 429, 500, 503])
async def test_hands_on_refusals_as_replies(http: Http, status: int):
    async with serving(reply(status, {"message": "no"})) as server:
        got = await post(http, server.url)
    assert (got.status, got.ok, got.body) == (status, False, b'{"message": "no"}')


FAULTS: dict[str, tuple[Script, ErrorKind]] = {
    "says nothing": (hang(), ErrorKind.TIMEOUT),
    "stops within the head": (raw(OK_HEAD, then="hang"), ErrorKind.TIMEOUT),
    "stops within the body": (raw(OK_HEAD + b"content-length: 9\r\n\r\nabc", then="hang"), ErrorKind.TIMEOUT),
    "closes at once": (raw(), ErrorKind.UNREACHABLE),
    "resets at once": (raw(then="reset"), ErrorKind.UNREACHABLE),
    "resets within the head": (raw(OK_HEAD, then="reset"), ErrorKind.UNREACHABLE),
    "closes within the body": (raw(OK_HEAD + b"content-length: 9\r\n\r\nabc"), ErrorKind.UNREACHABLE),
    "resets within the body": (raw(OK_HEAD + b"content-length: 9\r\n\r\nabc", then="reset"), ErrorKind.UNREACHABLE),
    "closes between chunks": (raw(OK_HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"), ErrorKind.UNREACHABLE),
    "speaks no HTTP": (raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), ErrorKind.MALFORMED_REPLY),
    "sends an endless header": (raw(OK_HEAD + b"x: " + b"x" * 70_000 + b"\r\n\r\n"), ErrorKind.MALFORMED_REPLY),
    "redirects": (reply(302, Location="https://example.com/?k=" + "x"), ErrorKind.MALFORMED_REPLY),
    "redirects for good": (reply(308, Location="/elsewhere"), ErrorKind.MALFORMED_REPLY),
    "says not modified": (raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"), ErrorKind.MALFORMED_REPLY),
    "announces too much": (reply(200, b"x" * (MAX + 1)), ErrorKind.MALFORMED_REPLY),
    "sends too much": (
        raw(OK_HEAD + b"transfer-encoding: chunked\r\n\r\n", b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n", then="hang"),
        ErrorKind.MALFORMED_REPLY,
    ),
    "sends a gzip bomb": (
        reply(200, gzip.compress(b"\0" * 1_000_000), Content_Encoding="gzip"),
        ErrorKind.MALFORMED_REPLY,
    ),
    "sends half a gzip file": (
        reply(200, gzip.compress(b"abc" * 99)[:-9], Content_Encoding="gzip"),
        ErrorKind.MALFORMED_REPLY,
    ),
    "sends an unknown encoding": (reply(200, b"{}", Content_Encoding="br"), ErrorKind.MALFORMED_REPLY),
    "compresses twice": (
        reply(200, gzip.compress(gzip.compress(b"{}")), Content_Encoding="gzip, gzip"),
        ErrorKind.MALFORMED_REPLY,
    ),
}


@pytest.mark.parametrize(("script", "kind"), FAULTS.values(), ids=FAULTS)
async def test_every_fault_has_its_kind_and_carries_no_key(
    http: Http, caplog: pytest.LogCaptureFixture, script: Script, kind: ErrorKind
):
    caplog.set_level(logging.DEBUG)
    async with serving(script) as server:
        error = await fail(http, server.url, SHORT if kind is ErrorKind.TIMEOUT else 5)
    assert error.kind is kind
    assert_clean(error)
    assert not shows(caplog.text)


async def test_a_refused_connection_is_unreachable(http: Http):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        error = await fail(http, f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert error.kind is ErrorKind.UNREACHABLE
    assert_clean(error)


async def test_a_name_that_does_not_resolve(http: Http, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    error = await fail(http, "http://nowhere.invalid")
    assert error.kind is ErrorKind.UNREACHABLE
    assert_clean(error)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://", "no url at all", "http://127.0.0.1:99999/"])
async def test_an_invalid_address_is_a_bad_request(http: Http, url: str):
    error = await fail(http, url)
    assert error.kind is ErrorKind.BAD_REQUEST
    assert_clean(error)


@pytest.mark.parametrize("key", ["", "has\nnewline", "has\r\nx-evil: 1", "clé", " padded ", "nul\0"])
async def test_a_key_that_no_header_can_hold_is_rejected_unsent(http: Http, key: str):
    async with serving(reply(200)) as server:
        with pytest.raises(ProviderError) as caught:
            await post(http, server.url, Auth(Secret(key), "bearer"))
    assert caught.value.kind is ErrorKind.KEY_REJECTED
    assert caught.value.args == ("key_rejected",)
    assert not server.asked


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
async def test_reads_what_a_server_compresses_unasked(http: Http, encoding: str):
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[encoding](b'{"a":1}')
    async with serving(reply(200, packed, Content_Encoding=encoding)) as server:
        assert (await post(http, server.url)).body == b'{"a":1}'


@pytest.mark.parametrize("body", [b"x" * (MAX + 1), gzip.compress(b"\0" * 1_000_000)], ids=["too large", "a bomb"])
async def test_an_error_page_that_cannot_be_read_still_counts_by_its_status(http: Http, body: bytes):
    async with serving(reply(401, body, Content_Encoding="gzip" if body[:2] == b"\x1f\x8b" else "identity")) as server:
        got = await post(http, server.url)
    assert (got.status, got.body) == (401, b"")


async def test_tls_of_somebody_unknown_is_not_trusted(http: Http, tmp_path: Path):
    async with serving(reply(200), make_certificate(tmp_path).server) as server:
        error = await fail(http, server.url)
    assert error.kind is ErrorKind.UNREACHABLE
    assert not server.asked
    assert_clean(error)


async def test_tls_for_another_address_is_not_trusted(tmp_path: Path):
    certificate = make_certificate(tmp_path, "127.0.0.2")
    http = Http(ssl_context=certificate.trusting)
    async with serving(reply(200), certificate.server) as server:
        error = await fail(http, server.url)
        await http.aclose()
    assert error.kind is ErrorKind.UNREACHABLE
    assert not server.asked


async def test_tls_of_somebody_known_is_used(tmp_path: Path):
    certificate = make_certificate(tmp_path)
    http = Http(ssl_context=certificate.trusting)
    async with serving(reply(200, {"a": 1}), certificate.server) as server:
        got = await post(http, server.url)
        await http.aclose()
    assert got.body == b'{"a": 1}'


async def test_plain_text_where_tls_was_expected(http: Http):
    async def talk_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk_at_once, "127.0.0.1", 0) as server:
        error = await fail(http, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert error.kind is ErrorKind.UNREACHABLE


async def test_cancelling_hangs_up_and_leaves_the_client_usable(http: Http):
    async with serving(hang()) as server:
        asking = asyncio.ensure_future(post(http, server.url))
        await server.wait_asked()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(server.gone.wait(), 5)
        server.script = reply(200)
        assert (await post(http, server.url)).status == 200


async def test_a_host_that_hangs_leaves_connections_for_the_others():
    http = Http(Limits(connections=2, per_host=1))
    async with serving(hang()) as slow, serving(reply(200)) as quick:
        first = asyncio.ensure_future(fail(http, slow.url, 5 * SHORT))
        await slow.wait_asked()
        second = await fail(http, slow.url, SHORT)
        assert (await post(http, quick.url)).status == 200
        assert second.kind is (await first).kind is ErrorKind.TIMEOUT
        await http.aclose()
    assert len(slow.asked) == 1


async def test_tells_how_each_request_went():
    seen: list[tuple[str, str]] = []
    http = Http(observe=lambda system, outcome, seconds: seen.append((system, outcome)) if seconds >= 0 else None)
    async with serving(reply(201)) as server:
        await post(http, server.url)
        server.script = reply(503)
        await post(http, server.url)
        server.script = raw()
        await fail(http, server.url)
        server.script = hang()
        await fail(http, server.url, SHORT)
        asking = asyncio.ensure_future(post(http, server.url))
        await server.wait_asked(5)
        asking.cancel()
        await asyncio.wait({asking})
        await http.aclose()
    assert seen == [("system", how) for how in ("2xx", "5xx", "unreachable", "timeout", "cancelled")]


async def test_a_closed_client_says_so():
    http = Http()
    await http.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await post(http, "http://127.0.0.1:9")


async def test_streams_a_large_body_with_its_range(http: Http):
    body = os.urandom(3_000_000)
    script = reply(206, body, Content_Type="audio/mpeg", Content_Range="bytes 0-2999999/9000000")
    async with (
        serving(script) as server,
        http.stream(
            "twilio", "GET", server.url, auth=Auth(KEY, "basic", "AC"), headers={"range": "bytes=0-"}, limit=5
        ) as got,
    ):
        pieces = [piece async for piece in got.pieces]
    assert server.last.headers["range"] == "bytes=0-"
    assert (got.status, got.headers["content-range"]) == (206, "bytes 0-2999999/9000000")
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) < 100_000


STREAM_FAULTS: dict[str, tuple[Script, ErrorKind]] = {
    "head never comes": (hang(), ErrorKind.TIMEOUT),
    "stops within the body": (raw(OK_HEAD + b"content-length: 9\r\n\r\nabc", then="hang"), ErrorKind.TIMEOUT),
    "closes within the body": (raw(OK_HEAD + b"content-length: 9\r\n\r\nabc"), ErrorKind.UNREACHABLE),
    "redirects": (reply(307, Location="http://127.0.0.1:9/"), ErrorKind.MALFORMED_REPLY),
    "compresses": (reply(200, gzip.compress(b"x"), Content_Encoding="gzip"), ErrorKind.MALFORMED_REPLY),
}


@pytest.mark.parametrize(("script", "kind"), STREAM_FAULTS.values(), ids=STREAM_FAULTS)
async def test_a_stream_that_breaks(http: Http, script: Script, kind: ErrorKind):
    async with serving(script) as server:
        with pytest.raises(ProviderError) as caught:
            await _download(http, server.url, SHORT if kind is ErrorKind.TIMEOUT else 5)
    assert caught.value.kind is kind
    assert_clean(caught.value)


async def test_leaving_a_stream_early_hangs_up(http: Http):
    async with serving(raw(OK_HEAD + b"content-length: 9\r\n\r\nabc", then="hang")) as server:
        async with http.stream("twilio", "GET", server.url, auth=Auth(KEY, "bearer"), limit=5) as got:
            assert await anext(got.pieces) == b"abc"
        await asyncio.wait_for(server.gone.wait(), 5)


MEMORY_FAULTS: dict[str, tuple[Script, str]] = {
    "answered": (reply(200, {}), "sent"),
    "refused": (reply(401, {}), "sent"),
    "timed out": (hang(), "timeout"),
    "reset": (raw(then="reset"), "unreachable"),
    "broken off": (raw(OK_HEAD + b"content-length: 9\r\n\r\nabc"), "unreachable"),
    "no HTTP": (raw(b"hello\r\n\r\n"), "malformed_reply"),
}


@pytest.mark.parametrize(("script", "result"), MEMORY_FAULTS.values(), ids=MEMORY_FAULTS)
async def test_nothing_refers_to_the_key_after_the_request(http: Http, script: Script, result: str):
    """Objects of this process are searched with the garbage collector off, and the connection still open."""
    halves = (secrets.token_hex(12), secrets.token_hex(12))  # never together in this test's own objects
    async with serving(_forgetting(script)) as server:
        gc.disable()
        try:
            limit = SHORT if result == "timeout" else 20
            assert await _use_once(http, server.url, halves, limit=limit) == result
            server.asked.clear()
            assert _holders(halves) == []
        finally:
            gc.enable()


async def test_nothing_refers_to_the_key_after_a_request_that_was_cancelled(http: Http):
    halves = (secrets.token_hex(12), secrets.token_hex(12))
    async with serving(_forgetting(hang())) as server:
        gc.disable()
        try:
            asking = asyncio.ensure_future(_use_once(http, server.url, halves, limit=5))
            await server.wait_asked()
            asking.cancel()
            await asyncio.wait({asking})
            del asking
            server.asked.clear()
            assert _holders(halves) == []
        finally:
            gc.enable()


async def test_nothing_but_the_key_itself_refers_to_it_while_a_download_goes_on(http: Http):
    halves = (secrets.token_hex(12), secrets.token_hex(12))
    script = raw(OK_HEAD + b"content-length: 9\r\n\r\nabc", then="hang")
    async with serving(_forgetting(script)) as server:
        key = Secret("".join(halves))
        async with http.stream("twilio", "GET", server.url, auth=Auth(key, "bearer"), limit=5) as got:
            await anext(got.pieces)
            server.asked.clear()
            assert set(_holders(halves)) <= {"Secret"}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="freed memory is overwritten by glibc only")
async def test_no_key_is_in_the_memory_of_a_process_started_as_serve_starts_itself():
    scripts = {"/refused": reply(401, {}), "/broken": raw(OK_HEAD, then="reset"), "/silent": hang()}

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await scripts.get(asked.target, reply(201, {"id": "x"}))(asked, writer)

    root = Path(__file__).parents[2]
    hygiene = {"GLIBC_TUNABLES": "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0", "PYTHONMALLOC": "malloc"}
    async with serving(script) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.adapters.memory", server.url, stdout=PIPE, cwd=root, env={**os.environ, **hygiene}
        )  # fmt: skip
        try:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"done\n"
            found = await asyncio.to_thread(_search_memory, process.pid, rb"KQ7X[0-9a-f]{40}")
        finally:
            process.kill()
            await process.wait()
    assert len(server.asked) == 6
    assert found == 0


async def _download(http: Http, url: str, limit: float) -> None:
    async with http.stream("twilio", "GET", url, auth=Auth(KEY, "bearer"), limit=limit) as got:
        async for _ in got.pieces:
            pass


async def _use_once(http: Http, url: str, halves: tuple[str, str], limit: float = SHORT) -> str:
    try:
        await post(http, url, Auth(Secret("".join(halves)), "bearer"), limit)
    except ProviderError as error:
        return error.kind.value
    return "sent"


def _forgetting(script: Script) -> Script:
    """The server lives in this process as well and must not be what is found."""

    async def forget(_: Asked, writer: asyncio.StreamWriter) -> None:
        await script(Asked("", "", {}, b""), writer)

    return forget


def _holders(halves: tuple[str, str]) -> list[str]:
    """Types of the live objects that refer to a text or bytes with both halves in it."""
    wanted = [half.encode() for half in halves]
    found = []
    for holder in gc.get_objects():
        for value in gc.get_referents(holder):
            text = value.encode("utf-8", "replace") if isinstance(value, str) else value
            if isinstance(text, bytes | bytearray) and all(half in text for half in wanted):
                found.append(type(holder).__name__)
    return found


def _search_memory(pid: int, pattern: bytes) -> int:
    hits = 0
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            memory.seek(start)
            try:
                hits += len(re.findall(pattern, memory.read(end - start)))
            except OSError:  # a region that cannot be read from outside holds nothing of ours
                continue
    return hits
