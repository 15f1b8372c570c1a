"""The one outgoing HTTP client: pooling, deadlines, and failures that carry no key.

It is aiohttp's client. One request is one attempt. What a reply means is decided in `adapters.replies` and by each
adapter.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, TypeAlias, TypeVar

import aiohttp
import httpx
from aiohttp import http_writer
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.base import ErrorKind, ProviderError
from adapters.replies import Reply, decode
from adapters.requests import Auth, Form, Part, encode, fits_header
from crypto.secret import Secret

Observe: TypeAlias = Callable[[str, str, float], None]
"""Told of every request: the system, how it went ("2xx" … "5xx", an ErrorKind, "cancelled"), seconds."""

MAX_BYTES: Final = 1 << 20
_KEPT_HEADERS: Final = frozenset({"accept-ranges", "content-length", "content-range", "content-type", "retry-after"})
_REDIRECTS: Final = range(300, 400)
_ERRORS: Final = range(400, 600)

_PIECE_BYTES: Final = 16 * 1024  # of a download

_CLIENT_ERRORS: Final = (aiohttp.ClientError, OSError, ValueError)
_KINDS: Final[tuple[tuple[ErrorKind, tuple[type[BaseException], ...]], ...]] = (
    (ErrorKind.TIMEOUT, (TimeoutError,)),
    # Name resolution, refusal, TLS, resets; also a body that breaks off: the whole reply never arrived.
    (ErrorKind.UNREACHABLE, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError)),
    (ErrorKind.MALFORMED_REPLY, (aiohttp.ClientResponseError,)),
    # The request cannot be sent: a setting or an id makes an invalid URL or header.
    (ErrorKind.BAD_REQUEST, (ValueError, aiohttp.ClientError)),
)


# aiohttp's C code builds a request's headers on the C stack, where the last key stays until it is overwritten. Its Python
# version uses the heap, which `serve` overwrites as it is freed. The names are private: if they go,
# tests/adapters/test_http.py finds the key in the memory of a process.
if hasattr(http_writer, "_py_serialize_headers"):
    http_writer._serialize_headers = http_writer._py_serialize_headers  # noqa: SLF001 - see above


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections may be open. A slow host must leave some for the others."""

    connections: int = 1000
    per_host: int = 300
    keepalive: float = 4.0  # seconds; servers close idle connections after five or more, and a call must not meet that
    dns_cache: int = 60  # seconds


@dataclass(frozen=True, slots=True)
class Download:
    """A reply whose body has not been read. Read `pieces` once, inside the `async with` that gave it."""

    status: int
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Failure:
    kind: ErrorKind
    status: int | None = None


_Got = TypeVar("_Got", Reply, aiohttp.ClientResponse)
_Work = TypeVar("_Work")


class _KeylessResponse(aiohttp.ClientResponse):
    """aiohttp's response without the request's headers, so that neither it nor an error about it holds the key."""

    def __init__(self, *args: Any, request_info: aiohttp.RequestInfo, **rest: Any) -> None:
        keyless = request_info._replace(headers=CIMultiDictProxy(CIMultiDict()))
        super().__init__(*args, request_info=keyless, **rest)


