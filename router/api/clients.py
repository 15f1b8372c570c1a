"""Clients of an agency: /v1/agencies/{agency}/clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from router.api.models import ClientChange, ClientList, ClientReply, NewClient
from router.api.operations import Answer, ApiRequest, Endpoint
from router.store.tenants.clients import (
    Client,
    list_clients,
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
    fields = _read(request, NewClient.model_fields)
    author = request.author(201, ClientReply)
    return Answer.of(201, _show(await request.services.areas.clients.create(request.agency_id, fields, author)))


async def show_client(request: ApiRequest[None]) -> Answer:
    return Answer.of(200, _show(await request.services.areas.clients.find(request.agency_id, request.path["client"])))


async def change_client(request: ApiRequest[ClientChange]) -> Answer:
    fields = _read(request, request.body.model_fields_set)
    author = request.author(200, ClientReply)
    clients = request.services.areas.clients
    return Answer.of(200, _show(await clients.change(request.agency_id, request.path["client"], fields, author)))


async def remove_client(request: ApiRequest[None]) -> Answer:
    await request.services.areas.clients.delete(request.agency_id, request.path["client"], request.author())
    return Answer.of(204)


def _read(request: ApiRequest[Any], names: Iterable[str]) -> dict[str, Any]:
    """Field by field; the assistant as it was sent."""
    fields = {name: getattr(request.body, name) for name in names}
    if "assistant" in fields:
        fields["assistant"] = request.document.get("assistant")
    return fields


def _show(client: Client) -> ClientReply:
    return ClientReply.model_validate(client)
