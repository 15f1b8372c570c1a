"""Agency settings → API keys: four cards, what activating a provider would do, and the progress of a sync."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from router.console.api import ApiProblem
from router.console.errors import NO_ERRORS, FormErrors, form_errors
from router.console.kinds import KeyKind
from router.console.visit import Page, Visit

_NOT_FOUND: Final = 404


async def go_home(visit: Visit) -> Response:
    """To what matters most: figures where calls are taken, keys where they cannot be yet."""
    return visit.go("figures" if visit.agency["active_provider"] else "keys")


async def show_keys(
    visit: Visit, errors: FormErrors = NO_ERRORS, opened: str | None = None, status: int = 200
) -> Response:
    """The page. A key that was entered is never written back, not even after an error."""
    keys = {key["kind"]: key for key in (await visit.api.get(visit.path("keys")))["items"]}
    kinds = visit.kinds
    return visit.render(
        "keys.html",
        status,
        keys=keys,
        syncs={kind: await visit.api.get(visit.path("sync", kind)) for kind in keys if kinds[kind].keeps_assistants},
        has_voice_key=any(kinds[kind].is_voice for kind in keys),
        former=kinds.get(visit.query("former")),
        errors=errors,
        opened=opened,
    )


async def save_key(visit: Visit) -> Response:
    kind = _find_kind(visit)
    body: dict[str, Any] = {name: visit.form.text(name) for name in kind.fields}
    body |= {name: given for name in kind.optional_fields if (given := visit.form.text(name))}
    if visit.form.ticked("compromised"):
        body["compromised"] = True
    active = visit.agency["active_provider"]
    if kind.is_voice:
        body["activate"] = active in (None, kind.name)
    try:
        await visit.api.send("PUT", visit.path("keys", kind.name), body)
    except ApiProblem as problem:
        if not problem.is_refusal:
            raise
        place = {name: f"{kind.name}-{name}" for name in (*kind.fields, *kind.optional_fields)}
        return await show_keys(visit, form_errors(problem, place.get), kind.name, problem.status)
    if kind.is_voice and not body["activate"]:
        return visit.go("keys", kind.name, "plan", done="key-saved")
    return visit.go("keys", done="key-saved")


async def delete_key(visit: Visit) -> Response:
    kind = _find_kind(visit)
    if not visit.confirmed:
        return visit.ask("key", visit.url("keys"), label=kind.label)
    await visit.api.send("DELETE", visit.path("keys", kind.name))
    return visit.go("keys", done="key-deleted")


async def show_plan(visit: Visit) -> Response:
    """What making this provider the active one would do, before it is done."""
    kind = _find_kind(visit)
    plan = await visit.api.get(visit.path("plan"), provider=kind.name)
    return visit.render("plan.html", kind=kind, plan=plan, errors=NO_ERRORS)


async def activate(visit: Visit) -> Response:
    kind, before = _find_kind(visit), visit.agency["active_provider"]
    try:
        await visit.api.send("PATCH", visit.path(), {"active_provider": kind.name})
    except ApiProblem as problem:
        return await _refused(visit, problem)
    return visit.go("keys", done="activated", former=before if before != kind.name else None)


async def show_sync(visit: Visit) -> Response:
    """One provider's progress, for the script to put in place of the one before."""
    kind = _find_kind(visit)
    return visit.render("sync.html", kind=kind, sync=await visit.api.get(visit.path("sync", kind.name)))


async def retry_sync(visit: Visit) -> Response:
    kind = _find_kind(visit)
    try:
        await visit.api.send("POST", visit.path("sync", kind.name))
    except ApiProblem as problem:
        return await _refused(visit, problem)
    return visit.go("keys", done="retrying")


async def delete_assistants(visit: Visit) -> Response:
    kind = _find_kind(visit)
    if not visit.confirmed:
        return visit.ask("assistants", visit.url("keys"), label=kind.label)
    try:
        await visit.api.send("DELETE", visit.path("assistants", kind.name))
    except ApiProblem as problem:
        return await _refused(visit, problem)
    return visit.go("keys", done="assistants-deleted")


async def _refused(visit: Visit, problem: ApiProblem) -> Response:
    if not problem.is_refusal:
        raise problem
    return await show_keys(visit, form_errors(problem, lambda _: None), status=problem.status)


def _find_kind(visit: Visit) -> KeyKind:
    """The one that the page's address names. Raises ApiProblem."""
    kind = visit.kinds.get(visit.part("kind"))
    if kind is None:
        raise ApiProblem(_NOT_FOUND, "not-found", "There is no such provider.")
    return kind


PAGES: Final[tuple[tuple[str, str, Page], ...]] = (
    ("GET", "", go_home),
    ("GET", "/keys", show_keys),
    ("POST", "/keys/{kind}", save_key),
    ("POST", "/keys/{kind}/delete", delete_key),
    ("GET", "/keys/{kind}/plan", show_plan),
    ("POST", "/keys/{kind}/activate", activate),
    ("GET", "/keys/{kind}/sync", show_sync),
    ("POST", "/keys/{kind}/sync", retry_sync),
    ("POST", "/keys/{kind}/delete-assistants", delete_assistants),
)