class Http:
    """Connections to all outside systems. Made anywhere, used in one event loop, closed in the same."""

    def __init__(
        self, limits: Limits | None = None, observe: Observe | None = None, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._limits = limits or Limits()
        self._observe = observe or (lambda *_: None)
        self._ssl_context = ssl_context or _ssl_context()  # now, so that no caller waits for it
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def aclose(self) -> None:
        """Close all connections. Requests after that raise RuntimeError."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def send(
        self,
        system: str,
        method: str,
        url: str,
        *,
        auth: Auth | None = None,
        json: object = None,
        form: Form | Sequence[Part] | None = None,
        headers: Mapping[str, str | Secret] | None = None,
        limit: float,
        max_bytes: int = MAX_BYTES,
    ) -> Reply:
        """One request and its whole reply, within `limit` seconds from connecting to the last byte. Values in `json`
        and `headers` that are secret stay Secrets until they are written onto the wire.

        Raises ProviderError: timeout; unreachable (also if the reply breaks off); malformed_reply for anything but HTTP,
        a redirect, or a 2xx body that is larger than `max_bytes` (inflated, too) or in an unknown encoding;
        key_rejected for a key that a header cannot hold. Of an error reply with such a body, only the status counts.
        """
        result = await self._watched(
            system,
            auth,
            limit,
            lambda: self._exchange(method, url, *encode(auth, json, form, headers), max_bytes),
        )
        if isinstance(result, _Failure):
            raise ProviderError(result.kind, status=result.status)
        return result

    @asynccontextmanager
    async def stream(
        self,
        system: str,
        method: str,
        url: str,
        *,
        auth: Auth | None,
        headers: Mapping[str, str] | None = None,
        limit: float,
    ) -> AsyncIterator[Download]:
        """A reply of any size, piece by piece.

        `limit` holds for the reply's head and again for each piece, so that a slow reader downstream is not cut
        off. Raises ProviderError as `send` does, from here or while `pieces` is read.
        """
        response = await self._watched(
            system, auth, limit, lambda: self._head(method, url, *encode(auth, headers=headers))
        )
        if isinstance(response, _Failure):
            raise ProviderError(response.kind, status=response.status)
        async with response:
            yield Download(response.status, _kept(response.headers), _pieces(response, limit))

    async def _watched(
        self, system: str, auth: Auth | None, limit: float, work: Callable[[], Awaitable[_Got | _Failure]]
    ) -> _Got | _Failure:
        if auth is not None and not fits_header(auth):
            return _Failure(ErrorKind.KEY_REJECTED)
        began = time.perf_counter()
        outcome = "cancelled"
        try:
            result = await _attempt(work, limit)
            outcome = _outcome(result)
        finally:
            self._observe(system, outcome, time.perf_counter() - began)
        return result

    async def _exchange(
        self, method: str, url: str, headers: CIMultiDict[str], body: bytes | None, max_bytes: int
    ) -> Reply | _Failure:
        async with self._opened().request(method, url, headers=headers, data=body, allow_redirects=False) as response:
            return await _read(response, max_bytes)

    async def _head(
        self, method: str, url: str, headers: CIMultiDict[str], body: bytes | None
    ) -> aiohttp.ClientResponse | _Failure:
        response = await self._opened().request(method, url, headers=headers, data=body, allow_redirects=False)
        if response.status in _REDIRECTS or _encoding(response) != "identity":
            response.close()
            return _Failure(ErrorKind.MALFORMED_REPLY, response.status)
        return response

    def _opened(self) -> aiohttp.ClientSession:
        """The session, made at the first request because aiohttp binds it to the running loop."""
        if self._closed:
            raise RuntimeError("the HTTP client is closed")
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._limits.connections,
                limit_per_host=self._limits.per_host,
                keepalive_timeout=self._limits.keepalive,
                ttl_dns_cache=self._limits.dns_cache,
                ssl=self._ssl_context,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                response_class=_KeylessResponse,
                timeout=aiohttp.ClientTimeout(),  # none: `_attempt` has one
                trust_env=False,
                auto_decompress=False,
            )
        return self._session


@cache  # reading all the certificates takes 20 ms
def _ssl_context() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _outcome(result: Reply | aiohttp.ClientResponse | _Failure) -> str:
    return result.kind.value if isinstance(result, _Failure) else f"{result.status // 100}xx"


async def _attempt(work: Callable[[], Awaitable[_Work | _Failure]], limit: float) -> _Work | _Failure:
    """The work's result within `limit` seconds. A failure is returned, not raised: an error of ours raised from
    here would carry the client's as its context, with the request's headers in the frames.
    """
    try:
        async with asyncio.timeout(limit):
            return await work()
    except _CLIENT_ERRORS as error:
        failure = _Failure(_kind_of(error))
        _empty_frames(error)
        return failure
    except asyncio.CancelledError as cancelled:
        _empty_frames(cancelled)
        raise


def _kind_of(error: Exception) -> ErrorKind:
    return next((kind for kind, families in _KINDS if isinstance(error, families)), ErrorKind.UNREACHABLE)


def _empty_frames(error: BaseException) -> None:
    """Clear the locals of the frames that the error and those behind it refer to: they hold the headers."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link.__traceback__ = None
        link = link.__cause__ or link.__context__


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> Reply | _Failure:
    status = response.status
    if status in _REDIRECTS:
        return _Failure(ErrorKind.MALFORMED_REPLY, status)
    raw = await _read_raw(response.content, max_bytes)
    body = None if raw is None else decode(raw, _encoding(response), max_bytes)
    if body is None and status not in _ERRORS:
        return _Failure(ErrorKind.MALFORMED_REPLY, status)
    return Reply(status, _kept(response.headers), body or b"")


async def _read_raw(content: aiohttp.StreamReader, max_bytes: int) -> bytes | None:
    """The body as it came; None as soon as it is too large."""
    pieces, size = [], 0
    while piece := await content.readany():
        pieces.append(piece)
        size += len(piece)
        if size > max_bytes:
            return None
    return b"".join(pieces)


def _encoding(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("content-encoding", "").strip().lower() or "identity"


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {folded: value for name, value in headers.items() if (folded := name.lower()) in _KEPT_HEADERS}


async def _pieces(response: aiohttp.ClientResponse, limit: float) -> AsyncIterator[bytes]:
    while True:
        piece = await _attempt(lambda: response.content.read(_PIECE_BYTES), limit)
        if isinstance(piece, _Failure):
            raise ProviderError(piece.kind, status=response.status)
        if not piece:
            return
        yield piece
