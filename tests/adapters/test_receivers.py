"""Deliveries to other people's programs: signed as Standard Webhooks says, and never to an address inside."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from adapters.base import ErrorKind, ProviderError
from adapters.destination import ForbiddenAddressError
from adapters.receivers import Receivers, new_signing_secret, sign
from crypto.secret import Secret
from tests.support.serving import listen, serve_app

pytestmark = pytest.mark.anyio

SECRET = new_signing_secret(os.urandom)
BODY = b'{"specversion":"1.0","id":"event_1","data":{"name":"Zo\xc3\xab"}}'


class Receiver:
    """Somebody's program: keeps what it is sent, and answers as told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 204

    async def take(self, request: Request) -> Response:
        self.got.append((dict(request.headers), await request.body()))
        if self.status == 302:
            return RedirectResponse("/inside", 302)
        return Response(status_code=self.status)

    async def inside(self, request: Request) -> Response:
        self.got.append(({"inside": "yes"}, await request.body()))
        return Response(status_code=204)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def url(receiver: Receiver) -> AsyncIterator[str]:
    routes = [
        Route("/hook", receiver.take, methods=["POST"]),
        Route("/inside", receiver.inside, methods=["GET", "POST"]),
    ]
    async with serve_app(Starlette(routes=routes)) as url:
        yield url


@pytest.fixture
async def receivers() -> AsyncIterator[Receivers]:
    """As in a closed network: loopback is allowed."""
    receivers = Receivers(private=True)
    yield receivers
    await receivers.aclose()


async def deliver(receivers: Receivers, url: str, limit: float = 10):
    at = int(datetime.now(UTC).timestamp())
    return await receivers.deliver(
        url, BODY, content_type="application/json", event_id="event_1", at=at, secrets=[SECRET], limit=limit
    )


async def test_the_official_library_verifies_what_we_send(receivers, receiver, url):
    receipt = await deliver(receivers, f"{url}/hook")
    assert receipt.taken
    [(headers, body)] = receiver.got
    assert Webhook(SECRET.reveal()).verify(body, headers) == json.loads(BODY)
    assert headers["webhook-id"] == "event_1"
    assert SECRET.reveal() not in str(headers)


async def test_the_official_library_refuses_a_body_that_was_changed(receivers, receiver, url):
    await deliver(receivers, f"{url}/hook")
    [(headers, body)] = receiver.got
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(SECRET.reveal()).verify(body + b" ", headers)


@given(st.text(alphabet="abcdefgh_123", min_size=1, max_size=40), st.integers(0, 2**40), st.binary(max_size=200))
def test_we_sign_as_the_official_library_does(event_id, at, body):
    theirs = Webhook(SECRET.reveal()).sign(event_id, datetime.fromtimestamp(at % 4_000_000_000, UTC), body.hex())
    assert sign(SECRET, event_id, at % 4_000_000_000, body.hex().encode()) == theirs


@pytest.mark.parametrize("status", [302, 400, 410, 500])
async def test_any_other_answer_than_success_is_none_and_redirects_are_not_followed(receivers, receiver, url, status):
    receiver.status = status
    receipt = await deliver(receivers, f"{url}/hook")
    assert receipt.status == status
    assert not receipt.taken
    assert len(receiver.got) == 1


async def test_a_receiver_that_is_gone_or_says_nothing_is_told_apart(receivers):
    with pytest.raises(ProviderError) as gone:
        await deliver(receivers, "http://127.0.0.1:9/hook")
    assert gone.value.kind is ErrorKind.UNREACHABLE
    with pytest.raises(ProviderError) as slow:
        await deliver(receivers, "http://127.0.0.1:9/hook", limit=0)
    assert slow.value.kind is ErrorKind.TIMEOUT


INSIDE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.8",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "0.0.0.0",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "fe80::1",
    "fec0::1",
    "feff::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2001:20::1",
    "3ffe::1",
    "3fff::1",
    "5f00::1",
]


@pytest.mark.parametrize("address", INSIDE)
async def test_an_address_inside_is_refused_at_saving_and_at_delivery(address):
    """The name led elsewhere when it was saved: at each delivery it is looked up again."""

    async def look_up(_host: str, _port: int) -> list[str]:
        return ["93.184.215.14", address]

    receivers = Receivers(look_up=look_up)
    with pytest.raises(ForbiddenAddressError, match="not on the public internet"):
        await receivers.check("https://hooks.example.com/x")
    with pytest.raises(ForbiddenAddressError, match="not on the public internet"):
        await deliver(receivers, "https://hooks.example.com/x")
    await receivers.aclose()


@pytest.mark.parametrize("address", INSIDE)
async def test_an_address_written_as_a_number_is_judged_too(address):
    receivers = Receivers()
    written = f"https://[{address}]/x" if ":" in address else f"https://{address}/x"
    with pytest.raises(ForbiddenAddressError):
        await receivers.check(written)
    with pytest.raises(ForbiddenAddressError):
        await deliver(receivers, written)
    await receivers.aclose()


