"""The gate of /v1: plain ASGI around the FastAPI application, before anything of a request is parsed.

It checks the token, then the address, then the size and the JSON of the body. An admitted request has
`request.state.actor`, `.raw` and `.document`. Every answer gets its problem, its log line and its Cache-Control here.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto import Secret
from router.api.bodies import read_body, read_json
from router.api.problems import Problem, answer_error
from router.api.route import WRITES, ApiRoute
from router.bodies import CutOffError
from router.errors import NotFoundError
from router.store.pool import Database
from router.store.tenants.agencies import agency_exists
from router.store.tenants.tokens import find_token
from router.telemetry import emit

_SECONDS: Final = 30.0  # until an answer begins; well above the longest operation's own limits
_ROOT: Final = "/v1"
_PLACEHOLDER_VALUE: Final = re.compile(r"[A-Za-z0-9_+-]{1,80}")


@dataclass(frozen=True, slots=True)
class Actor:
    """Whose token it is: `name` is "admin" or the token's id; `agency_id` None: the operator, who may do everything."""

    name: str
    agency_id: str | None

    @property
    def is_admin(self) -> bool:
        return self.agency_id is None


@dataclass(frozen=True, slots=True)
class _Address:
    """All operations of one path; none of an unknown path."""

    path: str
    pattern: re.Pattern[str]
    operations: dict[str, ApiRoute] = field(default_factory=dict)


_ADMIN: Final = Actor("admin", None)
_NOWHERE: Final = _Address(f"{_ROOT}/*", re.compile(""))


class Gate(BaseRoute):
    """/v1, and all that is below it. `routes` are those of `app`, in the same order."""

    def __init__(self, app: ASGIApp, routes: Iterable[ApiRoute], database: Database, admin_token: Secret) -> None:
        self._app = app
        self._database = database
        self._admin_token = admin_token
        self._addresses: dict[str, _Address] = {}
        for route in routes:
            address = self._addresses.setdefault(route.path, _Address(route.path, route.path_regex))
            address.operations[route.method] = route

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_below = scope["type"] == "http" and (scope["path"] == _ROOT or scope["path"].startswith(f"{_ROOT}/"))
        return (Match.FULL if is_below else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        address, ids = self._find(scope["path"])
        reply = _Reply(scope["method"], address.path, send)
        try:
            async with reply.soon():
                state = await self._admit(request, address, ids)
                await self._app(_forward(scope, state), receive, reply.send)
        except (ClientDisconnect, CutOffError):
            return
        except Exception as error:
            if reply.is_cut:
                return
            if reply.has_begun:
                raise
            await answer_error(error, address.path, scope["method"])(scope, receive, reply.send)

    def _find(self, path: str) -> tuple[_Address, dict[str, str]]:
        for address in self._addresses.values():
            if match := address.pattern.fullmatch(path):
                return address, match.groupdict()
        return _NOWHERE, {}

    async def _admit(self, request: Request, address: _Address, ids: dict[str, str]) -> dict[str, Any]:
        """The request's state for the operation. Raises Problem, DomainError."""
        actor = await _authenticate(self._database, self._admin_token, request.headers)
        route = _choose(address, request.method)
        await self._refuse_what_is_not_theirs(actor, route, ids)
        raw = await read_body(request, route.body_limit) if route.method in WRITES else b""
        return {"actor": actor, "raw": raw, "document": read_json(raw) if route.body_field else {}}

    async def _refuse_what_is_not_theirs(self, actor: Actor, route: ApiRoute, ids: dict[str, str]) -> None:
        """What an actor may not reach does not exist for them. Raises NotFoundError."""
        is_readable = all(_PLACEHOLDER_VALUE.fullmatch(value) for value in ids.values())
        if not is_readable or (route.operators_only and not actor.is_admin):
            raise NotFoundError("thing")
        agency_id = ids.get("agency")
        if agency_id is None or agency_id == actor.agency_id:
            return
        if not actor.is_admin or not await agency_exists(self._database.settings, agency_id):
            raise NotFoundError("agency")


async def _authenticate(database: Database, admin_token: Secret, headers: Mapping[str, str]) -> Actor:
    """Raises Problem without a valid token."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    token = Secret(given.strip())
    if scheme.lower() != "bearer" or not token:
        raise _unauthorized("Send `Authorization: Bearer TOKEN`.")
    if token == admin_token:
        return _ADMIN
    found = await find_token(database.settings, token)
    if found is None:
        raise _unauthorized("This token does not exist. Create a new one: a token is shown only once.")
    return Actor(found.id, found.agency_id)


def _unauthorized(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="callrouter"'})


def _choose(address: _Address, method: str) -> ApiRoute:
    if not address.operations:
        raise Problem("not-found", "This address does not exist. See /docs for those that do.")
    route = address.operations.get("GET" if method == "HEAD" else method)
    if route is None:
        allowed = ", ".join(address.operations)
        raise Problem("not-found", f"This address takes {allowed} only.", status=405, headers={"Allow": allowed})
    return route


def _forward(scope: Scope, state: dict[str, Any]) -> Scope:
    """The request as the application gets it: HEAD as GET, and the body as JSON, whatever it was called."""
    headers = [pair for pair in scope["headers"] if pair[0] != b"content-type"]
    return {
        **scope,
        "method": "GET" if scope["method"] == "HEAD" else scope["method"],
        "headers": [*headers, (b"content-type", b"application/json")],
        "path_params": {},
        "state": state,
    }


class _Reply:
    """Sends the answer."""

    def __init__(self, method: str, path: str, send: Send) -> None:
        self._limit: asyncio.Timeout | None = None
        self.has_begun = False
        self.is_cut = False
        self._began = time.perf_counter()
        self._method = method
        self._path = path
        self._send = send

    @asynccontextmanager
    async def soon(self) -> AsyncIterator[None]:
        """Limits the time until the answer begins, but not its length. Raises TimeoutError."""
        async with asyncio.timeout(_SECONDS) as limit:
            self._limit = limit
            try:
                yield
            finally:
                self._limit = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message)
        elif self._method == "HEAD":
            await self._end(message)
            return
        await self._send(message)

    def _begin(self, message: Message) -> None:
        self.has_begun = True
        if self._limit is not None:
            self._limit.reschedule(None)
        if all(name.lower() != b"cache-control" for name, _ in message["headers"]):
            message["headers"] = [*message["headers"], (b"cache-control", b"no-store")]
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
