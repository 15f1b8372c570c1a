"""The one outgoing HTTP client: pooling, deadlines, and failures that carry no key.

It uses httpx's types over aiohttp's connections, and hands each request straight to the transport, at half the cost of
httpx's own client. One request is one attempt. What a reply means is decided in `adapters.replies` and by each adapter.
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
from httpx_aiohttp import AiohttpTransport
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.base import ErrorKind, ProviderError
from adapters.replies import Reply, decode
from adapters.requests import Auth, Form, Part, build_request, fits_header
from crypto.secret import Secret

Observe: TypeAlias = Callable[[str, str, float], None]
"""Told of every request: the system, how it went ("2xx" … "5xx", an ErrorKind, "cancelled"), seconds."""

MAX_BYTES: Final = 1 << 20
_KEPT_HEADERS: Final = frozenset({"accept-ranges", "content-length", "content-range", "content-type", "retry-after"})
_REDIRECTS: Final = range(300, 400)
_ERRORS: Final = range(400, 600)

_CLIENT_ERRORS: Final = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError)
_KINDS: Final[tuple[tuple[ErrorKind, tuple[type[BaseException], ...]], ...]] = (
    (ErrorKind.TIMEOUT, (TimeoutError,)),
    # Name resolution, refusal, TLS, resets; also a body that breaks off: the whole reply never arrived.
    (ErrorKind.UNREACHABLE, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError)),
    (ErrorKind.MALFORMED_REPLY, (aiohttp.ClientResponseError,)),
    # The request cannot be sent: a setting or an id makes an invalid URL or header.
    (ErrorKind.BAD_REQUEST, (ValueError, httpx.InvalidURL, httpx.UnsupportedProtocol, aiohttp.ClientError)),
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


_Got = TypeVar("_Got", Reply, httpx.Response)
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
        self._ssl_context = ssl_context
        self._transport: AiohttpTransport | None = None
        self._closed = False

    async def aclose(self) -> None:
        """Close all connections. Requests after that raise RuntimeError."""
        self._closed = True
        if self._transport is not None:
            await self._transport.aclose()

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
            lambda: self._exchange(build_request(method, url, auth, json, form, headers), max_bytes),
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
        auth: Auth,
        headers: Mapping[str, str] | None = None,
        limit: float,
    ) -> AsyncIterator[Download]:
        """A reply of any size, piece by piece.

        `limit` holds for the reply's head and again for each piece, so that a slow reader downstream is not cut
        off. Raises ProviderError as `send` does, from here or while `pieces` is read.
        """
        response = await self._watched(
            system, auth, limit, lambda: self._head(build_request(method, url, auth, headers=headers))
        )
        if isinstance(response, _Failure):
            raise ProviderError(response.kind, status=response.status)
        try:
            yield Download(response.status_code, _kept(response.headers), _pieces(response, limit))
        finally:
            await response.aclose()

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

    async def _exchange(self, request: httpx.Request, max_bytes: int) -> Reply | _Failure:
        response = await self._opened().handle_async_request(request)
        try:
            return await _read(response, max_bytes)
        finally:
            await response.aclose()

    async def _head(self, request: httpx.Request) -> httpx.Response | _Failure:
        response = await self._opened().handle_async_request(request)
        # The response outlives this call by its body; it must not refer to the request and its headers.
        response.request = httpx.Request(request.method, request.url)
        if response.status_code in _REDIRECTS or _encoding(response) != "identity":
            await response.aclose()
            return _Failure(ErrorKind.MALFORMED_REPLY, response.status_code)
        return response

    def _opened(self) -> AiohttpTransport:
        """The transport, made at the first request because aiohttp binds it to the running loop."""
        if self._closed:
            raise RuntimeError("the HTTP client is closed")
        if self._transport is None:
            context = self._ssl_context or _ssl_context()
            connector = aiohttp.TCPConnector(
                limit=self._limits.connections,
                limit_per_host=self._limits.per_host,
                keepalive_timeout=self._limits.keepalive,
                ttl_dns_cache=self._limits.dns_cache,
                ssl=context,
            )
            session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                response_class=_KeylessResponse,
                trust_env=False,
            )
            self._transport = AiohttpTransport(verify=context, client=session)
        return self._transport


@cache  # reading all the certificates takes 20 ms
def _ssl_context() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _outcome(result: Reply | httpx.Response | _Failure) -> str:
    if isinstance(result, _Failure):
        return result.kind.value
    status = result.status if isinstance(result, Reply) else result.status_code
    return f"{status // 100}xx"


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
    """The transport wraps aiohttp's errors in httpx's, less exactly; what counts is aiohttp's own."""
    cause = error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ is not None else error
    return next((kind for kind, families in _KINDS if isinstance(cause, families)), ErrorKind.UNREACHABLE)


def _empty_frames(error: BaseException) -> None:
    """Clear the locals of the frames that the error and those behind it refer to: they hold the headers."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link.__traceback__ = None
        link = link.__cause__ or link.__context__


async def _read(response: httpx.Response, max_bytes: int) -> Reply | _Failure:
    status = response.status_code
    if status in _REDIRECTS:
        return _Failure(ErrorKind.MALFORMED_REPLY, status)
    raw = await _read_raw(response, max_bytes)
    body = None if raw is None else decode(raw, _encoding(response), max_bytes)
    if body is None and status not in _ERRORS:
        return _Failure(ErrorKind.MALFORMED_REPLY, status)
    return Reply(status, _kept(response.headers), body or b"")


async def _read_raw(response: httpx.Response, max_bytes: int) -> bytes | None:
    """The body as it came; None as soon as it is too large."""
    raw = bytearray()
    async for piece in response.aiter_raw():
        raw += piece
        if len(raw) > max_bytes:
            return None
    return bytes(raw)


def _encoding(response: httpx.Response) -> str:
    return response.headers.get("content-encoding", "").strip().lower() or "identity"


def _kept(headers: httpx.Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in _KEPT_HEADERS}


async def _pieces(response: httpx.Response, limit: float) -> AsyncIterator[bytes]:
    raw = response.aiter_raw()
    while True:
        piece = await _attempt(lambda: anext(raw, None), limit)
        if isinstance(piece, _Failure):
            raise ProviderError(piece.kind, status=response.status_code)
        if piece is None:
            return
        yield piece
