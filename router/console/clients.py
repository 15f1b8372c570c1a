"""Clients: who they are, who answers their calls and when."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from starlette.responses import Response

from router.console import client_form
from router.console.visit import Page, Visit, accept_unlisted, leave_out_same_email
from router.console.words import DAYS
from router.fields import timezones

_LAST_CALLS: Final = 5


async def show_clients(visit: Visit) -> Response:
    clients = await visit.api.list_all(visit.path("clients"))
    numbers = Counter(one["client_id"] for one in await visit.api.list_all(visit.path("numbers")))
    failed = await _list_failures(visit)
    return visit.render("clients.html", clients=clients, numbers=numbers, failed=failed)


async def show_new(visit: Visit) -> Response:
    return await _draw_form(visit, None)


async def create(visit: Visit) -> Response:
    body = client_form.body_of(client_form.read_values(visit.form))
    client = await visit.send("POST", visit.path("clients"), accept_unlisted(visit, body))
    return visit.go("clients", client["id"], "assistant", done="client-created")


async def show_client(visit: Visit) -> Response:
    return await _draw_form(visit, await find_client(visit))


async def change(visit: Visit) -> Response:
    client = await find_client(visit)
    body = client_form.body_of(client_form.read_values(visit.form))
    body = leave_out_same_email(visit, body, client, "notify_email")
    await visit.send("PATCH", visit.path("clients", client["id"]), accept_unlisted(visit, body))
    return visit.go("clients", client["id"], done="client-saved")


async def show_copy(visit: Visit) -> Response:
    return visit.render("client_copy.html", client=await find_client(visit), entered=visit.form)


async def copy(visit: Visit) -> Response:
    own = {name: visit.form.text_or_none(name) for name in ("personal_phone", "notify_email", "transfer_to")}
    body = accept_unlisted(visit, {"name": visit.form.text("name")} | own)
    client = await visit.send("POST", visit.path("clients", visit.part("client"), "copy"), body)
    return visit.go("clients", client["id"], done="client-copied")


async def send_link(visit: Visit) -> Response:
    client_id = visit.part("client")
    await visit.send("POST", visit.path("clients", client_id, "confirmations"), {"field": "notify_email"})
    return visit.go("clients", client_id, done="link-sent")


async def delete(visit: Visit) -> Response:
    client = await find_client(visit)
    if not visit.confirmed:
        return visit.ask("client", visit.url("clients", client["id"]), name=client["name"])
    await visit.send("DELETE", visit.path("clients", client["id"]))
    return visit.go("clients", done="client-deleted")


async def find_client(visit: Visit) -> dict[str, Any]:
    """The client that the page's address names. Raises ApiProblem."""
    client: dict[str, Any] = await visit.api.get(visit.path("clients", visit.part("client")))
    return client


async def _list_failures(visit: Visit) -> set[str]:
    """Clients whose assistant could not be synced to the active provider."""
    active = visit.agency["active_provider"]
    if active is None:
        return set()
    sync = await visit.api.get(visit.path("sync", active))
    return {failure["client_id"] for failure in sync["failures"]}


async def _look_at(visit: Visit, client: dict[str, Any]) -> dict[str, Any]:
    """Its numbers, its last calls, and its assistant at the provider that takes its calls."""
    numbers = await visit.api.list_all(visit.path("numbers"))
    calls = await visit.api.get(visit.path("calls"), client_id=client["id"], limit=_LAST_CALLS)
    places = await visit.api.get(visit.path("clients", client["id"], "assistants"))
    provider = client["provider"] or visit.agency["active_provider"]
    return {
        "numbers": [one for one in numbers if one["client_id"] == client["id"]],
        "calls": calls["items"],
        "place": next((one for one in places["items"] if one["provider"] == provider), None),
    }


async def _draw_form(visit: Visit, client: dict[str, Any] | None) -> Response:
    """With what was entered, where that was refused."""
    if "name" in visit.form:
        values = client_form.read_values(visit.form)
    else:
        values = client_form.values_of(client or client_form.NEW_CLIENT)
    return visit.render(
        "client.html",
        client=client,
        now=await _look_at(visit, client) if client else None,
        values=values,
        errors=visit.errors(lambda field: client_form.place_of(field, values)),
        days=DAYS,
        timezones=sorted(timezones()),
        providers=visit.providers,
    )


PAGES: Final = (
    Page("GET", "/clients", show_clients),
    Page("GET", "/clients/new", show_new),
    Page("POST", "/clients/new", create, show_new),
    Page("GET", "/clients/{client}", show_client),
    Page("POST", "/clients/{client}", change, show_client),
    Page("GET", "/clients/{client}/copy", show_copy),
    Page("POST", "/clients/{client}/copy", copy, show_copy),
    Page("POST", "/clients/{client}/confirmations", send_link, show_client),
    Page("POST", "/clients/{client}/delete", delete, show_client),
)
