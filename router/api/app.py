"""The whole API: its operations, what they work with, and the gate in front of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import chain
from typing import Any

from fastapi import FastAPI
from starlette.routing import BaseRoute, Route

from router.accounts import Accounts
from router.api import audit, calls, endpoints, events, explain, figures, tokens, voicemails
from router.api.agencies import agency_endpoints
from router.api.assistants import assistant_endpoints
from router.api.clients import client_endpoints
from router.api.document import describe
from router.api.gate import Gate
from router.api.http import Resource
from router.api.idempotency import Replies
from router.api.keys import key_endpoints
from router.api.numbers import number_endpoints
from router.api.openapi import describe as describe_endpoints
from router.api.operations import Endpoint
from router.api.providers import provider_router
from router.api.reference import reference_routes
from router.api.registrations import registration_endpoints
from router.api.route import ApiRoute
from router.api.syncs import sync_endpoints
from router.calls.preview import Previews
from router.clock import Clock
from router.events.endpoints import Endpoints
from router.events.feed import EventFeed
from router.messages.recordings import Recordings
from router.messages.retention import delete_messages_of_call
from router.services import ApiServices
from router.store.changes import Changes
from router.store.pool import Database
from router.tenants.tokens import Tokens
from router.vault import Vault


@cache
def api_operations(names: tuple[str, ...]) -> tuple[ApiRoute, ...]:
    """Every operation, for the voice providers of these names. They hold nothing that works: that is the app's state."""
    routers = (
        tokens.own,
        tokens.router,
        provider_router(names),
        calls.router,
        explain.router,
        figures.router,
        voicemails.router,
        events.router,
        endpoints.router,
        audit.router,
    )
    routes = chain.from_iterable(router.routes for router in routers)
    return tuple(route for route in routes if isinstance(route, ApiRoute))


@cache
def api_endpoints(names: tuple[str, ...]) -> tuple[Endpoint, ...]:
    return (
        *agency_endpoints(),
        *key_endpoints(names),
        *client_endpoints(),
        *assistant_endpoints(names),
        *sync_endpoints(names),
        *number_endpoints(),
        *registration_endpoints(names),
    )


def api_routes(services: ApiServices) -> list[BaseRoute]:
    """/v1, /openapi.json, /docs and /problems."""
    names = tuple(services.voice)
    operations = api_operations(names)
    gate = Gate(make_app(operations, _parts(services)), operations, services.database, services.admin_token)
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in api_endpoints(names):
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return [
        *(Route(path, gate) for path in dict.fromkeys(operation.path for operation in operations)),
        *(Route(path, Resource(services, path, methods)) for path, methods in by_path.items()),
        Route("/v1", gate),
        Route("/v1/{rest:path}", gate),
        *reference_routes(partial(describe_api, names, services.public_url)),
    ]


def make_app(operations: Sequence[ApiRoute], parts: Mapping[Any, Any]) -> FastAPI:
    """`parts` are what the operations work with, by type."""
    app = FastAPI(routes=list(operations), openapi_url=None, docs_url=None, redoc_url=None)
    app.state.parts = parts
    return app


@cache
def describe_api(names: tuple[str, ...], public_url: str) -> dict[str, Any]:
    document = describe(api_operations(names), public_url)
    old = describe_endpoints(api_endpoints(names))
    document["paths"] |= old["paths"]
    document["components"]["schemas"] = old["components"]["schemas"] | document["components"]["schemas"]
    for kind in ("parameters", "responses"):
        document["components"][kind] = old["components"][kind]
    return document


def _parts(services: ApiServices) -> dict[Any, Any]:
    changes = Changes(services.database, services.clock)
    accounts = Accounts(services.database, Vault(services.keyring), services.platform_account)
    return {
        Clock: services.clock,
        Database: services.database,
        Endpoints: Endpoints(changes, services.keyring, services.receivers),
        EventFeed: services.feed,
        Previews: Previews(services.database, services.voice, services.dispatcher, services.caps, services.clock),
        Recordings: Recordings(changes, accounts, services.carrier, partial(delete_messages_of_call, services)),
        Replies: Replies(services.database, services.keyring, services.clock),
        Tokens: Tokens(changes),
    }
