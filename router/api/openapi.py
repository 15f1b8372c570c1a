"""The OpenAPI 3.1 document, made from the same declarations as the routes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from router.api.operations import Endpoint
from router.api.pages import DEFAULT_LIMIT, MAX_LIMIT
from router.api.problems import KINDS, MEDIA_TYPE, ProblemReply

_REF: Final = "#/components/schemas/{model}"
_PARAMETERS: Final[dict[str, Any]] = {
    "limit": {
        "name": "limit",
        "in": "query",
        "description": "How many items at most",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    },
    "cursor": {
        "name": "cursor",
        "in": "query",
        "description": "The next_cursor of the page before",
        "schema": {"type": "string"},
    },
    "number": {
        "name": "number",
        "in": "query",
        "description": "Only those that have this number, such as +14155550123, with the + as %2B",
        "schema": {"type": "string"},
    },
    "to": {
        "name": "to",
        "in": "query",
        "required": True,
        "description": "The number that is called, such as +14155550123, with the + as %2B",
        "schema": {"type": "string"},
    },
    "country": {
        "name": "country",
        "in": "query",
        "required": True,
        "description": "Where, as two capital letters (ISO 3166-1)",
        "schema": {"type": "string", "pattern": "^[A-Z]{2}$"},
    },
    "area_code": {
        "name": "area_code",
        "in": "query",
        "description": "What the national number begins with, without a leading zero",
        "schema": {"type": "string", "pattern": "^[0-9]{1,6}$"},
    },
    "from": {
        "name": "from",
        "in": "query",
        "description": "The caller's number, likewise",
        "schema": {"type": "string"},
    },
    "since": {
        "name": "from",
        "in": "query",
        "description": "The first day, in UTC, or a time by RFC 3339; left out, 30 days before the end",
        "schema": {"type": "string", "examples": ["2026-03-01", "2026-03-01T09:00:00Z"]},
    },
    "until": {
        "name": "to",
        "in": "query",
        "description": "The last day, in UTC, or the time by RFC 3339 before which calls began; left out, now",
        "schema": {"type": "string", "examples": ["2026-03-31", "2026-03-31T18:00:00Z"]},
    },
    "provider": {
        "name": "provider",
        "in": "query",
        "required": True,
        "description": "A voice provider's name, such as vapi",
        "schema": {"type": "string"},
    },
    "idempotency-key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Repeated within 24 hours with the same body, the answer is the same and nothing is done twice",
        "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
    },
    "last-event-id": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the last event that arrived; left out, the stream begins now",
        "schema": {"type": "string"},
    },
    "range": {
        "name": "Range",
        "in": "header",
        "description": "A part of the audio, as in bytes=0-1023",
        "schema": {"type": "string"},
    },
}
_PLACEHOLDERS: Final = {
    "e164": "The number, such as +14155550123, with the + as %2B",
}


def describe(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The document as plain data, but for where it is served."""
    declared = list(endpoints)
    references, schemas = _collect_schemas(declared)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in declared:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "callrouter",
            "version": "1",
            "summary": "Agencies, their keys, clients, numbers and calls.",
            "description": (
                "JSON in UTF-8, up to 1 MB. The operator's token may do everything, an agency's token only what is "
                "under its own agency; anything else does not exist for it. Every change takes effect on the next "
                "call. Errors are problems (RFC 9457)."
            ),
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "parameters": _PARAMETERS,
            "responses": {name: _problem(name, references) for name in KINDS},
            "schemas": schemas,
        },
    }


