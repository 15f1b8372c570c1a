"""The agency itself: name, alerts, which providers stand in, tokens, and what was changed by whom."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import RedirectResponse, Response

from router.console.api import ApiProblem
from router.console.errors import NO_ERRORS, FormErrors, form_errors
from router.console.visit import PAGE_HEADERS, Page, Visit

_PAGE: Final = 50
_SEE_OTHER: Final = 303


async def show_settings(
    visit: Visit,
    errors: FormErrors = NO_ERRORS,
    values: dict[str, Any] | None = None,
    fresh: dict[str, Any] | None = None,
    status: int = 200,
) -> Response:
    """`fresh`: a token that was just made, on the one page that ever shows it."""
    return visit.render(
        "settings.html",
        status,
        values=_values_of(visit.agency) | (values or {}),
        tokens=await visit.api.list_all(visit.path("tokens")),
        providers=visit.providers,
        fresh=fresh,
        errors=errors,
    )


async def save(visit: Visit) -> Response:
    form = visit.form
    order = [name for name in form.get_all("order") if name]
    values = {
        "name": form.text("name"),
        "alert_email": form.text("alert_email"),
        "retention_days": form.number("retention_days"),
        "stand_in": form.text("stand_in"),
        "order": order,
    }
    body = {
        "name": values["name"],
        "alert_email": values["alert_email"] or None,
        "retention_days": values["retention_days"],
        "fallback_providers": {"all": None, "none": []}.get(form.text("stand_in"), order),
    }
    try:
        await visit.api.send("PATCH", visit.path(), body)
    except ApiProblem as problem:
        return await _refused(visit, problem, values)
    return visit.go("settings", done="settings-saved")


async def create_token(visit: Visit) -> Response:
    try:
        fresh = await visit.api.send(
            "POST", visit.path("tokens"), {"name": visit.form.text("token_name")}, once=visit.form.text_or_none("once")
        )
    except ApiProblem as problem:
        return await _refused(visit, problem, {"token_name": visit.form.text("token_name")}, {"name": "token_name"})
    return await show_settings(visit, fresh=fresh)


async def delete_token(visit: Visit) -> Response:
    if not visit.confirmed:
        return visit.ask("token", visit.url("settings"))
    await visit.api.send("DELETE", visit.path("tokens", visit.part("token")))
    return visit.go("settings", done="token-deleted")


async def delete_agency(visit: Visit) -> Response:
    if not visit.confirmed:
        return visit.ask("agency", visit.url("settings"), name=visit.agency["name"])
    try:
        await visit.api.send("DELETE", visit.path())
    except ApiProblem as problem:
        return await _refused(visit, problem, {})
    return RedirectResponse(f"{visit.services.home}/agencies", _SEE_OTHER, PAGE_HEADERS)


async def show_activity(visit: Visit) -> Response:
    page = await visit.api.get(visit.path("audit"), limit=_PAGE, cursor=visit.query("cursor"))
    tokens = {one["id"]: one["name"] for one in await visit.api.list_all(visit.path("tokens"))}
    older = visit.url("activity", cursor=page["next_cursor"]) if page["next_cursor"] else None
    names = await visit.client_names()
    return visit.render("activity.html", entries=page["items"], tokens=tokens, names=names, older=older)


async def _refused(
    visit: Visit, problem: ApiProblem, values: dict[str, Any], places: dict[str, str] | None = None
) -> Response:
    if not problem.is_refusal:
        raise problem
    errors = form_errors(problem, lambda name: (places or {}).get(name, name))
    return await show_settings(visit, errors, values, status=problem.status)


def _values_of(agency: dict[str, Any]) -> dict[str, Any]:
    order = agency["fallback_providers"]
    return {
        "name": agency["name"],
        "alert_email": agency["alert_email"] or "",
        "retention_days": agency["retention_days"],
        "stand_in": "all" if order is None else "order" if order else "none",
        "order": order or [],
        "token_name": "",
    }


PAGES: Final[tuple[tuple[str, str, Page], ...]] = (
    ("GET", "/settings", show_settings),
    ("POST", "/settings", save),
    ("POST", "/settings/tokens", create_token),
    ("POST", "/settings/tokens/{token}/delete", delete_token),
    ("POST", "/settings/delete", delete_agency),
    ("GET", "/activity", show_activity),
)
