"""Which addresses deliveries may go to: the form of the URL, and whether an IP address is on the public internet.

A host has many spellings (full-width digits, IDNA, short and octal IPv4, IPv4 inside IPv6). So the URL is parsed by
the library that the HTTP client uses, and the host is checked in the spelling in which the client connects to it.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from yarl import URL

_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_MOST_IN_HOST: Final = 253
_UNSENDABLE: Final = re.compile(r"[\x00-\x20\x7f\\]")
_DEFAULT_PORT: Final = 443

# IANA's special-purpose address registries (RFC 6890 and later), and 168.63.129.16, which is Azure's host as seen from
# its virtual machines. Python's `is_global` depends on the version, and is true for 192.0.0.8 and fec0::1.
_UNICAST_V6: Final = ipaddress.IPv6Network("2000::/3")
_SPECIAL_V6: Final = tuple(
    map(
        ipaddress.IPv6Network,
        ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3ffe::/16", "3fff::/20"),
    )
)
_SPECIAL_V4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)


class ForbiddenAddressError(ValueError):
    """An address that deliveries must not go to. The text tells the person who entered it why."""


def read_destination(text: str, *, plain: bool = False) -> URL:
    """The URL as the client sends it. `plain` allows http. Raises ForbiddenAddressError."""
    try:
        url = URL(text)
        port, _ = url.explicit_port, url.host  # reading them raises what parsing did not check
    except ValueError:
        raise ForbiddenAddressError("it is not a valid address") from None
    if url.scheme != "https" and not (plain and url.scheme == "http"):
        raise ForbiddenAddressError("it must start with https://")
    if not url.raw_host or port == 0 or _UNSENDABLE.search(text):
        raise ForbiddenAddressError("it is not a valid address")
    if url.raw_user is not None or url.raw_password is not None or "@" in url.raw_authority:
        raise ForbiddenAddressError("it must not contain a user or password: deliveries are signed")
    if read_address(url.raw_host) is None and not _is_name(url.raw_host):
        raise ForbiddenAddressError(f"{url.raw_host[:_MOST_IN_HOST]} is not a host name")
    return url


def port_of(url: URL) -> int:
    return url.port or _DEFAULT_PORT


def read_address(host: str) -> str | None:
    """The host if it is an IP address; None for a name and for an address with a zone."""
    try:
        return None if "%" in host else str(ipaddress.ip_address(host))
    except ValueError:
        return None


def require_public(host: str, address: str) -> None:
    """Raises ForbiddenAddressError unless the IP address is on the public internet."""
    if not is_public(address):
        raise ForbiddenAddressError(f"{host} leads to {address}, which is not on the public internet")


def is_public(address: str) -> bool:
    """False also for IPv6 addresses that contain an IPv4 address, and for an address with a zone."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _SPECIAL_V4)
    return ip.scope_id is None and ip in _UNICAST_V6 and not any(ip in network for network in _SPECIAL_V6)


def _is_name(host: str) -> bool:
    """A name for the DNS. If its last label is a number, it is a short, octal or hexadecimal IPv4 address instead."""
    name = host.removesuffix(".")
    labels = name.split(".")
    return (
        len(name) <= _MOST_IN_HOST
        and all(_LABEL.fullmatch(label) for label in labels)
        and not _NUMBER.fullmatch(labels[-1])
    )
