"""The whole API: all endpoints, the routes that serve them, and the document that describes them."""

from __future__ import annotations

from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from router.api.agencies import agency_endpoints
from router.api.assistants import assistant_endpoints
from router.api.audit import audit_endpoints
from router.api.calls import call_endpoints
from router.api.clients import client_endpoints
from router.api.docs import DOCS_HEADERS, render_docs
from router.api.endpoints import webhook_endpoint_endpoints
from router.api.events import live_endpoints
from router.api.explain import explain_endpoints
from router.api.figures import figures_endpoints
from router.api.http import Resource
from router.api.keys import key_endpoints
from router.api.numbers import number_endpoints
from router.api.openapi import describe, render_document
from router.api.operations import Endpoint
from router.api.registrations import registration_endpoints
from router.api.syncs import sync_endpoints
from router.api.tokens import token_endpoints
from router.api.voicemails import voicemail_endpoints
from router.services import ApiServices


@cache
def api_endpoints(names: tuple[str, ...]) -> tuple[Endpoint, ...]:
    """Every operation, for the voice providers of these names."""
    return (
        *agency_endpoints(),
        *token_endpoints(),
        *key_endpoints(names),
        *client_endpoints(),
        *assistant_endpoints(names),
        *sync_endpoints(names),
        *number_endpoints(),
        *registration_endpoints(names),
        *call_endpoints(),
        *explain_endpoints(),
        *figures_endpoints(),
        *voicemail_endpoints(),
        *live_endpoints(),
        *webhook_endpoint_endpoints(),
        *audit_endpoints(),
    )


def api_routes(services: ApiServices) -> list[BaseRoute]:
    """/v1, /openapi.json and /docs."""
    names = tuple(services.voice)
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in api_endpoints(names):
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return [
        *(Route(path, Resource(services, path, methods)) for path, methods in by_path.items()),
        Route("/v1", Resource(services, "/v1", {})),
        Route("/v1/{rest:path}", Resource(services, "/v1/*", {})),
        *_description_routes(names, services.public_url),
    ]


@cache
def _describe_api(names: tuple[str, ...]) -> tuple[dict[str, Any], bytes]:
    """As data and as a page. Once in a process: it takes a quarter of a second, in which calls would wait."""
    document = describe(api_endpoints(names))
    return document, render_docs(document)


def _description_routes(names: tuple[str, ...], public_url: str) -> list[BaseRoute]:
    document, as_page = _describe_api(names)
    as_json = render_document(document | {"servers": [{"url": public_url}]})

    async def show_document(_: Request) -> Response:
        return Response(as_json, media_type="application/json")

    async def show_page(_: Request) -> Response:
        return Response(as_page, headers=DOCS_HEADERS, media_type="text/html")

    return [Route("/openapi.json", show_document), Route("/docs", show_page)]
