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
_STATES: Final = ("waiting", "delivered", "dead")
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


async def show_hook(
    visit: Visit, fresh: dict[str, Any] | None = None, tested: dict[str, Any] | None = None
) -> Response:
    """`fresh`: the endpoint with a new secret, which only this page ever shows. `tested`: what became of a test event."""
    endpoint = await _find(visit)
    state = visit.query("state") if visit.query("state") in _STATES else ""
    page = await visit.api.get(
        visit.path("endpoints", endpoint["id"], "deliveries"), limit=50, cursor=visit.query("cursor"), state=state
    )
    cursor = page["next_cursor"]
    older = cursor and visit.url("webhooks", endpoint["id"], cursor=cursor, state=state)
    return visit.render(
        "hook.html",
        endpoint=endpoint,
        values=_read_values(visit) if visit.refusal and "url" in visit.form else _values_of(endpoint),
        events=sorted(CALL_EVENTS),
        deliveries=page["items"],
        older=older,
        state=state,
        fresh=fresh,
        tested=tested,
        test_events=[("", "An event that only tests"), *((name, name) for name in sorted(CALL_EVENTS))],
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


async def show_delivery(visit: Visit) -> Response:
    endpoint = await _find(visit)
    delivery = await visit.api.get(visit.path("endpoints", endpoint["id"], "deliveries", visit.part("delivery")))
    return visit.render("delivery.html", endpoint=endpoint, delivery=delivery)


async def resend(visit: Visit) -> Response:
    place = (visit.part("endpoint"), "deliveries", visit.part("delivery"))
    await visit.send("POST", visit.path("endpoints", *place, "resend"))
    return visit.go("webhooks", *place, done="resent")


async def send_test(visit: Visit) -> Response:
    body = {"event": visit.form.text_or_none("event")}
    return await show_hook(visit, tested=await visit.send("POST", _path(visit, "test"), body))


async def rotate_secret(visit: Visit) -> Response:
    leaked = visit.form.ticked("compromised")
    if not visit.confirmed:
        return visit.ask("endpoint_secret_leaked" if leaked else "endpoint_secret", _back(visit))
    body = {"compromised": leaked}
    return await show_hook(visit, fresh=await visit.send("POST", _path(visit, "rotate-secret"), body))


async def pause(visit: Visit) -> Response:
    if not visit.confirmed:
        return visit.ask("endpoint_pause", _back(visit))
    await visit.send("PATCH", _path(visit), {"paused": True})
    return visit.go("webhooks", visit.part("endpoint"), done="endpoint-paused")


async def resume(visit: Visit) -> Response:
    await visit.send("PATCH", visit.path("endpoints", visit.part("endpoint")), {"paused": False})
    return visit.go("webhooks", visit.part("endpoint"), done="endpoint-resumed")


async def delete(visit: Visit) -> Response:
    endpoint = await _find(visit)
    if not visit.confirmed:
        return visit.ask("endpoint", visit.url("webhooks", endpoint["id"]))
    await visit.send("DELETE", visit.path("endpoints", endpoint["id"]))
    return visit.go("webhooks", done="endpoint-deleted")


def _path(visit: Visit, *more: str) -> str:
    return visit.path("endpoints", visit.part("endpoint"), *more)


def _back(visit: Visit) -> str:
    return visit.url("webhooks", visit.part("endpoint"))


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
    Page("GET", "/webhooks/{endpoint}/deliveries/{delivery}", show_delivery),
    Page("POST", "/webhooks/{endpoint}/deliveries/{delivery}/resend", resend),
    Page("POST", "/webhooks/{endpoint}/test", send_test, show_hook),
    Page("POST", "/webhooks/{endpoint}/rotate-secret", rotate_secret, show_hook),
    Page("POST", "/webhooks/{endpoint}/pause", pause),
    Page("POST", "/webhooks/{endpoint}/replay", replay, show_hook),
    Page("POST", "/webhooks/{endpoint}/resume", resume),
    Page("POST", "/webhooks/{endpoint}/delete", delete),
)
