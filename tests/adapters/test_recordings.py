"""Recordings are fetched from a provider's API and its own hosts, and from nowhere else; what is deleted is a call."""

from __future__ import annotations

import pytest

from adapters.base import ErrorKind, GoneError, ProviderError
from adapters.facets import ServedByApi, StoredAt
from adapters.http import Http
from adapters.recordings import ElsewhereError, choose_place, delete_call, read_head
from adapters.registry import PROVIDERS
from adapters.replies import Reply
from crypto.secret import Secret
from tests.adapters.loopback import reply, serving
from tests.adapters.refusals import KEY
from tests.support.adapters import bland_at, vapi_at

BASE = "https://api.example.com/v1"
HOSTS = ("storage.example.com", ".store.example.net")


def at(url: str) -> StoredAt:
    return StoredAt(Secret(url))


@pytest.mark.parametrize(
    "url",
    [
        "https://storage.example.com/a.wav?X-Signature=1",
        "https://storage.example.com:443/a.wav",
        "https://eu.store.example.net/a.wav",
        f"{BASE}/storage/a.wav",
    ],
)
def test_a_providers_own_addresses_are_fetched(url: str):
    assert choose_place([at("https://bucket.example.org/a.wav"), at(url)], HOSTS, BASE) == at(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://storage.example.com/a.wav",
        "https://storage.example.com.evil.test/a.wav",
        "https://storage.example.com@evil.test/a.wav",
        "https://user:word@storage.example.com/a.wav",
        "https://storage.example.com:8443/a.wav",
        "https://storage.example.com:port/a.wav",
        "https://evilstore.example.net/a.wav",
        "https://store.example.net.evil.test/a.wav",
        "https://127.0.0.1/a.wav",
        "https://[::1/a.wav",
        "https://api.example.com/v1.evil.test/a.wav",
        "https://storage.example.com\\@evil.test/a.wav",
        "https://storage.example.com/a b.wav",
        "file:///etc/passwd",
        "",
    ],
)
def test_no_other_address_is_fetched(url: str):
    with pytest.raises(ElsewhereError):
        choose_place([at(url)], HOSTS, BASE)


def test_what_the_api_serves_itself_needs_no_host():
    place = ServedByApi("/calls/1/recording", "audio/mpeg")
    assert choose_place([at("https://evil.test/"), place], (), BASE) == place


def test_every_provider_names_whole_hosts():
    hosts = [host for one in PROVIDERS if one.recordings is not None for host in one.recordings.hosts]
    assert "storage.vapi.ai" in hosts
    assert all(host.strip(".").count(".") >= 1 and "*" not in host and "/" not in host for host in hosts)


@pytest.mark.parametrize(
    ("given", "path", "content_type"),
    [
        ("audio/mpeg", "/a", "audio/mpeg"),
        ("audio/x-wav; charset=binary", "/a", "audio/x-wav"),
        ("binary/octet-stream", "/a/recording.wav", "audio/wav"),
        ("", "/a.MP3", "audio/mpeg"),
    ],
)
def test_a_store_may_not_know_the_type_of_its_files(given: str, path: str, content_type: str):
    assert read_head(Reply(200, {"content-type": given}, b""), path).content_type == content_type


@pytest.mark.parametrize(
    ("given", "path"), [("text/html", "/a.wav"), ("application/octet-stream", "/a.html"), ("", "/a")]
)
def test_what_is_not_audio_does_not_reach_a_browser(given: str, path: str):
    with pytest.raises(ProviderError) as raised:
        read_head(Reply(200, {"content-type": given}, b""), path)
    assert raised.value.kind is ErrorKind.MALFORMED_REPLY


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_store_that_refuses_has_the_recording_no_more(status: int):
    with pytest.raises(GoneError):
        read_head(Reply(status, {}, b""), "/a.wav")


@pytest.mark.parametrize("given", ["text/html", "audio/x\udce9", "audio/a b", "audio/"])
def test_a_type_that_a_header_cannot_hold_is_none(given: str):
    with pytest.raises(ProviderError):
        read_head(Reply(200, {"content-type": given}, b""), "/a.mp4")


@pytest.mark.parametrize(
    ("given", "kept"), [("bytes 0-9/100", True), ("bytes */100", True), ("bytes 0-9/\udce9", False)]
)
def test_a_range_is_passed_on_if_it_is_one(given: str, kept: bool):
    head = read_head(Reply(206, {"content-type": "audio/wav", "content-range": given}, b""), "/a")
    assert head.content_range == (given if kept else None)


@pytest.mark.anyio
@pytest.mark.parametrize("call_id", ["x/../../assistant/asst_1", "x?limit=1", "..", ""])
async def test_an_id_that_leads_elsewhere_deletes_nothing(http: Http, call_id: str):
    async with serving(reply(200, {})) as server:
        provider = vapi_at(http, server.url)
        with pytest.raises(ProviderError) as raised:
            await delete_call(provider.open(KEY, 5), provider.recordings, call_id)
    assert raised.value.kind is ErrorKind.BAD_REQUEST
    assert server.asked == []


@pytest.mark.anyio
async def test_bland_may_refuse_to_delete_a_call_under_a_200(http: Http):
    async with serving(reply(200, {"status": "error", "message": "The call is locked"})) as server:
        bland = bland_at(http, server.url, "sip.bland.ai")
        with pytest.raises(ProviderError) as raised:
            await delete_call(bland.open(KEY, 5), bland.recordings, "call-1")
    assert (raised.value.kind, raised.value.said) == (ErrorKind.BAD_REQUEST, "The call is locked")
