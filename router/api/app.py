"""The whole API: its operations, the objects they use, and the gate in front of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from itertools import chain
from typing import Any, Final

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.routing import BaseRoute

from adapters.registry import Declarations
from router.api import (
    agencies,
    alerts,
    calls,
    clients,
    deliveries,
    endpoints,
    events,
    figures,
    health,
    invitations,
    numbers,
    tokens,
    voicemails,
)
from router.api.assistants import assistant_router, sync_router
from router.api.auth import Authentication
from router.api.document import describe
from router.api.gate import ChosenRoute, Gate
from router.api.keys import key_router
from router.api.limits import Uses
from router.api.numbers import number_router, registration_router
from router.api.open_answers import OpenAnswers
from router.api.reference import reference_routes
from router.api.route import ApiRoute
from router.peers import Proxies

# FastAPI's own spans and log records hold queries and texts of exceptions, and go to whatever the process has set up.
_NO_TELEMETRY: Final = TelemetryConfig(tracing=False, metrics=False, logs=False, auto_configure=False)


@cache
def api_operations(voice: Declarations) -> tuple[ApiRoute, ...]:
    """Every operation, for these voice providers. The objects they use are in the app's state."""
    routers = (
        agencies.router,
        agencies.operators,
        health.router,
        health.operators,
        tokens.own,
        tokens.router,
        invitations.router,
        alerts.router,
        key_router(voice),
        clients.router,
        assistant_router(voice),
        agencies.provider_router(voice),
        sync_router(voice),
        number_router(voice),
        numbers.router,
        registration_router(voice),
        calls.lists,
        calls.router,
        calls.audio,
        calls.explain,
        figures.router,
        voicemails.router,
        voicemails.audio,
        events.router,
        endpoints.router,
        deliveries.router,
        tokens.audit,
        tokens.operators_audit,
    )
    routes = chain.from_iterable(router.routes for router in routers)
    return tuple(route for route in routes if isinstance(route, ApiRoute))


def api_routes(
    voice: Declarations,
    parts: Mapping[Any, Any],
    authentication: Authentication,
    proxies: Proxies,
    answers: OpenAnswers,
    uses: Uses,
    public_url: str,
) -> list[BaseRoute]:
    """/v1, /openapi.json, /docs and /problems. `parts` are the objects that the operations work with, by type."""
    operations = api_operations(voice)
    gate = Gate(make_app(parts), operations, authentication, proxies, answers, uses)
    return [gate, *reference_routes(partial(describe_api, voice, public_url))]


def make_app(parts: Mapping[Any, Any]) -> FastAPI:
    """The application behind the gate."""
    app = FastAPI(
        routes=[ChosenRoute()],
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
    )
    app.state.parts = parts
    return app


@cache
def describe_api(voice: Declarations, public_url: str) -> dict[str, Any]:
    """The OpenAPI document. Once in a process: it takes a quarter of a second."""
    return describe(api_operations(voice), public_url)
