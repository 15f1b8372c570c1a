"""All pages with their addresses."""

from __future__ import annotations

from typing import Final

from starlette.routing import BaseRoute, Route

from router.console import assistants, calls, clients, figures, hooks, keys, numbers, settings
from router.console.assets import static_route
from router.console.drawing import Drawing
from router.console.gate import Gate
from router.console.limits import SignInLimit
from router.console.services import ConsoleServices
from router.console.signing_in import SigningIn
from router.console.visit import Page

_PAGES: Final[tuple[tuple[str, str, Page], ...]] = (
    *keys.PAGES,
    *clients.PAGES,
    *assistants.PAGES,
    *numbers.PAGES,
    *calls.PAGES,
    *figures.PAGES,
    *hooks.PAGES,
    *settings.PAGES,
)


def console_routes(services: ConsoleServices) -> list[BaseRoute]:
    """/console and everything below it."""
    gate = Gate(services, Drawing(services.home, services.providers))
    door = SigningIn(services, gate, SignInLimit(services.clock))
    return [
        Route("/console", gate.open(door.lead_on), methods=["GET"]),
        Route("/console/sign-in", gate.open(door.show_form), methods=["GET"]),
        Route("/console/sign-in", gate.open(door.sign_in), methods=["POST"]),
        Route("/console/sign-out", gate.open(door.sign_out), methods=["POST"]),
        Route("/console/agencies", gate.open(door.show_agencies), methods=["GET"]),
        Route("/console/agencies", gate.open(door.create_agency), methods=["POST"]),
        static_route(),
        *(Route(f"/console/{{agency}}{path}", gate.admit(page), methods=[method]) for method, path, page in _PAGES),
        Route("/console/{rest:path}", gate.open(door.find_nothing)),
    ]
