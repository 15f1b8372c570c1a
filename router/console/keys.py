"""Agency settings → API keys: a card for each kind, the plan of a switch, and the progress of a sync."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from starlette.responses import Response

from router.console.api import ApiProblem, FieldProblem, Refusal, api_path
from router.console.forms import Form
from router.console.kinds import KeyKind
from router.console.visit import Page, Visit


async def go_home(visit: Visit) -> Response:
    """The figures, or the keys as long as no provider can take calls."""
    return visit.go("figures" if visit.agency["active_provider"] else "keys")


async def show_keys(visit: Visit, *, saving: bool = False) -> Response:
    """A key that was entered is never written back, not even after an error."""
    keys = {key["kind"]: key for key in (await visit.api.get(visit.path("keys")))["items"]}
    kinds, active = visit.kinds, visit.agency["active_provider"]
    opened = _find_kind(visit) if visit.refusal else None
    places = {name: f"{opened.name}-{name}" for name in (*opened.fields, *opened.optional_fields)} if opened else {}
    errors = visit.errors(lambda field: places.get(field.partition(".")[0]))
    if saving and opened:
        before = " The key that was saved before stays in use." if opened.name in keys else ""
        errors = replace(errors, general=(*errors.general, f"Nothing was saved.{before}"))
    return visit.render(
        "keys.html",
        keys=keys,
        syncs={kind: await visit.api.get(visit.path("sync", kind)) for kind in keys if kinds[kind].keeps_assistants},
        plans={
            name: await visit.api.get(visit.path("plan"), provider=name, quick="true")
            for name, kind in kinds.items()
            if kind.is_voice and name != active
        },
        has_voice_key=any(kinds[kind].is_voice for kind in keys),
        has_working_key=any(kinds[kind].is_voice and key["status"] == "valid" for kind, key in keys.items()),
        former=kinds.get(visit.query("former")),
        errors=errors,
        opened=opened,
        chosen=visit.form.text("activate"),
    )


async def compare(visit: Visit) -> Response:
    """What each provider offers, side by side."""
    offers = (await visit.api.get(api_path("providers")))["items"]
    saved = {key["kind"] for key in (await visit.api.get(visit.path("keys")))["items"]}
    return visit.render("compare.html", offers=offers, features=list(offers[0]["features"]), saved=saved)


async def save_key(visit: Visit) -> Response:
    kind = _find_kind(visit)
    body: dict[str, Any] = visit.form.texts(*kind.fields)
    body |= {name: given for name in kind.optional_fields if (given := visit.form.text(name))}
    if not kind.is_voice:
        body |= _read_shared_keys(visit.form)
    if visit.form.ticked("compromised"):
        body["compromised"] = True
    active = visit.agency["active_provider"]
    if kind.is_voice:
        body["activate"] = active in (None, kind.name) or await _wants_switch(visit, kind)
    saved = await visit.send("PUT", visit.path("keys", kind.name), body)
    is_switched = body.get("activate", False) and active not in (None, kind.name)
    if saved["status"] == "out_of_credit":
        done = "key-without-credit"
    elif is_switched:
        done = "key-switched"
    elif kind.is_voice and not body["activate"]:
        done = "key-kept"
    else:
        done = "key-saved"
    return visit.go("keys", done=done, about=kind.name, former=active if is_switched else None)


def _read_shared_keys(form: Form) -> dict[str, Any]:
    """Nothing was entered: those that are saved stay."""
    if form.ticked("forget_shared_keys"):
        return {"shared_keys": []}
    pairs = [one.partition(":") for one in form.text("shared_keys").replace(",", " ").split()]
    if not all(secret for _, _, secret in pairs):
        wrong = FieldProblem("shared_keys", "must be id:secret for each shared key, separated by spaces")
        raise Refusal(422, "invalid", "The shared keys are not valid.", (wrong,))
    return {"shared_keys": [{"id": key_id, "secret": secret} for key_id, _, secret in pairs]} if pairs else {}


async def _wants_switch(visit: Visit, kind: KeyKind) -> bool:
    """What the form says; without a choice in it, what the page preselects: a provider's first key switches to it."""
    chosen = visit.form.text("activate")
    if chosen:
        return chosen == "yes"
    return await visit.api.find(visit.path("keys", kind.name)) is None


async def show_refused_key(visit: Visit) -> Response:
    return await show_keys(visit, saving=True)


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
    return visit.go("keys", done="activated", about=kind.name, former=before if before != kind.name else None)


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
    Page("GET", "/providers", compare),
    Page("GET", "/keys", show_keys),
    Page("POST", "/keys/{kind}", save_key, show_refused_key),
    Page("POST", "/keys/{kind}/delete", delete_key),
    Page("POST", "/keys/{kind}/webhook-token", renew_webhook_token, show_keys),
    Page("GET", "/keys/{kind}/plan", show_plan),
    Page("POST", "/keys/{kind}/activate", activate, show_keys),
    Page("GET", "/keys/{kind}/sync", show_sync),
    Page("POST", "/keys/{kind}/sync", retry_sync, show_keys),
    Page("POST", "/keys/{kind}/delete-assistants", delete_assistants, show_keys),
)
