"""The API's reference: /openapi.json, the page at /docs for trying requests, /docs/events, and /problems/{name}.

All of it works offline. Swagger UI comes from the package fastapi-offline; the file that starts it is ours, since the
content security policy allows no inline script.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from router.api.problems import KINDS
from router.events.samples import sample
from router.telemetry import CALL_EVENTS, EVENTS

_FOLDER: Final = Path(__file__).parent
_ENVIRONMENT: Final = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def reference_routes(describe: Callable[[], dict[str, Any]]) -> list[BaseRoute]:
    """`describe` makes the OpenAPI document. It is asked at the first request for it, in a thread: making it takes a
    quarter of a second, in which calls would wait.
    """
    lock, written = asyncio.Lock(), b""

    async def show_document(_: Request) -> Response:
        nonlocal written
        async with lock:
            written = written or await asyncio.to_thread(_write, describe)
        return Response(written, media_type="application/json")

    async def show_docs(_: Request) -> Response:
        return _page("docs.html", 200)

    async def show_events(_: Request) -> Response:
        return _page("events.html", 200, events=_list_events())

    async def show_problem(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in KINDS:
            return _page("problems.html", 404, names=KINDS)
        return _page("problem.html", 200, name=name, kind=KINDS[name])

    assets = StaticFiles(directory=_FOLDER / "static", packages=[("fastapi_offline", "static")])
    return [
        Route("/openapi.json", show_document),
        Route("/docs", show_docs),
        Mount("/docs/assets", assets),
        Route("/docs/events", show_events),
        Route("/problems/{name}", show_problem),
    ]


def _write(describe: Callable[[], dict[str, Any]]) -> bytes:
    return json.dumps(describe(), ensure_ascii=False, separators=(",", ":")).encode()


@cache
def _list_events() -> list[tuple[str, str, str]]:
    """Name, meaning and example of each event that endpoints get."""
    return [(name, EVENTS[name].meaning, json.dumps(sample(name), indent=2)) for name in sorted(CALL_EVENTS)]


def _page(template: str, status: int, **facts: Any) -> Response:
    return Response(_ENVIRONMENT.get_template(template).render(facts), status, headers=_HEADERS, media_type="text/html")
