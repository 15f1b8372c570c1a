"""A client's assistant: its definition, and its copy at each provider."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from router.console import assistant_form
from router.console.api import Refusal
from router.console.assistant_form import read_voice, write_voice
from router.console.clients import find_client
from router.console.forms import LARGE_FORM, NO_ERRORS, form_errors
from router.console.function_form import KINDS
from router.console.visit import Page, Visit, accept_unlisted


async def show_definition(visit: Visit) -> Response:
    client, providers = await find_client(visit), visit.providers
    if visit.refusal:
        values = assistant_form.read_values(visit.form, providers)
    else:
        values = assistant_form.values_of(client["assistant"], providers)
    errors = form_errors(assistant_form.relocate(visit.refusal)) if visit.refusal else NO_ERRORS
    return visit.render(
        "assistant.html",
        client=client,
        values=values,
        providers=providers,
        with_voices=[name for name, kind in visit.kinds.items() if kind.voice and kind.voice.list_voices],
        kinds_of_parameters=KINDS,
        errors=errors,
    )


async def save_definition(visit: Visit) -> Response:
    client = visit.part("client")
    definition = assistant_form.definition_of(assistant_form.read_values(visit.form, visit.providers))
    await visit.send("PATCH", visit.path("clients", client), accept_unlisted(visit, {"assistant": definition}))
    return visit.go("clients", client, "assistant", done="assistant-saved")


async def show_voices(visit: Visit) -> Response:
    """Asked of the provider, and therefore on a page of its own."""
    client, provider = await find_client(visit), visit.part("provider")
    voices, errors = [], visit.errors()
    try:
        voices = (await visit.api.get(visit.path("voices", provider)))["items"]
    except Refusal as problem:
        errors = form_errors(problem)
    voices = [one | {"value": write_voice(one["settings"])} for one in voices]
    chosen = ((client["assistant"] or {}).get("voice") or {}).get(provider, {})
    return visit.render("voices.html", client=client, provider=provider, voices=voices, chosen=chosen, errors=errors)


async def choose_voice(visit: Visit) -> Response:
    """The other settings of the voice stay."""
    client, provider = await find_client(visit), visit.part("provider")
    definition = client["assistant"] or {}
    voice = definition.get("voice") or {}
    settings = read_voice(visit.form.text("voice"))
    changed = definition | {"voice": voice | {provider: voice.get(provider, {}) | settings}}
    await visit.send("PATCH", visit.path("clients", client["id"]), {"assistant": changed})
    return visit.go("clients", client["id"], "assistant", done="assistant-saved")


async def remove_definition(visit: Visit) -> Response:
    client = await find_client(visit)
    if not visit.confirmed:
        return visit.ask("assistant", visit.url("clients", client["id"], "assistant"), name=client["name"])
    await visit.send("PATCH", visit.path("clients", client["id"]), {"assistant": None})
    return visit.go("clients", client["id"], "assistant", done="assistant-none")


async def show_places(visit: Visit) -> Response:
    """The state of the assistant at each provider, and which of its features are lost there."""
    client = await find_client(visit)
    found = await visit.api.get(visit.path("clients", client["id"], "assistants"))
    opened = visit.part("provider") if visit.refusal else None
    return visit.render(
        "places.html",
        client=client,
        places=found["items"],
        providers=visit.providers,
        errors=visit.errors({"remote_id": f"{opened}-remote_id"}.get),
        opened=opened,
        entered=visit.form.text("remote_id"),
    )


async def link(visit: Visit) -> Response:
    client, provider = visit.part("client"), visit.part("provider")
    body = {"remote_id": visit.form.text("remote_id"), "manage": visit.form.get_all("manage")}
    await visit.send("PUT", visit.path("clients", client, "assistants", provider), body)
    return visit.go("clients", client, "providers", done="linked")


async def unlink(visit: Visit) -> Response:
    client, provider = visit.part("client"), visit.part("provider")
    if not visit.confirmed:
        label = visit.providers.get(provider, provider)
        return visit.ask("unlink", visit.url("clients", client, "providers"), label=label)
    await visit.send("DELETE", visit.path("clients", client, "assistants", provider))
    return visit.go("clients", client, "providers", done="unlinked")


PAGES: Final = (
    Page("GET", "/clients/{client}/assistant", show_definition),
    Page("POST", "/clients/{client}/assistant", save_definition, show_definition, form_limit=LARGE_FORM),
    Page("POST", "/clients/{client}/assistant/remove", remove_definition, show_definition),
    Page("GET", "/clients/{client}/assistant/voices/{provider}", show_voices),
    Page("POST", "/clients/{client}/assistant/voices/{provider}", choose_voice, show_voices),
    Page("GET", "/clients/{client}/providers", show_places),
    Page("POST", "/clients/{client}/providers/{provider}", link, show_places),
    Page("POST", "/clients/{client}/providers/{provider}/unlink", unlink),
)
