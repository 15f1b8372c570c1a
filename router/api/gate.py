"""The gate of /v1: plain ASGI around the FastAPI application, before anything of a request is parsed.

It checks the token (router.api.auth), then the agency's limits (router.api.limits), then the address, then the size and
the JSON of the body. An admitted request has
`request.state.actor`, `.raw` and `.document`. Every answer gets its problem, its log line and its Cache-Control here.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from cachetools import TTLCache
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from router.api.auth import Actor, Authentication, unauthorized
from router.api.bodies import read_body, read_json
from router.api.limits import LONGEST_SECONDS, Use, Uses
from router.api.open_answers import OpenAnswers
from router.api.problems import Problem, answer_error
from router.api.route import WRITES, ApiRoute
from router.bodies import CutOffError
from router.errors import CrowdedError, NotFoundError
from router.peers import Proxies
from router.store.tenants.agencies import agency_exists
from router.telemetry import emit, traces

_SECONDS: Final = 30.0  # until an answer begins; well above the longest operation's own limits
_LAST_SECONDS: Final = 1.0  # for the last piece of an answer that was ended
_ROOT: Final = "/v1"
_MOST_PATHS: Final = 1024  # remembered with where they lead: matching one against all patterns takes 30 µs
_MOST_REFUSED: Final = 1000
_REFUSED_SECONDS: Final = 1.0
_PLACEHOLDER_VALUE: Final = re.compile(r"[A-Za-z0-9_+-]{1,80}")


@dataclass(frozen=True, slots=True)
class _Address:
    """All operations of one path; none of an unknown path."""

    path: str
    pattern: re.Pattern[str]
    operations: dict[str, ApiRoute] = field(default_factory=dict)


_NOWHERE: Final = _Address(f"{_ROOT}/*", re.compile(""))


class ChosenRoute(BaseRoute):
    """The operation that the gate has chosen. The application need not match the path against all of them again."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return _chosen(scope).matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _chosen(scope).handle(scope, receive, send)


