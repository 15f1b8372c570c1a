"""All pages with their addresses, and the files that they load."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from router.console import alerts, assistants, calls, clients, health, hooks, keys, numbers, settings, tokens
from router.console.confirming import Confirming
from router.console.drawing import Drawing, see_other
from router.console.gate import Gate
from router.console.joining import Joining
from router.console.operators_activity import OperatorsActivity
from router.console.services import ConsoleServices
from router.console.signing_in import SigningIn

_AREAS: Final = (keys, clients, assistants, numbers, calls, health, hooks, alerts, tokens, settings)
_PAGES: Final = tuple(page for area in _AREAS for page in area.PAGES)
_INSIDE: Final = "/console/{agency}"
_STATIC: Final = Path(__file__).parent / "static"
_MEDIA: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def console_routes(services: ConsoleServices) -> list[BaseRoute]:
    """/console and everything below it, and /confirm."""
    gate = Gate(services, Drawing(services.home, services.providers, services.waits, sends_mail=services.sends_mail))
    door = SigningIn(services, gate)
    confirming = Confirming(services, gate.drawing)
    joining = Joining(services, gate)
    return [
        Route("/confirm", gate.open(confirming.ask), methods=["GET"]),
        Route("/confirm", gate.open(confirming.confirm), methods=["POST"]),
        Route("/console", gate.open(door.lead_on), methods=["GET"]),
        Route("/console/sign-in", gate.open(door.show_form), methods=["GET"]),
        Route("/console/sign-in", gate.open(door.sign_in), methods=["POST"]),
        Route("/console/join", gate.open(joining.ask), methods=["GET"]),
        Route("/console/join", gate.open(joining.join), methods=["POST"]),
        Route("/console/sign-out", gate.open(door.sign_out), methods=["POST"]),
        Route("/console/agencies", gate.open(door.show_agencies), methods=["GET"]),
        Route("/console/agencies", gate.open(door.create_agency), methods=["POST"]),
        Route("/console/activity", gate.open(OperatorsActivity(services, gate).show), methods=["GET"]),
        _static_route(),
        *(Route(f"{_INSIDE}{page.path}", gate.admit(page), methods=[page.method]) for page in _PAGES),
        *_ways_back(),
        Route("/console/{rest:path}", gate.open(door.find_nothing)),
    ]


def _ways_back() -> Iterator[Route]:
    """A refused form stands at the address that it was sent to. Who opens that address again gets the page above it."""
    shown = {page.path for page in _PAGES if page.method == "GET"}
    for path in {page.path for page in _PAGES if page.method == "POST"} - shown:
        levels = 1
        while "/".join(path.split("/")[:-levels]) not in shown:
            levels += 1
        yield Route(f"{_INSIDE}{path}", partial(_go_up, levels=levels), methods=["GET"])


async def _go_up(request: Request, *, levels: int) -> Response:
    """Relative, so that it holds behind a proxy that adds a path of its own."""
    name = request.scope["path"].split("/")[-1 - levels]
    return see_other("../" * levels + quote(name, safe="+"))


def _static_route() -> Route:
    """Stylesheet, script and icon. Their addresses carry a fingerprint, so that browsers keep them until they change."""
    files = {path.name: (path.read_bytes(), _MEDIA[path.suffix]) for path in _STATIC.iterdir() if path.suffix in _MEDIA}

    async def show(request: Request) -> Response:
        found = files.get(request.path_params["name"])
        if found is None:
            return Response("There is no such file.\n", 404, media_type="text/plain")
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(found[0], headers=headers, media_type=found[1])

    return Route("/console/static/{name}", show, methods=["GET"])
