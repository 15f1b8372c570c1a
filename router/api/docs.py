"""The page at /docs: the OpenAPI document for people. Drawn here, without any script."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader

_FOLDER: Final = Path(__file__).parent / "templates"
_STYLE: Final = (_FOLDER / "docs.css").read_text()
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

DOCS_HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def render_docs(document: dict[str, Any]) -> bytes:
    """The whole page."""
    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["schema"] = _write_schema
    page = environment.get_template("docs.html").render(
        document=document, operations=_by_tag(document), style=_STYLE, names=_schema_names(document)
    )
    return page.encode()


def _by_tag(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Operations with their method and path, under what they are about."""
    sections: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            shown = {
                "method": method.upper(),
                "path": path,
                "parameters": [_resolve(document, one) for one in operation["parameters"]],
                "responses": {
                    status: _resolve(document, response) for status, response in operation["responses"].items()
                },
                "body": _schema_name(operation.get("requestBody")),
            }
            sections.setdefault(operation["tags"][0], []).append(operation | shown)
    return sections


def _resolve(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """What a reference points to, with the name of its schema beside it."""
    target = value
    if "$ref" in value:
        target = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part]
    return target | {"schema_name": _schema_name(target)}


def _schema_name(holder: dict[str, Any] | None) -> str | None:
    """The name of the schema of a body or an answer."""
    for content in (holder or {}).get("content", {}).values():
        reference = content.get("schema", {}).get("$ref")
        if reference:
            return str(reference.rpartition("/")[2])
    return None


def _schema_names(document: dict[str, Any]) -> list[str]:
    return sorted(document["components"]["schemas"])


def _write_schema(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False)
