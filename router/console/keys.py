"""Agency settings → API keys: a card for each kind, the plan of a switch, and the progress of a sync."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from router.console.api import ApiProblem
from router.console.kinds import KeyKind
from router.console.visit import Page, Visit


async def go_home(visit: Visit) -> Response:
    """The figures, or the keys as long as no provider can take calls."""
    return visit.go("figures" if visit.agency["active_provider"] else "keys")


async def show_keys(visit: Visit) -> Response:
    """A key that was entered is never written back, not even after an error."""
    keys = {key["kind"]: key for key in (await visit.api.get(visit.path("keys")))["items"]}
    kinds = visit.kinds
    opened = _find_kind(visit) if visit.refusal else None
    places = {name: f"{opened.name}-{name}" for name in (*opened.fields, *opened.optional_fields)} if opened else {}
    return visit.render(
        "keys.html",
        keys=keys,
        syncs={kind: await visit.api.get(visit.path("sync", kind)) for kind in keys if kinds[kind].keeps_assistants},
        has_voice_key=any(kinds[kind].is_voice for kind in keys),
        former=kinds.get(visit.query("former")),
        errors=visit.errors(places.get),
        opened=opened,
    )


async def save_key(visit: Visit) -> Response:
    kind = _find_kind(visit)
    body: dict[str, Any] = visit.form.texts(*kind.fields)
    body |= {name: given for name in kind.optional_fields if (given := visit.form.text(name))}
    if visit.form.ticked("compromised"):
        body["compromised"] = True
    if kind.is_voice:
        body["activate"] = visit.agency["active_provider"] in (None, kind.name)
    await visit.send("PUT", visit.path("keys", kind.name), body)
    if kind.is_voice and not body["activate"]:
        return visit.go("keys", kind.name, "plan", done="key-saved-not-active")
    return visit.go("keys", done="key-saved")


async def renew_webhook_token(visit: Visit) -> Response:
    kind = _find_kind(visit)
    await visit.send(
        "POST", visit.path("keys", kind.name, "webhook-token"), {"compromised": visit.form.ticked("compromised")}
    )
    return visit.go("keys", done="webhook-renewed")


async def delete_key(visit: Visit) -> Response:
    kind = _find_kind(visit)
    if not visit.confirmed:
        return visit.ask("key", visit.url("keys"), label=kind.label)
    await visit.send("DELETE", visit.path("keys", kind.name))
    return visit.go("keys", done="key-deleted")


async def show_plan(visit: Visit) -> Response:
    """What making this provider the active one would do, before it is done."""
    kind = _find_kind(visit)
    plan = await visit.api.get(visit.path("plan"), provider=kind.name)
    return visit.render("plan.html", kind=kind, plan=plan)


async def activate(visit: Visit) -> Response:
    kind, before = _find_kind(visit), visit.agency["active_provider"]
    await visit.send("PATCH", visit.path(), {"active_provider": kind.name})
    return visit.go("keys", done="activated", former=before if before != kind.name else None)


async def show_sync(visit: Visit) -> Response:
    """One provider's progress, which the script puts in the place of the previous one."""
    kind = _find_kind(visit)
    return visit.render("sync.html", kind=kind, sync=await visit.api.get(visit.path("sync", kind.name)))


async def retry_sync(visit: Visit) -> Response:
    await visit.send("POST", visit.path("sync", _find_kind(visit).name))
    return visit.go("keys", done="retrying")


async def delete_assistants(visit: Visit) -> Response:
    kind = _find_kind(visit)
    if not visit.confirmed:
        return visit.ask("assistants", visit.url("keys"), label=kind.label)
    await visit.send("DELETE", visit.path("assistants", kind.name))
    return visit.go("keys", done="assistants-deleted")


def _find_kind(visit: Visit) -> KeyKind:
    """The one that the page's address names. Raises ApiProblem."""
    kind = visit.kinds.get(visit.part("kind"))
    if kind is None:
        raise ApiProblem(404, "not-found", "There is no such provider.")
    return kind


PAGES: Final = (
    Page("GET", "", go_home),
    Page("GET", "/keys", show_keys),
    Page("POST", "/keys/{kind}", save_key, show_keys),
    Page("POST", "/keys/{kind}/delete", delete_key),
    Page("POST", "/keys/{kind}/webhook-token", renew_webhook_token, show_keys),
    Page("GET", "/keys/{kind}/plan", show_plan),
    Page("POST", "/keys/{kind}/activate", activate, show_keys),
    Page("GET", "/keys/{kind}/sync", show_sync),
    Page("POST", "/keys/{kind}/sync", retry_sync, show_keys),
    Page("POST", "/keys/{kind}/delete-assistants", delete_assistants, show_keys),
)
