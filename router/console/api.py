"""The console's only access to data: requests to our own API, in process.

Rules, tenancy and audit are the API's; its problems are raised as ApiProblem, in its own words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from crypto import Secret

_HOST: Final = "http://api"
_MOST_ITEMS: Final = 2000  # of a list that is shown as a whole
_PAGE: Final = 200
_PASSED_ON: Final = frozenset({b"range", b"last-event-id", b"accept"})


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field, named as in the API's body."""

    field: str
    message: str


class ApiProblem(Exception):  # noqa: N818 - the API's word for it
    """The API answered with a problem. `name` is the last part of its type; nothing that was sent is in it."""

    def __init__(self, status: int, name: str, detail: str, fields: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(name)
        self.status = status
        self.name = name
        self.detail = detail
        self.fields = fields


class Refusal(ApiProblem):
    """A problem that the visitor can solve, unlike those with the session, the address or the service."""


class Api:
    """The API with one visitor's token. `address` is the visitor's, for the audit log."""

    def __init__(self, app: ASGIApp, token: Secret, address: str | None) -> None:
        self._app = app
        self._token = token
        self.address = address
        self._transport = httpx.ASGITransport(app, client=(address or "127.0.0.1", 0))

    async def get(self, path: str, **query: str | int | None) -> Any:
        """The body of the answer. Raises ApiProblem."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return await self._ask("GET", f"{path}?{urlencode(given)}" if given else path)

    async def find(self, path: str) -> Any:
        """The body of the answer; None if there is no such thing."""
        try:
            return await self.get(path)
        except ApiProblem as problem:
            if problem.name != "not-found":
                raise
            return None

    async def list_all(self, path: str) -> list[dict[str, Any]]:
        """The items of all pages of a list, up to two thousand."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while len(items) < _MOST_ITEMS:
            page = await self.get(path, limit=_PAGE, cursor=cursor)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return items

    async def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, once: str | None = None
    ) -> Any:
        """Change something. `once` is the Idempotency-Key. Raises ApiProblem."""
        return await self._ask(method, path, {} if body is None else body, once)

    def pass_on(
        self, path: str, request: Request, *, query: Mapping[str, str] | None = None, accept: str | None = None
    ) -> ASGIApp:
        """The API's answer to a GET as it arrives: recordings, which players request in ranges, files, and live events."""
        headers = [pair for pair in request.headers.raw if pair[0] in _PASSED_ON]
        if accept is not None:
            headers = [(b"accept", accept.encode())]

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            kept = {name: scope[name] for name in ("type", "asgi", "http_version", "scheme", "server")}
            changed = {
                "client": (self.address, 0) if self.address else None,
                "method": "GET",
                "path": path,
                "raw_path": path.encode(),
                "query_string": urlencode(query or {}).encode(),
                "root_path": "",
                "headers": [(b"authorization", self._authorization()), *headers],
                "extensions": scope.get("extensions", {}),
            }
            await self._app(kept | changed, receive, send)

        return answer

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, once: str | None = None) -> Any:
        headers = [(b"Authorization", self._authorization()), (b"Content-Type", b"application/json")]
        if once:
            headers.append((b"Idempotency-Key", once.encode()))
        content = None if body is None else json.dumps(body).encode()
        request = httpx.Request(method, _HOST + path, headers=headers, content=content)
        response = await self._transport.handle_async_request(request)
        answer = await response.aread()
        if response.is_error:
            raise read_problem(response.status_code, answer)
        return json.loads(answer) if answer else None

    def _authorization(self) -> bytes:
        return f"Bearer {self._token.reveal()}".encode()


def api_path(*parts: str) -> str:
    """/v1 and these parts, each quoted so that it is one segment."""
    return "/".join(["/v1", *(quote(part, safe="+") for part in parts)])


def read_problem(status: int, answer: bytes) -> ApiProblem:
    try:
        body = json.loads(answer)
        fields = tuple(FieldProblem(error["field"], error["message"]) for error in body.get("errors") or ())
        name, detail = body["type"].rpartition("/")[2], body["detail"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ApiProblem(status, "unavailable", "The service gave no readable answer.")
    kind = ApiProblem if name in {"unauthorized", "not-found", "unavailable"} else Refusal
    return kind(status, name, detail, fields)
