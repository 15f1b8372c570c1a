"""The one way in which the console learns or changes anything: requests to our own API, in process.

Rules, tenancy and audit are the API's; what it refuses is raised as ApiProblem, in its own words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
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
    """The API said no. `name` is the last part of the problem's type; holds nothing of what was sent."""

    def __init__(self, status: int, name: str, detail: str, fields: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(name)
        self.status = status
        self.name = name
        self.detail = detail
        self.fields = fields

    @property
    def is_refusal(self) -> bool:
        """Whether whoever filled in the form can do something about it; else it is about the session or the service."""
        return self.name not in {"unauthorized", "not-found", "unavailable"}


class Api:
    """The API as one visitor may use it. `address` is the visitor's, for the audit log."""

    def __init__(self, app: ASGIApp, token: Secret, address: str | None) -> None:
        self._app = app
        self._token = token
        self._transport = httpx.ASGITransport(app, client=(address or "127.0.0.1", 0))

    async def get(self, path: str, **query: str | int | None) -> Any:
        """The body of the answer. Raises ApiProblem."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return await self._ask("GET", f"{path}?{urlencode(given)}" if given else path)

    async def find(self, path: str) -> Any:
        """The body of the answer; None where there is no such thing."""
        try:
            return await self.get(path)
        except ApiProblem as problem:
            if problem.name != "not-found":
                raise
            return None

    async def list_all(self, path: str) -> list[dict[str, Any]]:
        """A list's items over all its pages; the first two thousand of a longer one."""
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
        """Change something. `once`: the same text makes a repeat harmless. Raises ApiProblem."""
        return await self._ask(method, path, {} if body is None else body, once)

    def pass_on(self, path: str, request: Request) -> PassedOn:
        """A response that is the API's own answer to this GET, streamed."""
        return PassedOn(self._app, path, self._authorization(), request)

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


class PassedOn:
    """The API's answer as it comes, piece by piece: recordings, which a player asks for in ranges, and live events."""

    def __init__(self, app: ASGIApp, path: str, authorization: bytes, request: Request) -> None:
        self._app = app
        self._path = path
        self._headers = [
            (b"authorization", authorization),
            *(pair for pair in request.headers.raw if pair[0] in _PASSED_ON),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = {
            "type": "http",
            "asgi": scope["asgi"],
            "http_version": scope["http_version"],
            "method": "GET",
            "scheme": scope["scheme"],
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": self._headers,
            "client": scope["client"],
            "server": scope["server"],
            "extensions": scope.get("extensions", {}),
        }
        await self._app(asked, receive, send)


def api_path(*parts: str) -> str:
    """/v1 and these parts, each of which is one segment whatever it holds."""
    return "/".join(["/v1", *(quote(part, safe="+") for part in parts)])


def read_problem(status: int, answer: bytes) -> ApiProblem:
    try:
        body = json.loads(answer)
        fields = tuple(_read_fields(body.get("errors") or ()))
        return ApiProblem(status, str(body["type"]).rpartition("/")[2], str(body["detail"]), fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ApiProblem(status, "unavailable", "The service gave no readable answer.")


def _read_fields(errors: Iterable[Mapping[str, Any]]) -> Iterable[FieldProblem]:
    return (FieldProblem(str(error["field"]), str(error["message"])) for error in errors)
