"""The OpenAPI 3.1 document: FastAPI's, and what applies to the whole API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from router.api import webhooks
from router.api.problems import ProblemReply

_SCHEMAS: Final = "#/components/schemas/{model}"
_DESCRIPTION: Final = (
    "JSON in UTF-8. Bodies may have up to 64 kB, and up to 1 MB where a client with its assistant is created or changed. "
    "The operator's token gives full access. An agency's token gives access to that agency; everything else does not "
    "exist for it. Each agency may send a number of requests a second and have a number of them answered at once; more get "
    "429 with `Retry-After`. Answers to its tokens carry `RateLimit-Policy` (`q` requests in `w` seconds) and `RateLimit` "
    "(`r` requests are left, for `t` seconds), as in draft-ietf-httpapi-ratelimit-headers-10. Every change takes effect on the next call. Errors are problems (RFC 9457), each with a page at the "
    "address in its `type`."
)
_TAGS: Final = {
    "agencies": "The tenants, the plan of a switch, and who would take a call",
    "tokens": "Access to the API for an agency's people and programs",
    "keys": "Credentials for voice providers and Twilio: tested, sealed, never shown again",
    "clients": "An agency's businesses, and who answers their calls",
    "assistants": "Copies at the providers, and assistants that were linked by hand",
    "numbers": "Phone numbers: bought, taken over, given back",
    "registrations": "A number's entries at voice providers",
    "calls": "What happened on calls",
    "figures": "Statistics of calls",
    "voicemails": "Messages that callers left",
    "events": "Call events as they happen",
    "endpoints": "Where call events are posted: outgoing webhooks",
    "audit": "Who changed what",
}


def describe(routes: Sequence[BaseRoute], public_url: str) -> dict[str, Any]:
    """The document as plain data, with the address where it is served."""
    document = get_openapi(
        title="callrouter",
        version="1",
        summary="Agencies, their keys, clients, numbers and calls.",
        description=_DESCRIPTION,
        routes=routes,
        webhooks=webhooks.router.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        servers=[{"url": public_url}],
    )
    _, schemas = models_json_schema(
        [(ProblemReply, "serialization"), (webhooks.CallEvent, "serialization")], ref_template=_SCHEMAS
    )
    components = document["components"]
    components["schemas"] = dict(sorted((components["schemas"] | schemas["$defs"]).items()))
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "The operator's token, or an agency's"}
    }
    # Added here, because FastAPI leaves out null values.
    for sent in document["webhooks"]["call-event"]["post"]["requestBody"]["content"].values():
        sent["examples"] = webhooks.EXAMPLES
    document["security"] = [{"token": []}]
    whole: dict[str, Any] = _write_whole_numbers(document)
    return whole


def _write_whole_numbers(value: Any) -> Any:
    """FastAPI turns bounds into floats: `minimum` 5 would be 5.0."""
    match value:
        case dict():
            return {name: _write_whole_numbers(inner) for name, inner in value.items()}
        case list():
            return [_write_whole_numbers(inner) for inner in value]
        case float() if value.is_integer():
            return int(value)
    return value
