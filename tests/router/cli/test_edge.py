"""Every command that takes requests has bounds before it knows who sends them: `serve`, and its last resort."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from crypto import new_key_entry
from tests.router.cli.commands import Command, Commands, get
from tests.router.cli.service import url_of
from tests.support.raw_http import RawConnection

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

COMMANDS = ["serve", "fallback"]
HALF_SENT = [
    b"",
    b"POST /fallback/voice HTTP/1.1\r\nX-Half: of",
    b"POST /fallback/voice HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
]
FEW_DESCRIPTORS, MANY_CONNECTIONS = 256, 300
MEGABYTE = 1024 * 1024


@contextmanager
def few_descriptors() -> Iterator[None]:
    """For what is started meanwhile, which may raise its limit again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_DESCRIPTORS, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def start(commands: Commands, name: str, **environ: str) -> Command:
    commands.environ.setdefault("CALLROUTER_FALLBACK_KEYS", new_key_entry())
    with few_descriptors():
        return commands.start(name, **environ)


async def open_half_sent(url: str) -> list[RawConnection]:
    opened = []
    for number in range(MANY_CONNECTIONS):
        connection = await RawConnection.open(url)
        await connection.send_all([HALF_SENT[number % len(HALF_SENT)]])
        opened.append(connection)
    return opened


@pytest.mark.parametrize("name", COMMANDS)
async def test_what_is_half_sent_or_sent_without_end_keeps_neither_descriptors_nor_memory_from_calls(
    migrated: Commands, name: str
):
    migrated.is_forked = False
    command = start(migrated, name, CALLROUTER_HEADER_TIMEOUT="3600", CALLROUTER_BODY_TIMEOUT="0.2")
    url = await url_of(command)
    assert (await asyncio.to_thread(get, f"{url}/livez")).status_code == 200
    process = psutil.Process(command.pid)
    before = process.memory_info().rss
    for _ in range(4):
        connection = await RawConnection.open(url)
        reading = asyncio.create_task(connection.read_to_end())
        headers = (b"".join(b"x-%d-%d: 1\r\n" % (number, each) for each in range(2000)) for number in range(1000))
        await connection.send(b"GET / HTTP/1.1\r\n")
        await connection.send_all(headers)
        assert (await reading).startswith(b"HTTP/1.1 431 ")
        connection.close()
    opened = await open_half_sent(url)
    assert (await asyncio.to_thread(get, f"{url}/livez")).status_code == 200
    assert not opened[0].reader.at_eof(), "the process may open more files than it was given at first"
    slow = await RawConnection.open(url)
    await slow.send(HALF_SENT[-1])
    assert (await slow.read_to_end()).startswith(b"HTTP/1.1 408 ")
    assert process.memory_info().rss - before < 20 * MEGABYTE
    for connection in [slow, *opened]:
        connection.close()


@pytest.mark.parametrize(
    ("name", "public"), [("serve", "CALLROUTER_PUBLIC_URL"), ("fallback", "CALLROUTER_FALLBACK_URL")]
)
async def test_probes_and_metrics_have_a_port_of_their_own_if_the_operator_says_so(
    migrated: Commands, name: str, public: str
):
    probes = ["livez", "healthz", "readyz", "metrics"]
    command = start(migrated, name, CALLROUTER_OPS_PORT="0", **{public: "https://calls.example.com"})
    url = await url_of(command)
    ops_url = f"http://127.0.0.1:{command.events('service.started')[0]['ops_port']}"

    async def status(base: str, path: str) -> int:
        return (await asyncio.to_thread(get, f"{base}/{path}")).status_code

    assert [await status(ops_url, probe) for probe in probes] == [200] * len(probes)
    assert [await status(url, probe) for probe in probes] == [404] * len(probes)
    elsewhere = ["fallback/voice", "v1/token", "console", "docs", "openapi.json", ""]
    assert [await status(ops_url, path) for path in elsewhere] == [404] * len(elsewhere)
    assert await status(url, "fallback/voice") == await status(url, "fallback/voice/") == 200
    for answer in [await asyncio.to_thread(get, each) for each in (f"{url}/fallback/voice", url, ops_url)]:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
    command.tell(signal.SIGTERM)
    assert (await asyncio.to_thread(command.end), command.stderr) == (0, "")