class Gate(BaseRoute):
    """/v1, and all that is below it. `routes` are the operations; `app` has a ChosenRoute in place of them."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Iterable[ApiRoute],
        authentication: Authentication,
        proxies: Proxies,
        answers: OpenAnswers,
        uses: Uses,
    ) -> None:
        self._app = app
        self._authentication = authentication
        self._proxies = proxies
        self._answers = answers
        self._uses = uses
        self._addresses: dict[str, _Address] = {}
        self._find = lru_cache(_MOST_PATHS)(self._match)
        self._refused: TTLCache[bytes, str] = TTLCache(_MOST_REFUSED, _REFUSED_SECONDS)
        for route in routes:
            address = self._addresses.setdefault(route.path, _Address(route.path, route.path_regex))
            address.operations[route.method] = route

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_below = scope["type"] == "http" and (scope["path"] == _ROOT or scope["path"].startswith(f"{_ROOT}/"))
        return (Match.FULL if is_below else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = self._proxies.find_address(scope)
        request = Request(scope, receive)
        address, ids = self._find(scope["path"])
        traces.name_request(
            scope, scope["method"] if scope["method"] in WRITES | {"GET", "HEAD"} else "HTTP", address.path
        )
        reply = _Reply(scope["method"], address.path, send)
        actor: Actor | None = None
        try:
            async with reply.soon():
                self._refuse_again(request, address, reply)
                actor = await self._identify(request, client)
                traces.link_caller(request.headers)
                with self._watch(scope, actor, ids, reply):
                    async with self._limit(scope, actor, address, reply) as route:
                        state = await self._admit(request, actor, route, ids)
                        await self._app(_forward(scope, state, client), receive, reply.send)
        except (ClientDisconnect, CutOffError):
            return
        except Exception as error:
            if isinstance(error, CrowdedError) and actor is not None and actor.agency_id is not None:
                self._refused[_hash_token(request)] = actor.agency_id
            if reply.is_cut:
                return
            if reply.is_over and await reply.finish():
                return
            if reply.has_begun:
                raise
            refused = unauthorized("This token is no longer valid.") if reply.is_over else error
            await answer_error(refused, address.path, scope["method"])(scope, receive, reply.send)

    def _refuse_again(self, request: Request, address: _Address, reply: _Reply) -> None:
        """Raises CrowdedError for a token that was refused a moment ago for its agency's share, while that is still used
        up: then the database need not be asked whose token it is. Tokens are remembered by their hashes.
        """
        agency_id = self._refused.get(_hash_token(request)) if self._refused else None
        route = address.operations.get(request.method)
        if agency_id is not None and route is not None:
            reply.use = self._uses.of(agency_id)
            reply.use.refuse_again(request.scope, route.share_of(request.scope))
            reply.use = None

    async def _identify(self, request: Request, client: str | None) -> Actor:
        """Asks again if tokens were checked meanwhile: this answer was not among those that end with them yet."""
        while True:
            looks = self._answers.looks
            actor = await self._authentication.identify(request.headers, client)
            if looks == self._answers.looks:
                return actor

    def _watch(self, scope: Scope, actor: Actor, ids: Mapping[str, str], reply: _Reply) -> AbstractContextManager[None]:
        """What is only read ends with the token; what changes something is not interrupted."""
        if scope["method"] in WRITES:
            return nullcontext()
        if actor.expires_at is not None:
            reply.end_within((actor.expires_at - self._authentication.clock()).total_seconds())
        return self._answers.sending(actor, ids.get("agency"), reply.end)

    @asynccontextmanager
    async def _limit(self, scope: Scope, actor: Actor, address: _Address, reply: _Reply) -> AsyncIterator[ApiRoute]:
        """The operation, in one of its agency's places for it. Raises Problem, CrowdedError."""
        if actor.agency_id is not None:
            reply.use = self._uses.of(actor.agency_id)
            reply.use.count(scope)
        route = _choose(address, scope["method"])
        share = route.share_of(scope)
        reply.end_within(LONGEST_SECONDS.get(share))
        reply.is_stream = share == "streams"
        place: AbstractAsyncContextManager[None] = reply.use.place(share) if reply.use else nullcontext()
        async with place:
            yield route

    def _match(self, path: str) -> tuple[_Address, Mapping[str, str]]:
        for address in self._addresses.values():
            if match := address.pattern.fullmatch(path):
                return address, match.groupdict()
        return _NOWHERE, {}

    async def _admit(self, request: Request, actor: Actor, route: ApiRoute, ids: Mapping[str, str]) -> dict[str, Any]:
        """The request's state for the operation. Raises Problem, DomainError."""
        await self._refuse_what_is_not_theirs(actor, route, ids)
        if route.method in WRITES and not actor.may_change:
            raise Problem("read-only", "This token may only read.")
        raw = await read_body(request, route.body_limit) if route.method in WRITES else b""
        body = route.body_field
        is_due = body is not None and (raw or body.field_info.is_required())
        return {"actor": actor, "raw": raw, "document": read_json(raw) if is_due else {}, "route": route}

    async def _refuse_what_is_not_theirs(self, actor: Actor, route: ApiRoute, ids: Mapping[str, str]) -> None:
        """What an actor may not reach does not exist for them. Raises NotFoundError."""
        is_readable = all(_PLACEHOLDER_VALUE.fullmatch(value) for value in ids.values())
        if not is_readable or (route.operators_only and not actor.is_admin):
            raise NotFoundError("thing")
        agency_id = ids.get("agency")
        if agency_id is None or agency_id == actor.agency_id:
            return
        if not actor.is_admin or not await agency_exists(self._authentication.database.settings, agency_id):
            raise NotFoundError("agency")


def _chosen(scope: Scope) -> ApiRoute:
    route: ApiRoute = scope["state"]["route"]
    return route