SPELLINGS = [
    "\uff11\uff12\uff17.\uff10.\uff10.\uff11",  # full-width digits
    "127\u30020\u30020\u30021",  # ideographic full stops
    "127\uff0e0\uff0e0\uff0e1",
    "127\uff610\uff610\uff611",
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",  # circled digits
    "\U0001d7cf\U0001d7d0\U0001d7d5.0.0.1",  # mathematical bold digits
    "127.0.0.1.",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "0x7F.1",
    "2130706433",
    "017700000001",
    "127.1",
    "127.0.1",
    "0",
    "00000127.0.0.1",
    "127.0.0.1%00",
    "127%2e0.0.1",
    "%31%32%37.0.0.1",
    "127.0.0.1%2f.example.com",
    "[::1%25lo]",
    "[::1%lo]",
    "[fe80::1%25eth0]",
    "[::ffff:127.0.0.1]",
    "[0:0:0:0:0:ffff:7f00:1]",
    "[::\uff11]",
    "93.184.215.14@127.0.0.1",
    "hooks.example.com\\@127.0.0.1",
    "@127.0.0.1",
    ":@127.0.0.1",
    "hooks.example.com#@127.0.0.1",
    "127.0.0.1\t",
    "127.0.\n0.1",
    " 127.0.0.1",
]


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_a_host_reaches_what_is_inside(host):
    async def look_up(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    receivers = Receivers(look_up=look_up)
    with listen() as listening:
        listening.setblocking(False)
        url = f"https://{host}:{listening.getsockname()[1]}/x"
        with pytest.raises(ForbiddenAddressError):
            await receivers.check(url)
        with pytest.raises(ForbiddenAddressError):
            await deliver(receivers, url)
        with pytest.raises(BlockingIOError):
            listening.accept()
    await receivers.aclose()


async def test_a_name_that_leads_inside_only_when_it_is_connected_to_is_refused_then():
    answers = iter(["93.184.215.14", "127.0.0.1", "127.0.0.1"])

    async def look_up(_host: str, _port: int) -> list[str]:
        return [next(answers)]

    receivers = Receivers(look_up=look_up)
    await receivers.check("https://hooks.example.com/x")
    for _ in range(2):
        with pytest.raises(ForbiddenAddressError):
            await deliver(receivers, "https://hooks.example.com/x")
    await receivers.aclose()


async def test_the_address_is_judged_again_where_the_socket_is_made(monkeypatch):
    """Should a spelling get past the host's check, no connection is made all the same."""

    async def look_up(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr("adapters.receivers.require_public", lambda _host, _address: None)
    receivers = Receivers(look_up=look_up)
    with listen() as listening:
        listening.setblocking(False)
        for host in ("hooks.example.com", "127.0.0.1"):
            with pytest.raises(ForbiddenAddressError):
                await deliver(receivers, f"https://{host}:{listening.getsockname()[1]}/x")
        with pytest.raises(BlockingIOError):
            listening.accept()
    await receivers.aclose()


@pytest.mark.parametrize(
    ("host", "asked_for"),
    [
        ("hooks.example.com", "hooks.example.com"),
        ("HOOKS.example.com.", "hooks.example.com."),
        ("m\u00fcnchen.example.com", "xn--mnchen-3ya.example.com"),
        ("\uff48ooks.example.com", "hooks.example.com"),
        ("_hooks.example.com", "_hooks.example.com"),
        ("1.example.com", "1.example.com"),
    ],
)
async def test_a_name_is_looked_up_as_the_client_spells_it(host, asked_for):
    asked: list[str] = []

    async def look_up(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["93.184.215.14"]

    await Receivers(look_up=look_up).check(f"https://{host}/x")
    assert asked == [asked_for]


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
async def test_a_public_address_is_let_through(address):
    asked: list[str] = []

    async def look_up(host: str, _port: int) -> list[str]:
        asked.append(host)
        return [address]

    receivers = Receivers(look_up=look_up)
    await receivers.check("https://hooks.example.com/x")
    assert asked == ["hooks.example.com"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://hooks.example.com/x", "https"),
        ("ftp://hooks.example.com/x", "https"),
        ("https:///x", "not a valid address"),
        ("https://user:password@hooks.example.com/x", "must not contain a user"),
        ("https://hooks.example.com:99999/x", "not a valid address"),
        ("https://hooks.example.com:0/x", "not a valid address"),
        ("hooks", "https"),
        ("https://hooks..example.com/", "not a host name"),
        ("https://.example.com/", "not a host name"),
        (f"https://{'a' * 64}.example.com/", "not a host name"),
        ("https://" + "\u00fc" * 60 + ".example.com/", "not a"),
        (f"https://{'a.' * 130}com/", "not a host name"),
        ("https://-hooks.example.com/", "not a host name"),
        ("https://hooks.example.com../", "not a host name"),
        ("https://ex ample.com/", "not a valid address"),
        ("https://xn--a/", "not a valid address"),
        ("https://[::1", "not a valid address"),
    ],
)
async def test_a_refused_delivery_address_says_why(url, words):
    receivers = Receivers()
    with pytest.raises(ForbiddenAddressError, match=words):
        await receivers.check(url)


@pytest.mark.parametrize("error", [OSError, UnicodeError, TimeoutError])
async def test_a_host_that_cannot_be_looked_up_is_refused_at_saving(error):
    async def look_up(_host: str, _port: int) -> list[str]:
        raise error

    with pytest.raises(ForbiddenAddressError, match="DNS"):
        await Receivers(look_up=look_up).check("https://nobody.example.com/x")


async def test_no_error_holds_the_secret(receivers):
    canary = Secret("whsec_" + "Y2FuYXJ5" * 4)
    with pytest.raises(ProviderError) as error:
        await receivers.deliver(
            "http://127.0.0.1:9/x", BODY, content_type="application/json", event_id="e", at=1, secrets=[canary], limit=5
        )
    assert canary.reveal() not in f"{error.value!r} {error.value.args} {error.value.__cause__!r}"
