"""The sandbox as one ASGI app: {base}/vapi, /retell, /bland, /twilio and /control, which controls it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import Receive, Scope, Send

from adapters.sandbox.api import Asked, Endpoint, Operation, Refusal, StandIn, read_body
from adapters.sandbox.control import control_routes
from adapters.sandbox.faults import Scene, play
from adapters.sandbox.state import Sandbox

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_app(sandbox: Sandbox, more: Sequence[BaseRoute] = ()) -> Starlette:
    """`more` are pages beside the APIs."""
    mounts: list[BaseRoute] = [Mount(f"/{api.name}", app=_Routed(sandbox, api)) for api in sandbox.apis]
    return Starlette(routes=[*mounts, Mount("/control", routes=control_routes(sandbox)), *more])


@dataclass(slots=True)
class _Routed:
    """One API. Its routes are made at the first request: most tests ask one provider of four."""

    sandbox: Sandbox
    api: StandIn
    _router: Router | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._router = self._router or Router(routes=_routes(self.sandbox, self.api))
        await self._router(scope, receive, send)


def _routes(sandbox: Sandbox, api: StandIn) -> list[BaseRoute]:
    known = [
        Route(endpoint.path, _answering(sandbox, api, endpoint), methods=[endpoint.method])
        for endpoint in api.endpoints()
    ]
    unknown = Endpoint("*", "/{rest:path}", _not_found)
    return [*known, Route(unknown.path, _answering(sandbox, api, unknown), methods=_METHODS)]


def _not_found(_: Asked) -> Response:
    raise Refusal(404)


def _answering(sandbox: Sandbox, api: StandIn, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        operation = endpoint.operation_of(request.query_params)
        asked = await _note(sandbox, api, operation, request)

        def properly() -> Response:
            try:
                return endpoint.handler(asked)
            except Refusal as refusal:
                return api.refuse(refusal)

        fault = sandbox.faults.take(api.name, operation)
        if fault is None:
            return properly()
        return play(Scene(fault, api, asked, properly, sandbox.stopping))

    return answer


async def _note(sandbox: Sandbox, api: StandIn, operation: Operation, request: Request) -> Asked:
    """Every request is kept before anything can go wrong with its answer."""
    raw = await request.body()
    asked = Asked(
        at=sandbox.clock(),
        provider=api.name,
        operation=operation,
        method=request.method,
        path=request.url.path.partition(f"/{api.name}")[2],
        parameters=dict(request.path_params),
        query=dict(request.query_params),
        headers=dict(request.headers),
        raw=raw,
        body=read_body(request.headers.get("content-type", ""), raw),
    )
    sandbox.requests.append(asked)
    return asked
