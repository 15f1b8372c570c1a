"""How the agency is doing: what is wrong, since when, and where to put it right."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from router.console import words
from router.console.visit import Page, Visit


async def show_health(visit: Visit) -> Response:
    found = visit.health["items"]
    by_area = {area: [(one, _place_of(visit, one)) for one in found if one["area"] == area] for area in words.AREAS}
    return visit.render("health.html", by_area=by_area)


def _place_of(visit: Visit, finding: dict[str, Any]) -> str:
    """The page on which it is put right."""
    target = finding["target"]
    match finding["area"]:
        case "keys" | "balance" | "lines":
            return f"{visit.url('keys')}#{target}"
        case "numbers":
            return visit.url("numbers", target)
        case "sync":
            return visit.url("clients", target, "providers")
        case "deliveries":
            return visit.url("webhooks", target)
        case "mail" if target:
            return visit.url("clients", target)
    return visit.url("settings")


PAGES: Final = (Page("GET", "/health", show_health),)