def _hash_token(request: Request) -> bytes:
    return hashlib.sha256(request.headers.get("authorization", "").encode()).digest()


def _choose(address: _Address, method: str) -> ApiRoute:
    if not address.operations:
        raise Problem("not-found", "This address does not exist. See /docs for those that do.")
    route = address.operations.get("GET" if method == "HEAD" else method)
    if route is None:
        allowed = ", ".join(address.operations)
        raise Problem("not-found", f"This address takes {allowed} only.", status=405, headers={"Allow": allowed})
    return route


def _forward(scope: Scope, state: dict[str, Any], client: str | None) -> Scope:
    """The request as the application gets it: HEAD as GET, and the body as JSON, whatever it was called."""
    headers = [pair for pair in scope["headers"] if pair[0] != b"content-type"]
    return {
        **scope,
        "method": "GET" if scope["method"] == "HEAD" else scope["method"],
        "headers": [*headers, (b"content-type", b"application/json")],
        "client": (client, 0) if client else None,
        "path_params": {},
        "state": state,
    }


class _Reply:
    """Sends the answer."""

    def __init__(self, method: str, path: str, send: Send) -> None:
        self._limit: asyncio.Timeout | None = None
        self._is_limited = True
        self._is_open_ended = False
        self._must_end = False
        self._longest: float | None = None  # seconds from its beginning to its end
        self.use: Use | None = None  # of the agency's token that it answers
        self.is_stream = False  # which is complete wherever it ends
        self.has_begun = False
        self.is_cut = False
        self._began = time.perf_counter()
        self._method = method
        self._path = path
        self._send = send

    @asynccontextmanager
    async def soon(self) -> AsyncIterator[None]:
        """Limits the time until the answer begins, but not its length. Raises TimeoutError, also after `end`."""
        async with asyncio.timeout(_SECONDS) as self._limit:
            try:
                yield
            finally:
                self._is_limited = False

    def end_within(self, seconds: float | None) -> None:
        """Limit its length. The shortest limit counts; None: there is none."""
        self._longest = min((one for one in (self._longest, seconds) if one is not None), default=None)

    def end(self) -> None:
        """Its token or its agency is gone."""
        self._must_end = True
        self._set_limit(asyncio.get_running_loop().time())

    @property
    def is_over(self) -> bool:
        """Whether it was ended before it was complete."""
        return self._limit is not None and self._limit.expired() and (self._must_end or self.has_begun)

    async def finish(self) -> bool:
        """End a stream in good order. False: it is none, has not begun, has a length, or is not read."""
        if not (self.is_stream and self._is_open_ended):
            return False
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        except (TimeoutError, OSError):
            return False
        return True

    def _set_limit(self, when: float | None) -> None:
        if self._limit is not None and self._is_limited and not self._limit.expired():
            self._limit.reschedule(when)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message)
        elif self._method == "HEAD":
            await self._end(message)
            return
        await self._send(message)

    def _begin(self, message: Message) -> None:
        self.has_begun = True
        self._is_open_ended = all(name.lower() != b"content-length" for name, _ in message["headers"])
        if not self._must_end:
            self._set_limit(None if self._longest is None else asyncio.get_running_loop().time() + self._longest)
        if all(name.lower() != b"cache-control" for name, _ in message["headers"]):
            message["headers"] = [*message["headers"], (b"cache-control", b"no-store")]
        if self.use is not None:
            message["headers"] = [*message["headers"], *self.use.describe()]
        emit(
            "api.request",
            method=self._method if self._method in WRITES | {"GET", "HEAD"} else "other",
            route=self._path,
            status=message["status"],
            duration_ms=(time.perf_counter() - self._began) * 1000,
        )

    async def _end(self, message: Message) -> None:
        """The answer to HEAD ends where its body would begin. Raises OSError to stop an endless one."""
        if not self.is_cut:
            self.is_cut = True
            with suppress(OSError):
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        if message.get("more_body"):
            raise OSError
