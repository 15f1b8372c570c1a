"""Outgoing webhooks: the addresses to which call events are sent, and the deliveries to each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from starlette.responses import Response

from router.console.api import ApiProblem
from router.console.visit import Page, Visit
from router.console.words import CONTENT_TYPES
from router.telemetry import CALL_EVENTS

_SPANS: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


_EVERYTHING: Final = "*"
_NEW: Final = {"url": "", "which": "all", "events": [], "content_type": "", "description": ""}


async def show_hooks(visit: Visit, fresh: dict[str, Any] | None = None) -> Response:
    """`fresh`: a new endpoint with its secret, which only this page ever shows."""
    return visit.render(
        "hooks.html",
        endpoints=await visit.api.list_all(visit.path("endpoints")),
        values=_read_values(visit) if visit.refusal else _NEW,
        events=sorted(CALL_EVENTS),
        fresh=fresh,
        errors=visit.errors(_place),
    )


async def create(visit: Visit) -> Response:
    return await show_hooks(visit, await visit.send("POST", visit.path("endpoints"), _read_body(visit)))


async def show_hook(visit: Visit) -> Response:
    endpoint = await _find(visit)
    deliveries, cursor = await visit.list_page("endpoints", endpoint["id"], "deliveries")
    older = cursor and visit.url("webhooks", endpoint["id"], cursor=cursor)
    return visit.render(
        "hook.html",
        endpoint=endpoint,
        values=_read_values(visit) if visit.refusal else _values_of(endpoint),
        events=sorted(CALL_EVENTS),
        deliveries=deliveries,
        older=older,
        errors=visit.errors(_place),
    )


async def replay(visit: Visit) -> Response:
    span = _SPANS.get(visit.form.text("span"), _SPANS["hour"])
    body = {"since": (visit.services.clock() - span).isoformat()}
    await visit.send("POST", visit.path("endpoints", visit.part("endpoint"), "replay"), body)
    return visit.go("webhooks", visit.part("endpoint"), done="replayed")


async def change(visit: Visit) -> Response:
    await visit.send("PATCH", visit.path("endpoints", visit.part("endpoint")), _read_body(visit))
    return visit.go("webhooks", visit.part("endpoint"), done="endpoint-saved")


async def resume(visit: Visit) -> Response:
    await visit.send("PATCH", visit.path("endpoints", visit.part("endpoint")), {"paused": False})
    return visit.go("webhooks", visit.part("endpoint"), done="endpoint-resumed")


async def delete(visit: Visit) -> Response:
    endpoint = await _find(visit)
    if not visit.confirmed:
        return visit.ask("endpoint", visit.url("webhooks", endpoint["id"]))
    await visit.send("DELETE", visit.path("endpoints", endpoint["id"]))
    return visit.go("webhooks", done="endpoint-deleted")


async def _find(visit: Visit) -> dict[str, Any]:
    """The endpoint that the page's address names. Raises ApiProblem."""
    for endpoint in await visit.api.list_all(visit.path("endpoints")):
        if endpoint["id"] == visit.part("endpoint"):
            return endpoint
    raise ApiProblem(404, "not-found", "There is no such endpoint.")


def _read_values(visit: Visit) -> dict[str, Any]:
    entered = visit.form.texts("url", "which", "content_type", "description")
    return {**entered, "events": visit.form.get_all("events")}


def _values_of(endpoint: dict[str, Any]) -> dict[str, Any]:
    """As the form shows them."""
    if endpoint["events"] == [_EVERYTHING]:
        return {**endpoint, "which": "all", "events": []}
    return {**endpoint, "which": "some"}


def _read_body(visit: Visit) -> dict[str, Any]:
    """What the API gets."""
    values = _read_values(visit)
    return {
        "url": values["url"],
        "events": values["events"] if values["which"] == "some" else [_EVERYTHING],
        "content_type": values["content_type"] or next(iter(CONTENT_TYPES)),
        "description": values["description"] or None,
    }


def _place(field: str) -> str | None:
    name = field.partition(".")[0]
    return name if name in _NEW else None


PAGES: Final = (
    Page("GET", "/webhooks", show_hooks),
    Page("POST", "/webhooks", create, show_hooks),
    Page("GET", "/webhooks/{endpoint}", show_hook),
    Page("POST", "/webhooks/{endpoint}", change, show_hook),
    Page("POST", "/webhooks/{endpoint}/replay", replay),
    Page("POST", "/webhooks/{endpoint}/resume", resume),
    Page("POST", "/webhooks/{endpoint}/delete", delete),
)
