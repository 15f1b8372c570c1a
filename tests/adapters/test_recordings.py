"""Recordings are fetched from a provider's API and its own hosts, and from nowhere else."""

from __future__ import annotations

import pytest

from adapters.base import ErrorKind, GoneError, ProviderError
from adapters.facets import ServedByApi, StoredAt
from adapters.recordings import ElsewhereError, choose_place, read_head
from adapters.registry import PROVIDERS
from adapters.replies import Reply
from crypto.secret import Secret

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