def render_document(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _collect_schemas(endpoints: Iterable[Endpoint]) -> tuple[dict[type[BaseModel], Any], dict[str, Any]]:
    """A reference to each model's schema, and all schemas by name."""
    modes: dict[type[BaseModel], JsonSchemaMode] = {ProblemReply: "serialization"}
    for endpoint in endpoints:
        if endpoint.body:
            modes[endpoint.body] = "validation"
        if endpoint.reply:
            modes[endpoint.reply] = "serialization"
    by_model, definitions = models_json_schema(list(modes.items()), by_alias=True, ref_template=_REF)
    return {model: by_model[model, mode] for model, mode in modes.items()}, definitions["$defs"]


def _operation(endpoint: Endpoint, references: dict[type[BaseModel], Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "tags": [_tag(endpoint.path)],
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint, references),
    }
    note = "For the operator's token only." if endpoint.admin_only else ""
    if description := " ".join(part for part in (endpoint.description, note) if part):
        operation["description"] = description
    if endpoint.body:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": references[endpoint.body]}},
        }
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", endpoint.path.removeprefix("/v1/").lower()).strip("_")
    return f"{endpoint.method.lower()}_{words}"


def _tag(path: str) -> str:
    """The kind of thing that it is about: the last fixed word that stands for a list."""
    words = [word for word in path.split("/") if word and not word.startswith("{")]
    known = (
        "audit",
        "events",
        "figures",
        "endpoints",
        "voicemails",
        "calls",
        "registrations",
        "numbers",
        "assistants",
        "clients",
        "keys",
        "tokens",
    )
    return next((word for word in known if word in words), "agencies")


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PLACEHOLDERS.get(name, f"The id of the {name}"),
            "schema": {"type": "string"},
        }
        for name in re.findall(r"\{(\w+)\}", endpoint.path)
    ]
    names = [*endpoint.query, *(["limit", "cursor"] if endpoint.paged else [])]
    names += ["idempotency-key"] if endpoint.writes else []
    names += ["range"] if endpoint.ranged else []
    names += endpoint.headers
    return parameters + [{"$ref": f"#/components/parameters/{name}"} for name in names]


def _responses(endpoint: Endpoint, references: dict[type[BaseModel], Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {str(endpoint.status): _success(endpoint, references)}
    if endpoint.ranged:
        responses["206"] = _success(endpoint, references) | {"description": "The part that was asked for"}
        responses["416"] = {"description": "There is no such part"}
    by_status: dict[str, list[str]] = {}
    for name in problems_of(endpoint):
        by_status.setdefault(str(KINDS[name].status), []).append(name)
    for status, names in by_status.items():
        responses[status] = _any_problem(names, references)
    responses["500"] = _any_problem(["unavailable"], references) | {"description": "Our mistake"}
    return responses


def problems_of(endpoint: Endpoint) -> list[str]:
    """All names of problems that it may answer with; the status tells them apart, and then their type."""
    names = ["unauthorized", "unavailable", *endpoint.problems]
    if "{" in endpoint.path or endpoint.admin_only:
        names.append("not-found")
    if endpoint.body or endpoint.paged or endpoint.query:
        names.append("invalid")
    if endpoint.writes:
        names += ["invalid", "conflict", "too-large"]
    return [name for name in KINDS if name in names]


def _success(endpoint: Endpoint, references: dict[type[BaseModel], Any]) -> dict[str, Any]:
    if endpoint.media:
        return {"description": "As bytes", "content": {endpoint.media: {}}}
    if endpoint.reply is None:
        return {"description": "Done"}
    return {
        "description": "Created" if endpoint.status == 201 else "As it is now",  # noqa: PLR2004 - HTTP's number
        "content": {"application/json": {"schema": references[endpoint.reply]}},
    }


def _any_problem(names: list[str], references: dict[type[BaseModel], Any]) -> dict[str, Any]:
    if len(names) == 1:
        return {"$ref": f"#/components/responses/{names[0]}"}
    titles = "; ".join(f"{name}: {KINDS[name].title}" for name in names)
    return {"description": titles, "content": {MEDIA_TYPE: {"schema": references[ProblemReply]}}}


def _problem(name: str, references: dict[type[BaseModel], Any]) -> dict[str, Any]:
    return {
        "description": f"/problems/{name}: {KINDS[name].title}",
        "content": {MEDIA_TYPE: {"schema": references[ProblemReply]}},
    }
