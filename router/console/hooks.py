"""Outgoing webhooks: where the agency's own programs hear of calls, and what became of what was sent there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from starlette.responses import Response

from router.console.api import ApiProblem
from router.console.errors import NO_ERRORS, FormErrors, form_errors
from router.console.visit import Page, Visit
from router.telemetry import CALL_EVENTS

_PAGE: Final = 50
_SPANS: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


async def show_hooks(
    visit: Visit,
    errors: FormErrors = NO_ERRORS,
    values: dict[str, Any] | None = None,
    fresh: dict[str, Any] | None = None,
    status: int = 200,
) -> Response:
    """`fresh`: an endpoint that was just made, with its secret, on the one page that ever shows it."""
    return visit.render(
        "hooks.html",
        status,
        endpoints=await visit.api.list_all(visit.path("endpoints")),
        values={"url": "", "which": "all", "events": []} | (values or {}),
        events=sorted(CALL_EVENTS),
        fresh=fresh,
        errors=errors,
    )


async def create(visit: Visit) -> Response:
    form = visit.form
    values = {"url": form.text("url"), "which": form.text("which"), "events": form.get_all("events")}
    body = {"url": values["url"], "events": values["events"] if values["which"] == "some" else ["*"]}
    try:
        fresh = await visit.api.send("POST", visit.path("endpoints"), body, once=form.text_or_none("once"))
    except ApiProblem as problem:
        if not problem.is_refusal:
            raise
        return await show_hooks(visit, form_errors(problem, _place), values, status=problem.status)
    return await show_hooks(visit, fresh=fresh)


async def show_hook(visit: Visit) -> Response:
    endpoint = await _find(visit)
    deliveries = visit.path("endpoints", endpoint["id"], "deliveries")
    page = await visit.api.get(deliveries, limit=_PAGE, cursor=visit.query("cursor"))
    older = visit.url("webhooks", endpoint["id"], cursor=page["next_cursor"]) if page["next_cursor"] else None
    return visit.render("hook.html", endpoint=endpoint, deliveries=page["items"], older=older)


async def replay(visit: Visit) -> Response:
    span = _SPANS.get(visit.form.text("span"), _SPANS["hour"])
    body = {"since": (visit.services.clock() - span).isoformat()}
    await visit.api.send("POST", visit.path("endpoints", visit.part("endpoint"), "replay"), body)
    return visit.go("webhooks", visit.part("endpoint"), done="replayed")


async def delete(visit: Visit) -> Response:
    endpoint = await _find(visit)
    if not visit.confirmed:
        return visit.ask("endpoint", visit.url("webhooks", endpoint["id"]))
    await visit.api.send("DELETE", visit.path("endpoints", endpoint["id"]))
    return visit.go("webhooks", done="endpoint-deleted")


async def _find(visit: Visit) -> dict[str, Any]:
    """The endpoint that the page's address names. Raises ApiProblem."""
    for endpoint in await visit.api.list_all(visit.path("endpoints")):
        if endpoint["id"] == visit.part("endpoint"):
            return endpoint
    raise ApiProblem(404, "not-found", "There is no such endpoint.")


def _place(field: str) -> str | None:
    name = field.partition(".")[0]
    return name if name in {"url", "events"} else None


PAGES: Final[tuple[tuple[str, str, Page], ...]] = (
    ("GET", "/webhooks", show_hooks),
    ("POST", "/webhooks", create),
    ("GET", "/webhooks/{endpoint}", show_hook),
    ("POST", "/webhooks/{endpoint}/replay", replay),
    ("POST", "/webhooks/{endpoint}/delete", delete),
)
