"""What an agency's calls come to over a span of days."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from starlette.responses import Response

from router.console.api import ApiProblem
from router.console.errors import NO_ERRORS, form_errors
from router.console.visit import Page, Visit

_SPANS: Final = (7, 30, 90)
_USUAL: Final = 30


async def show_figures(visit: Visit) -> Response:
    """Asked by address, so that a span can be passed on as a link."""
    today = visit.services.clock().date()
    spans = {days: (today - timedelta(days=days - 1)).isoformat() for days in _SPANS}
    asked = {"from": visit.query("from") or spans[_USUAL], "to": visit.query("to") or today.isoformat()}
    errors = NO_ERRORS
    figures: dict[str, Any] | None = None
    try:
        figures = await visit.api.get(visit.path("figures"), **asked)
    except ApiProblem as problem:
        if not problem.is_refusal:
            raise
        errors = form_errors(problem)
    return visit.render(
        "figures.html", asked=asked, spans=spans, today=today.isoformat(), figures=figures, errors=errors
    )


PAGES: Final[tuple[tuple[str, str, Page], ...]] = (("GET", "/figures", show_figures),)
