"""The client for outgoing webhooks: one signed POST per event, and never to an internal address.

An agency chooses the address, so it must not become a way into our network: the host is looked up for every delivery,
each address found must be public, and the connection goes to one of these. Each is checked again where its socket is
made, so that no spelling of a host can avoid the check. Redirects are not followed.

Signing is that of the Standard Webhooks specification 1.0.0 (symmetric, `v1`).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType
from yarl import URL

from adapters.base import ErrorKind, ProviderError
from adapters.destination import (
    ForbiddenAddressError,
    is_public,
    port_of,
    read_address,
    read_destination,
    require_public,
)
from crypto.secret import Secret

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what such secrets begin with
_CONNECTIONS: Final = 200
_PER_HOST: Final = 8  # one receiver that hangs must not take the others' connections
_READ_BYTES: Final = 4096  # of a reply's body; enough to reuse the connection
_SHOWN: Final = 2000  # characters of it that people may see
_LOOKUPS: Final = (
    32  # at once, in threads of their own: an agency's slow DNS server must not delay the lookups of calls
)
_LOOKUP_SECONDS: Final = 5.0

LookUp = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a receiver answered. `text` is the beginning of its body."""

    status: int
    text: str = ""

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
        target = self._read(url)
        host = target.raw_host or ""
        if self._private or read_address(host) is not None:
            return
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                addresses = await self._look_up(host, port_of(target))
        except (OSError, ValueError):  # a timeout is an OSError
            raise ForbiddenAddressError(f"the host {host} was not found in the DNS") from None
        for address in addresses:
            require_public(host, address)

    async def deliver(
        self,
        url: str,
        body: bytes,
        *,
        content_type: str,
        event_id: str,
        at: int,
        secrets: Sequence[Secret],
        limit: float,
    ) -> Receipt:
        """One attempt, within `limit` seconds, signed with each of the secrets. `at` in seconds since the epoch. Raises
        ForbiddenAddressError, and ProviderError for a receiver that could not be reached.
        """
        signing = {
            "webhook-id": event_id,
            "webhook-timestamp": str(at),
            "webhook-signature": " ".join(sign(secret, event_id, at, body) for secret in secrets),
        }
        return await self.post(url, body, content_type=content_type, headers=signing, limit=limit)

    async def post(
        self, url: str, body: bytes, *, content_type: str, limit: float, headers: Mapping[str, str] | None = None
    ) -> Receipt:
        """Without a signature, unless it is among the headers. Raises the same errors."""
        target = self._read(url)
        headers = {
            "Content-Type": content_type,
            "User-Agent": "callrouter-webhooks",
            "Accept-Encoding": "identity",
            **(headers or {}),
        }
        try:
            async with asyncio.timeout(limit):
                return await self._post(target, body, headers)
        except TimeoutError:
            raise ProviderError(ErrorKind.TIMEOUT) from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _InsideError):
                raise ForbiddenAddressError(str(error.os_error)) from None
            raise ProviderError(ErrorKind.UNREACHABLE) from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise ProviderError(ErrorKind.UNREACHABLE) from None

    async def _post(self, url: URL, body: bytes, headers: Mapping[str, str]) -> Receipt:
        async with self._opened().post(url, data=body, headers=headers, allow_redirects=False) as response:
            return Receipt(response.status, _read_text(await response.content.read(_READ_BYTES)))

    def _read(self, url: str) -> URL:
        """The URL as it is requested. Raises ForbiddenAddressError, also for an internal IP address."""
        target = read_destination(url, plain=self._private)
        host = target.raw_host or ""
        address = read_address(host)
        if address is not None and not self._private:
            require_public(host, address)
        return target

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=_CONNECTIONS,
                limit_per_host=_PER_HOST,
                use_dns_cache=False,  # looked up and checked for every delivery
                resolver=_Resolver(self._look_up, private=self._private),
                socket_factory=None if self._private else _open_public_socket,
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


def _read_text(body: bytes) -> str:
    """As people may see it, whatever it is."""
    text = body.decode(errors="replace").replace("\r\n", "\n")[:_SHOWN]
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


def new_signing_secret(random: Callable[[int], bytes]) -> Secret:
    """256 random bits in the form that Standard Webhooks' libraries take."""
    return Secret(SECRET_PREFIX + base64.b64encode(random(32)).decode())


_threads: Final = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="receivers-dns")


async def look_up_host(host: str, port: int) -> list[str]:
    """All addresses of a host. Raises OSError, or ValueError for a host that no DNS query can hold."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return [str(address[0]) for *_, address in found]


class _InsideError(OSError):
    """An internal address. A resolver and a socket factory may only raise OSError."""


def _open_public_socket(addressed: AddrInfoType) -> socket.socket:
    """The socket for a connection to this address. The connection is made right after, to the same address."""
    family, kind, protocol, _, address = addressed
    if not is_public(str(address[0])):
        raise _InsideError(f"{address[0]} is not on the public internet")
    return socket.socket(family, kind, protocol)


class _Resolver(AbstractResolver):
    """Looks a host up, and refuses it if one of its addresses is internal, unless these are allowed."""

    def __init__(self, look_up: LookUp, *, private: bool) -> None:
        self._look_up = look_up
        self._private = private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family  # both kinds
        addresses = await self._look_up(host, port)
        try:
            for address in () if self._private else addresses:
                require_public(host, address)
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
