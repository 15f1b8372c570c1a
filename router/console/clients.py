"""Clients: who they are, who answers their calls and when."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final
from zoneinfo import available_timezones

from starlette.responses import Response

from router.console import client_form
from router.console.api import ApiProblem
from router.console.errors import NO_ERRORS, FormErrors, form_errors
from router.console.visit import Page, Visit


async def show_clients(visit: Visit) -> Response:
    clients = await visit.api.list_all(visit.path("clients"))
    numbers = Counter(one["client_id"] for one in await visit.api.list_all(visit.path("numbers")))
    failed = await _list_failures(visit)
    return visit.render("clients.html", clients=clients, numbers=numbers, failed=failed)


async def show_new(visit: Visit) -> Response:
    return await _draw_form(visit, None, client_form.empty_values())


async def create(visit: Visit) -> Response:
    values = client_form.read_values(visit.form)
    try:
        body = client_form.body_of(values)
        client = await visit.api.send("POST", visit.path("clients"), body, once=visit.form.text_or_none("once"))
    except ApiProblem as problem:
        return await _draw_again(visit, None, values, problem)
    return visit.go("clients", client["id"], "assistant", done="client-created")


async def show_client(visit: Visit) -> Response:
    client = await find_client(visit)
    return await _draw_form(visit, client, client_form.values_of(client))


async def change(visit: Visit) -> Response:
    client = await find_client(visit)
    values = client_form.read_values(visit.form)
    try:
        await visit.api.send("PATCH", visit.path("clients", client["id"]), client_form.body_of(values))
    except ApiProblem as problem:
        return await _draw_again(visit, client, values, problem)
    return visit.go("clients", client["id"], done="client-saved")


async def delete(visit: Visit) -> Response:
    client = await find_client(visit)
    if not visit.confirmed:
        return visit.ask("client", visit.url("clients", client["id"]), name=client["name"])
    try:
        await visit.api.send("DELETE", visit.path("clients", client["id"]))
    except ApiProblem as problem:
        return await _draw_again(visit, client, client_form.values_of(client), problem)
    return visit.go("clients", done="client-deleted")


async def _list_failures(visit: Visit) -> set[str]:
    """Clients whose assistant is not at the active provider as it should be."""
    active = visit.agency["active_provider"]
    if active is None:
        return set()
    sync = await visit.api.get(visit.path("sync", active))
    return {failure["client_id"] for failure in sync["failures"]}


async def find_client(visit: Visit) -> dict[str, Any]:
    """The client that the page's address names. Raises ApiProblem."""
    client: dict[str, Any] = await visit.api.get(visit.path("clients", visit.part("client")))
    return client


async def _draw_again(
    visit: Visit, client: dict[str, Any] | None, values: dict[str, Any], problem: ApiProblem
) -> Response:
    if not problem.is_refusal:
        raise problem
    errors = form_errors(problem, lambda field: client_form.place_of(field, values))
    return await _draw_form(visit, client, values, errors, problem.status)


async def _draw_form(
    visit: Visit,
    client: dict[str, Any] | None,
    values: dict[str, Any],
    errors: FormErrors = NO_ERRORS,
    status: int = 200,
) -> Response:
    return visit.render(
        "client.html",
        status,
        client=client,
        values=values,
        errors=errors,
        days=client_form.DAYS,
        timezones=sorted(available_timezones()),
        providers=visit.providers,
    )


PAGES: Final[tuple[tuple[str, str, Page], ...]] = (
    ("GET", "/clients", show_clients),
    ("GET", "/clients/new", show_new),
    ("POST", "/clients/new", create),
    ("GET", "/clients/{client}", show_client),
    ("POST", "/clients/{client}", change),
    ("POST", "/clients/{client}/delete", delete),
)
