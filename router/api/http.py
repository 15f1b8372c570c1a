"""From an HTTP request to an endpoint and back.

In this order: who asks, whether there is such an address for them, the body, and only then the endpoint.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from router.api.auth import Actor, authenticate
from router.api.bodies import read_body, read_json
from router.api.operations import WRITES, Answer, ApiRequest, Endpoint
from router.api.pages import Page, read_page
from router.api.problems import (
    MEDIA_TYPE,
    Problem,
    is_database_away,
    not_found,
    refuse_fields,
    unavailable,
)
from router.api.repeats import answer_once
from router.api.validation import explain_errors
from router.services import ApiServices
from router.store.tenants.agencies import agency_exists
from router.telemetry import emit

MAX_BODY: Final = 1 << 20
_REQUEST_SECONDS: Final = 30.0  # well above the longest endpoint's own limits
_PLACEHOLDER_VALUE: Final = re.compile(r"[A-Za-z0-9_+-]{1,80}")


class Resource:
    """All methods of one path, as an ASGI application. Without endpoints: any address that there is not."""

    def __init__(self, services: ApiServices, path: str, endpoints: Mapping[str, Endpoint]) -> None:
        self._services = services
        self._path = path
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        began = time.perf_counter()
        response = await self._respond(request)
        emit(
            "api.request",
            method=request.method if request.method in WRITES | {"GET", "HEAD"} else "other",
            route=self._path,
            status=response.status_code,
            duration_ms=(time.perf_counter() - began) * 1000,
        )
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                return await self._answer(request)
        except Problem as problem:
            return _render(problem)
        except Exception as error:  # noqa: BLE001 - whatever it was, the client gets a problem it can read
            if is_database_away(error):
                return _render(unavailable())
            emit("request.failed", exception=error, route=self._path, method=request.method)
            return _render(Problem("unavailable", "This is our mistake, and it has been noted.", status=500))

    async def _answer(self, request: Request) -> Response:
        actor = await authenticate(self._services.database, self._services.admin_token, request.headers)
        endpoint = self._choose(request.method)
        await self._admit(actor, endpoint, request.path_params)
        raw = await read_body(request, MAX_BODY) if endpoint.writes else b""
        document = read_json(raw) if endpoint.body else {}
        asked = ApiRequest(
            services=self._services,
            actor=actor,
            path=request.path_params,
            headers=request.headers,
            query=request.query_params,
            page=read_page(request.query_params) if endpoint.paged else Page(),
            body=_validate(endpoint.body, raw) if endpoint.body else None,
            document=document,
            address=request.client.host if request.client else None,
            claim=None,
        )
        if endpoint.writes and "idempotency-key" in request.headers:
            return _respond(await answer_once(asked, request.method, request.url.path, endpoint.handle))
        return _respond(await endpoint.handle(asked))

    def _choose(self, method: str) -> Endpoint:
        if not self._endpoints:
            raise Problem("not-found", "There is nothing at this address; see /docs for what there is.")
        endpoint = self._endpoints.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            allowed = ", ".join(self._endpoints)
            raise Problem("not-found", f"This address takes {allowed} only.", status=405, headers={"Allow": allowed})
        return endpoint

    async def _admit(self, actor: Actor, endpoint: Endpoint, path: Mapping[str, str]) -> None:
        """What is not the actor's does not exist."""
        if endpoint.admin_only and not actor.is_admin:
            raise not_found("thing")
        if not all(_PLACEHOLDER_VALUE.fullmatch(value) for value in path.values()):
            raise not_found("thing")
        agency_id = path.get("agency")
        if agency_id is None or agency_id == actor.agency_id:
            return
        if not actor.is_admin or not await agency_exists(self._services.database.settings, agency_id):
            raise not_found("agency")


def _respond(answer: Answer | Response) -> Response:
    if isinstance(answer, Response):
        return answer
    if not answer.body:
        return Response(status_code=answer.status)
    problem = answer.status >= 400  # noqa: PLR2004 - a replayed problem
    return _secure(Response(answer.body, answer.status, media_type=MEDIA_TYPE if problem else "application/json"))


def _render(problem: Problem) -> Response:
    return _secure(Response(problem.render(), problem.status, dict(problem.headers), MEDIA_TYPE))


def _secure(response: Response) -> Response:
    """Settings belong in no cache."""
    response.headers["Cache-Control"] = "no-store"
    return response


def _validate(model: type[BaseModel], raw: bytes) -> BaseModel:
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise refuse_fields(explain_errors([{**one, "loc": ("body", *one["loc"])} for one in error.errors()])) from None
