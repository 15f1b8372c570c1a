"""Whose address counts, and how many wrong tokens it may send."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest

from router.peers import Proxies, WrongTokens, group_of

OURS = ("10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.7/32")


def find(peer: str | None, *forwarded: str, trusted: tuple[str, ...] = OURS) -> str | None:
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in forwarded]
    scope = {"client": (peer, 1) if peer else None, "headers": [(b"host", b"x"), *headers]}
    return Proxies(map(ip_network, trusted)).find_address(scope)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # a stranger's header is not believed
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # what the client itself claimed
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),  # likewise, on a line of its own
        ("10.0.0.1", ["198.51.100.1, 10.9.9.9, 192.0.2.7"], "198.51.100.1"),
        ("10.0.0.1", ["10.2.0.1, 10.9.9.9"], "10.2.0.1"),  # one of our own machines
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, "], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:5678"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::1]:5678"], "2001:db8::1"),
        ("10.0.0.1", ["2001:DB8::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("2001:db8:ffff::5", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6," + "10.0.0.2," * 100 + "10.0.0.3"], "10.0.0.2"),  # too many hops to follow
        ("10.0.0.1", ["\xff\xfe"], "10.0.0.1"),
        (None, ["198.51.100.1"], None),
    ],
)
def test_the_address_is_the_last_one_that_a_trusted_proxy_names(peer, forwarded, address):
    assert find(peer, *forwarded) == address


def test_without_trusted_proxies_the_header_is_ignored():
    assert find("10.0.0.1", "198.51.100.1", trusted=()) == "10.0.0.1"


def test_a_network_of_ipv6_counts_as_one_address():
    assert group_of("2001:db8::1") == group_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert group_of("2001:db8:0:1::1") != group_of("2001:db8::1")
    assert group_of("::ffff:192.0.2.1") == group_of("192.0.2.1") == "192.0.2.1"
    assert group_of(None) == "unknown"


@pytest.fixture
def now() -> list[datetime]:
    return [datetime(2026, 3, 2, 12, 0, tzinfo=UTC)]


@pytest.fixture
def wrong(now) -> WrongTokens:
    return WrongTokens(lambda: now[0])


def test_wrong_tokens_are_limited_by_address_for_a_minute(wrong, now):
    assert [wrong.admit("192.0.2.1") for _ in range(11)] == [True] * 10 + [False]
    assert wrong.admit("192.0.2.2")
    assert wrong.seconds_to_wait() == 60
    now[0] += timedelta(seconds=60)
    assert wrong.admit("192.0.2.1")


def test_addresses_of_one_ipv6_network_share_a_limit(wrong):
    assert [wrong.admit(f"2001:db8::{n}") for n in range(11)] == [True] * 10 + [False]


def test_wrong_tokens_are_limited_in_all(wrong):
    admitted = sum(wrong.admit(f"192.0.{n // 200}.{n % 200}") for n in range(1000))
    assert admitted == 300


def test_refusals_are_counted_by_address_and_those_from_many_places_together(wrong):
    for _ in range(20):
        wrong.admit("192.0.2.1")
    for n in range(1000):
        wrong.admit(f"2001:db8:{n:x}::1")
    counts = wrong.take_counts()
    assert counts["192.0.2.1"] == 20
    assert len(counts) == 101
    assert sum(counts.values()) == 1020
    assert wrong.take_counts() == {}
