"""Clients of an agency: /v1/agencies/{agency}/clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from router.api.models import ClientChange, ClientList, ClientReply, NewClient
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.problems import invalid, not_found
from router.assistants.wanted import leave_client, sync_client
from router.definitions import RoutingSettings
from router.numbers.carriers import make_fallback
from router.numbers.fallbacks import note_stale_fallbacks, rewrite_fallbacks
from router.numbers.release import forget_numbers, release_numbers
from router.store.numbers.numbers import is_our_number, list_numbers
from router.store.pool import Connection
from router.store.tenants.agencies import lock_agency
from router.store.tenants.clients import (
    Client,
    delete_client,
    find_client,
    insert_client,
    list_clients,
    lock_client,
    update_client,
)


def client_endpoints() -> list[Endpoint]:
    path = "/v1/agencies/{agency}/clients"
    one = f"{path}/{{client}}"
    return [
        Endpoint("GET", path, "List clients", show_clients, reply=ClientList, paged=True),
        Endpoint("POST", path, "Create a client", create_client, status=201, body=NewClient, reply=ClientReply),
        Endpoint("GET", one, "Show a client", show_client, reply=ClientReply),
        Endpoint(
            "PATCH",
            one,
            "Change a client",
            change_client,
            body=ClientChange,
            reply=ClientReply,
            description="Takes effect on the next call. The static fallback of its numbers is rewritten at the carrier; "
            "where that fails the number shows `fallback: stale`, and the next change tries again, an empty one too.",
        ),
        Endpoint(
            "DELETE",
            one,
            "Delete a client with its numbers",
            remove_client,
            status=204,
            problems=("provider-unreachable",),
            description="Its numbers are let go first, as if each were deleted: those bought here are given back.",
        ),
    ]


async def show_clients(request: ApiRequest[None]) -> Answer:
    page = request.page
    rows = await list_clients(request.services.database.settings, request.agency_id, after=page.after, limit=page.fetch)
    shown, cursor = page.cut(rows, lambda row: (row.created_at, row.id))
    return Answer.of(200, ClientList(items=[_show(row) for row in shown], next_cursor=cursor))


async def create_client(request: ApiRequest[NewClient]) -> Answer:
    body = request.body
    client = Client(
        id=request.services.new_id("client"),
        agency_id=request.agency_id,
        name=body.name,
        personal_phone=body.personal_phone,
        notify_email=body.notify_email,
        provider=body.provider,
        caller_id=body.caller_id,
        routing=_store_routing(body.routing),
        assistant=request.document.get("assistant"),
        created_at=request.services.clock(),
    )
    _check_providers(request.services.voice, client)
    _check_phone(client)
    async with request.changes() as changes:
        await lock_agency(changes.connection, request.agency_id)
        await _refuse_our_number(changes.connection, client)
        await insert_client(changes.connection, client)
        await sync_client(changes.connection, request.services, client)
        await changes.record("client.created", client.id)
        return changes.answer(201, _show(client))


async def show_client(request: ApiRequest[None]) -> Answer:
    client = await find_client(request.services.database.settings, request.agency_id, request.path["client"])
    if client is None:
        raise not_found("client")
    return Answer.of(200, _show(client))


async def change_client(request: ApiRequest[ClientChange]) -> Answer:
    services = request.services
    async with request.changes() as changes:
        await lock_agency(changes.connection, request.agency_id)
        client = await lock_client(changes.connection, request.agency_id, request.path["client"])
        if client is None:
            raise not_found("client")
        changed = _merge(client, request)
        _check_providers(services.voice, changed)
        _check_phone(changed)
        if changed.personal_phone != client.personal_phone:
            await _refuse_our_number(changes.connection, changed)
        await update_client(changes.connection, changed)
        await sync_client(changes.connection, services, changed)
        if make_fallback(client, "") != make_fallback(changed, ""):
            await note_stale_fallbacks(services, changes.connection, changed)
        numbers = await list_numbers(changes.connection, client.agency_id, client_id=client.id)
        await changes.record("client.changed", client.id)
        answer = changes.answer(200, _show(changed))
    await rewrite_fallbacks(services, [number for number in numbers if number.fallback_state == "stale"])
    return answer


async def remove_client(request: ApiRequest[None]) -> Answer:
    client_id = request.path["client"]
    pool = request.services.database.settings
    numbers = await list_numbers(pool, request.agency_id, client_id=client_id)
    await release_numbers(request.services, numbers)
    async with request.changes() as changes:
        await lock_agency(changes.connection, request.agency_id)
        client = await lock_client(changes.connection, request.agency_id, client_id)
        if client is None:
            raise not_found("client")
        await forget_numbers(changes.connection, numbers)
        await leave_client(changes.connection, request.services, client.agency_id, client.id)
        await delete_client(changes.connection, client.agency_id, client.id)
        await changes.record("client.deleted", client_id)
        return changes.answer(204)


def _merge(client: Client, request: ApiRequest[ClientChange]) -> Client:
    """Field by field; a routing or an assistant is replaced as a whole."""
    body = request.body
    fields = {name: getattr(body, name) for name in body.model_fields_set}
    if "routing" in fields:
        fields["routing"] = _store_routing(body.routing)
    if "assistant" in fields:
        fields["assistant"] = request.document["assistant"]
    return replace(client, **fields)


def _store_routing(routing: RoutingSettings | None) -> dict[str, Any]:
    return (routing or RoutingSettings()).model_dump(mode="json", by_alias=True)


def _check_providers(voice: Mapping[str, Any], client: Client) -> None:
    known = ", ".join(voice)
    if client.provider is not None and client.provider not in voice:
        raise invalid("provider", f"must be one of {known}, or null")
    if any(provider not in voice for provider in (client.assistant or {}).get("voice") or ()):
        raise invalid("assistant.voice", f"must have no fields but {known}")


def _check_phone(client: Client) -> None:
    """A rung that rings needs a phone."""
    rings = RoutingSettings.model_validate(client.routing).rings
    if rings and client.personal_phone is None:
        raise invalid("personal_phone", f"is needed, because {rings} lets it ring")


async def _refuse_our_number(connection: Connection, client: Client) -> None:
    """It would call us, and we would ring it again."""
    if client.personal_phone and await is_our_number(connection, client.personal_phone):
        raise invalid("personal_phone", "must be a person's phone, not a number that is answered here")


def _show(client: Client) -> ClientReply:
    return ClientReply.model_validate(client)
