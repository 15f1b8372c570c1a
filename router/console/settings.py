"""The agency itself: name, alerts, stand-in providers, and the audit log."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from router.console.drawing import see_other, write_phone
from router.console.forms import Form
from router.console.visit import Page, Visit, leave_out_same_email
from router.console.words import say_actor


async def show_settings(visit: Visit) -> Response:
    values = _values_of(visit.agency)
    if visit.refusal and "name" in visit.form:
        values |= _read_values(visit.form)
    return visit.render("settings.html", values=values, providers=visit.providers)


async def save(visit: Visit) -> Response:
    values = _read_values(visit.form)
    body = {
        "name": values["name"],
        "alert_email": values["alert_email"] or None,
        "retention_days": values["retention_days"],
        "fallback_providers": {"all": None, "none": []}.get(values["stand_in"], values["order"]),
    }
    if values["numbers_from"]:
        body["numbers_from"] = values["numbers_from"]
    await visit.send("PATCH", visit.path(), leave_out_same_email(visit, body, visit.agency, "alert_email"))
    return visit.go("settings", done="settings-saved")


async def send_link(visit: Visit) -> Response:
    await visit.send("POST", visit.path("confirmations"), {"field": "alert_email"})
    return visit.go("settings", done="link-sent")


async def delete_agency(visit: Visit) -> Response:
    if not visit.confirmed:
        return visit.ask("agency", visit.url("settings"), name=visit.agency["name"])
    await visit.send("DELETE", visit.path())
    return see_other(f"{visit.services.home}/agencies")


async def show_activity(visit: Visit) -> Response:
    entries, cursor = await visit.list_page("audit")
    tokens = {one["id"]: one["name"] for one in await visit.api.list_all(visit.path("tokens"))}
    names = await visit.client_names()
    told = [one | {"who": say_actor(one["actor"], tokens), "about": _about(visit, one, names)} for one in entries]
    return visit.render("activity.html", entries=told, older=cursor and visit.url("activity", cursor=cursor))


def _about(visit: Visit, entry: dict[str, Any], names: dict[str, str]) -> str:
    """What was changed: the client's name, the number, the provider. Empty where the action says it all."""
    target, _, provider = entry["target"].partition("/")
    kind = visit.kinds.get(target)
    about = names.get(target) or (kind.label if kind else write_phone(target) if target.startswith("+") else "")
    at = visit.kinds.get(provider)
    return f"{about}, {at.label}" if about and at else about


def _read_values(form: Form) -> dict[str, Any]:
    return {
        **form.texts("name", "alert_email", "stand_in", "numbers_from"),
        "retention_days": form.number("retention_days"),
        "order": [name for name in form.get_all("order") if name],
    }


def _values_of(agency: dict[str, Any]) -> dict[str, Any]:
    order = agency["fallback_providers"]
    return {
        "name": agency["name"],
        "alert_email": agency["alert_email"] or "",
        "retention_days": agency["retention_days"],
        "stand_in": "all" if order is None else "order" if order else "none",
        "order": order or [],
        "numbers_from": agency["numbers_from"],
    }


PAGES: Final = (
    Page("GET", "/settings", show_settings),
    Page("POST", "/settings", save, show_settings),
    Page("POST", "/settings/confirmations", send_link, show_settings),
    Page("POST", "/settings/delete", delete_agency, show_settings),
    Page("GET", "/activity", show_activity),
)
