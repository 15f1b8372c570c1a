"""A client's assistant: its definition, and where it is at each provider."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from router.console import assistant_form
from router.console.api import ApiProblem
from router.console.clients import find_client
from router.console.errors import NO_ERRORS, FormErrors, form_errors, one_error
from router.console.visit import Page, Visit

_UNPROCESSABLE: Final = 422


async def show_definition(visit: Visit) -> Response:
    client = await find_client(visit)
    return await _draw(visit, client, assistant_form.values_of(client["assistant"], visit.providers))


async def save_definition(visit: Visit) -> Response:
    client = await find_client(visit)
    values = assistant_form.read_values(visit.form, visit.providers)
    try:
        definition = assistant_form.definition_of(values)
        await visit.api.send("PATCH", visit.path("clients", client["id"]), {"assistant": definition})
    except assistant_form.UnreadableFieldError as error:
        return await _draw(visit, client, values, one_error(error.field, error.message), _UNPROCESSABLE)
    except ApiProblem as problem:
        if not problem.is_refusal:
            raise
        here = ApiProblem(
            problem.status, problem.name, problem.detail, tuple(map(assistant_form.relocate, problem.fields))
        )
        return await _draw(visit, client, values, form_errors(here), problem.status)
    return visit.go("clients", client["id"], "assistant", done="assistant-saved" if definition else "assistant-none")


async def show_places(
    visit: Visit, errors: FormErrors = NO_ERRORS, opened: str | None = None, status: int = 200
) -> Response:
    """Where the assistant is at each provider, and what is lost there."""
    client = await find_client(visit)
    found = await visit.api.get(visit.path("clients", client["id"], "assistants"))
    return visit.render(
        "places.html",
        status,
        client=client,
        places=found["items"],
        providers=visit.providers,
        errors=errors,
        opened=opened,
        entered=visit.form.text("remote_id"),
    )


async def link(visit: Visit) -> Response:
    client_id, provider = visit.part("client"), visit.part("provider")
    body = {"remote_id": visit.form.text("remote_id"), "manage": visit.form.get_all("manage")}
    try:
        await visit.api.send("PUT", visit.path("clients", client_id, "assistants", provider), body)
    except ApiProblem as problem:
        if not problem.is_refusal:
            raise
        places = {"remote_id": f"{provider}-remote_id"}
        return await show_places(visit, form_errors(problem, places.get), provider, problem.status)
    return visit.go("clients", client_id, "providers", done="linked")


async def unlink(visit: Visit) -> Response:
    client_id, provider = visit.part("client"), visit.part("provider")
    if not visit.confirmed:
        label = visit.providers.get(provider, provider)
        return visit.ask("unlink", visit.url("clients", client_id, "providers"), label=label)
    await visit.api.send("DELETE", visit.path("clients", client_id, "assistants", provider))
    return visit.go("clients", client_id, "providers", done="unlinked")


async def _draw(
    visit: Visit, client: dict[str, Any], values: dict[str, Any], errors: FormErrors = NO_ERRORS, status: int = 200
) -> Response:
    providers = visit.providers
    return visit.render("assistant.html", status, client=client, values=values, errors=errors, providers=providers)


PAGES: Final[tuple[tuple[str, str, Page], ...]] = (
    ("GET", "/clients/{client}/assistant", show_definition),
    ("POST", "/clients/{client}/assistant", save_definition),
    ("GET", "/clients/{client}/providers", show_places),
    ("POST", "/clients/{client}/providers/{provider}", link),
    ("POST", "/clients/{client}/providers/{provider}/unlink", unlink),
)
