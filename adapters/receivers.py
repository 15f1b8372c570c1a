"""The client for outgoing webhooks: one signed POST per event, and never to an internal address.

An agency chooses the address, so it must not become a way into our network: the host is looked up for every delivery,
each address found must be public, and the connection goes to one of these. Redirects are not followed.

Signing is that of the Standard Webhooks specification 1.0.0 (symmetric, `v1`).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from adapters.base import ErrorKind, ProviderError
from crypto.secret import Secret

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what such secrets begin with
_CONNECTIONS: Final = 200
_PER_HOST: Final = 8  # one receiver that hangs must not take the others' connections
_READ_BYTES: Final = 4096  # of a reply's body, which is not used; enough to reuse the connection
_ADDRESSES_THAT_HOLD_OTHERS: Final = (
    ipaddress.ip_network("64:ff9b::/96"),  # NAT64 (RFC 6052)
    ipaddress.ip_network("64:ff9b:1::/48"),
    ipaddress.ip_network("2002::/16"),  # 6to4
    ipaddress.ip_network("2001::/32"),  # Teredo
)

LookUp = Callable[[str, int], Awaitable[list[str]]]


class ForbiddenAddressError(ValueError):
    """An address that deliveries must not go to. The text tells the person who entered it why."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a receiver answered."""

    status: int

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004 - the class of HTTP statuses that mean success


class Receivers:
    """The client. `private` allows internal addresses and plain http (tests, closed networks)."""

    def __init__(self, *, private: bool = False, look_up: LookUp | None = None) -> None:
        self._private = private
        self._look_up = look_up or look_up_host
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def check(self, url: str) -> None:
        """Raises ForbiddenAddressError if deliveries may not go there, as far as can be told now."""
        parts = self._check_form(url)
        if self._private:
            return
        host = parts.hostname or ""
        try:
            addresses = await self._look_up(host, parts.port or 443)
        except OSError:
            raise ForbiddenAddressError(f"the host {host} is not known in the DNS") from None
        for address in addresses:
            refuse_inside(host, address)

    async def deliver(self, url: str, body: bytes, *, event_id: str, at: int, secret: Secret, limit: float) -> Receipt:
        """One attempt, within `limit` seconds. `at` in seconds since the epoch. Raises ForbiddenAddressError, and
        ProviderError for a receiver that could not be reached.
        """
        parts = self._check_form(url)
        if not self._private:
            _check_literal(parts)
        headers = {
            "Content-Type": "application/cloudevents+json",
            "User-Agent": "callrouter-webhooks",
            "webhook-id": event_id,
            "webhook-timestamp": str(at),
            "webhook-signature": sign(secret, event_id, at, body),
        }
        try:
            async with asyncio.timeout(limit):
                return await self._post(url, body, headers)
        except TimeoutError:
            raise ProviderError(ErrorKind.TIMEOUT) from None
        except aiohttp.ClientConnectorDNSError as error:
            if isinstance(error.os_error, _InsideError):
                raise ForbiddenAddressError(str(error.os_error)) from None
            raise ProviderError(ErrorKind.UNREACHABLE) from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise ProviderError(ErrorKind.UNREACHABLE) from None

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> Receipt:
        async with self._opened().post(url, data=body, headers=headers, allow_redirects=False) as response:
            await response.content.read(_READ_BYTES)
            return Receipt(response.status)

    def _check_form(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ForbiddenAddressError("it is not a valid address") from None
        if parts.scheme != "https" and not (self._private and parts.scheme == "http"):
            raise ForbiddenAddressError("it must start with https://")
        if not parts.hostname or port == 0:
            raise ForbiddenAddressError("it is not a valid address")
        if parts.username is not None or parts.password is not None:
            raise ForbiddenAddressError("it must not contain a user or password: deliveries are signed")
        return parts

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=_CONNECTIONS,
                limit_per_host=_PER_HOST,
                use_dns_cache=False,  # looked up and checked for every delivery
                resolver=None if self._private else _PublicResolver(self._look_up),
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
            )
        return self._session


def sign(secret: Secret, event_id: str, at: int, body: bytes) -> str:
    """Standard Webhooks: base64 of HMAC-SHA256 over `id.timestamp.body`; the key is what follows whsec_."""
    key = base64.b64decode(secret.reveal().removeprefix(SECRET_PREFIX))
    signed = f"{event_id}.{at}.".encode() + body
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"


def new_signing_secret(random: Callable[[int], bytes]) -> Secret:
    """256 random bits in the form that Standard Webhooks' libraries take."""
    return Secret(SECRET_PREFIX + base64.b64encode(random(32)).decode())


async def look_up_host(host: str, port: int) -> list[str]:
    """All addresses of a host. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def refuse_inside(host: str, address: str) -> None:
    """Raises ForbiddenAddressError for an address that is not on the public internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    holds_another = ip.version == 6 and any(ip in network for network in _ADDRESSES_THAT_HOLD_OTHERS)  # noqa: PLR2004
    if not ip.is_global or ip.is_multicast or ip.is_reserved or holds_another:
        raise ForbiddenAddressError(f"{host} leads to {address}, which is not on the public internet")


def _check_literal(parts: SplitResult) -> None:
    """An IP address in the URL is never looked up, so it is checked here."""
    host = parts.hostname or ""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return
    refuse_inside(host, host)


class _InsideError(OSError):
    """A resolver may only raise OSError."""


class _PublicResolver(AbstractResolver):
    """Looks a host up, and refuses it if an address is internal. Connections go to the addresses that were checked."""

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family  # both kinds
        addresses = await self._look_up(host, port)
        try:
            for address in addresses:
                refuse_inside(host, address)
        except ForbiddenAddressError as error:
            raise _InsideError(str(error)) from None
        return [_as_result(host, address, port) for address in dict.fromkeys(addresses)]

    async def close(self) -> None:
        return None


def _as_result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    result: Any = {
        "hostname": host,
        "host": address,
        "port": port,
        "family": family,
        "proto": socket.IPPROTO_TCP,
        "flags": socket.AI_NUMERICHOST,
    }
    return result  # type: ignore[no-any-return]
