"""An operation of the API, as a route of FastAPI.

It adds what all operations have in common: their names and problems in the OpenAPI document, the check for unknown and
repeated query parameters, the Idempotency-Key, and errors as problems.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import nullcontext
from typing import Any, Final

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from router.api.idempotency import Replies
from router.api.limits import Share
from router.api.problems import KINDS, MEDIA_TYPE, answer_error
from router.fields import addresses_hidden

WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
BODY_LIMIT: Final = 64 << 10
LARGE_BODY_LIMIT: Final = 1 << 20
"""`max_body_size` of operations to which an assistant is sent."""
CSV: Final = "text/csv"

_PROBLEM: Final = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemReply"}}}}
_NO_CONTENT: Final = 204
_SUCCESS: Final = {200: "As it is now", 201: "Created", _NO_CONTENT: "Done"}


class ApiRequest(Request):
    """Its body was read and parsed at the gate."""

    async def body(self) -> bytes:
        return bytes(self.state.raw)

    async def json(self) -> Any:
        return self.state.document


class ApiRoute(APIRoute):
    """One operation. `responses` are what `problems` returns."""

    operators_only = False
    share: Share = "requests"

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        (self.method,) = options["methods"]
        status = options["status_code"] = options.get("status_code") or 200
        options["operation_id"] = _operation_id(self.method, path)
        options["response_description"] = _SUCCESS[status]
        options["responses"] = self._describe_answers(path, options.get("responses") or {})
        if status == _NO_CONTENT:
            options |= {"response_class": Response, "response_model": None}
        super().__init__(path, endpoint, **options)
        self.status = status
        self.body_limit = self.max_body_size or BODY_LIMIT
        self._parameters = frozenset(_query_names(self.dependant))

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            asked = ApiRequest(request.scope, request.receive)
            try:
                self._check_parameters(asked)
                if self.method in WRITES and "idempotency-key" in asked.headers:
                    replies: Replies = asked.app.state.parts[Replies]
                    return await replies.answer_once(asked, self, handle)
                with nullcontext() if asked.state.actor.may_change else addresses_hidden():
                    return await handle(asked)
            except Exception as error:  # noqa: BLE001 - the client gets a problem in any case
                return answer_error(error, self.path, self.method)

        return answer

    def share_of(self, _: Scope) -> Share:
        """What its answer to this request counts as."""
        return self.share

    def render(self, outcome: Any) -> bytes:
        """The body of the answer for this outcome, as FastAPI writes it."""
        if self.response_model is None:
            return b""
        model: type[BaseModel] = self.response_model
        return model.model_validate(outcome, from_attributes=True).model_dump_json(by_alias=True).encode()

    def _check_parameters(self, request: Request) -> None:
        """Each must be known to the operation, be given once (of two values, one would be ignored), and hold what the
        database can store.
        """
        given = Counter(name for name, _ in request.query_params.multi_items())
        errors = [
            {"type": "repeated" if name in self._parameters else "extra_forbidden", "loc": ("query", name)}
            for name, times in given.items()
            if times > 1 or name not in self._parameters
        ]
        errors += [
            {"type": "unstorable", "loc": ("query", name)}
            for name, value in request.query_params.multi_items()
            if "\0" in value
        ]
        if errors:
            raise RequestValidationError(errors)

    def _describe_answers(self, path: str, extra: dict[Any, Any]) -> dict[int | str, dict[str, Any]]:
        """Every problem that it may answer with, by status; their type tells those of one status apart."""
        names = {"unauthorized", "rate-limited", "unavailable", "invalid", *(name for name in extra if name in KINDS)}
        if "{" in path or self.operators_only:
            names.add("not-found")
        if self.method in WRITES:
            names |= {"read-only", "conflict", "too-large"}
        by_status: dict[int | str, list[str]] = {}
        for name, kind in KINDS.items():
            if name in names:
                by_status.setdefault(kind.status, []).append(name)
        described = {status: _describe_problems(names) for status, names in by_status.items()}
        others = {status: answer for status, answer in extra.items() if status not in KINDS}
        return described | {500: {"description": "Our mistake"} | _PROBLEM} | others


class OperatorRoute(ApiRoute):
    """An operation that does not exist for agencies' tokens."""

    operators_only = True


class StreamRoute(ApiRoute):
    """An operation whose answer goes on until its client leaves."""

    share = "streams"


class DownloadRoute(ApiRoute):
    """An operation that passes on audio as fast as its client takes it."""

    share = "downloads"


class SheetRoute(ApiRoute):
    """An operation whose answer is a page of a list, or all of the list as CSV."""

    def share_of(self, scope: Scope) -> Share:
        return "downloads" if wants_csv(scope) else self.share


def wants_csv(scope: Scope) -> bool:
    accepted = Headers(scope=scope).get("accept", "").lower()
    return any(one.partition(";")[0].strip() == CSV for one in accepted.split(","))


class FiguresRoute(ApiRoute):
    """An operation that reads many rows."""

    share = "figures"


def problems(*names: str) -> dict[int | str, dict[str, Any]]:
    """For `responses` of an operation: problems beyond those that every operation may answer with."""
    return {name: {} for name in names}


def resource(tag: str, route_class: type[ApiRoute] = ApiRoute) -> APIRouter:
    """Collects the operations of one resource."""
    return APIRouter(tags=[tag], route_class=route_class)


def _describe_problems(names: list[str]) -> dict[str, Any]:
    return {"description": "; ".join(f"{name}: {KINDS[name].title}" for name in names)} | _PROBLEM


def _operation_id(method: str, path: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", path.removeprefix("/v1/").lower()).strip("_")
    return f"{method.lower()}_{words}"


def _query_names(dependant: Dependant) -> Iterator[str]:
    for parameter in dependant.query_params:
        kind = parameter.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from (field.alias or name for name, field in kind.model_fields.items())
        else:
            yield parameter.alias
    for other in dependant.dependencies:
        yield from _query_names(other)
