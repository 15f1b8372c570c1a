"""Links from a client to assistants that exist at providers: /v1/agencies/{agency}/clients/{client}/assistants."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from router.api.models import AssistantList, AssistantReply, NewLink
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.problems import not_found
from router.assistants.links import prepare_link
from router.assistants.wanted import leave_client, sync_client
from router.particulars import particulars_of
from router.store.assistants.copies import StoredAssistant, link_assistant, list_assistants, unlink_assistant
from router.store.tenants.clients import find_client, lock_client
from router.telemetry import emit


def assistant_endpoints(voice: Iterable[str]) -> list[Endpoint]:
    path = "/v1/agencies/{agency}/clients/{client}/assistants"
    endpoints = [
        Endpoint("GET", path, "Show where the client's assistant is at each provider", show_all, reply=AssistantList)
    ]
    for provider in voice:
        label, one = particulars_of(provider).label, f"{path}/{provider}"
        endpoints += [
            Endpoint(
                "PUT",
                one,
                f"Link an assistant that exists at {label}",
                partial(link, provider),
                body=NewLink,
                reply=AssistantReply,
                problems=("no-key", "key-rejected", "provider-unreachable"),
                description="It counts as synced: calls go to it from the next one on. With the agency's key it is looked "
                "at first: one that does not exist, or was never published, is refused. What `manage` names is set on it; "
                "everything else of it is left alone. One that we made for the client before is deleted there.",
            ),
            Endpoint(
                "DELETE",
                one,
                f"Unlink the assistant at {label}",
                partial(unlink, provider),
                status=204,
                description="It stays there as it is. A client with an assistant of its own definition gets that one.",
            ),
        ]
    return endpoints


async def show_all(request: ApiRequest[None]) -> Answer:
    pool = request.services.database.settings
    client_id = request.path["client"]
    if await find_client(pool, request.agency_id, client_id) is None:
        raise not_found("client")
    there = {one.provider: one for one in await list_assistants(pool, request.agency_id, client_id)}
    items = [there.get(provider) or _missing(provider) for provider in request.services.voice]
    return Answer.of(200, AssistantList(items=[AssistantReply.model_validate(item) for item in items]))


async def link(provider: str, request: ApiRequest[NewLink]) -> Answer:
    client_id, services, body = request.path["client"], request.services, request.body
    if await find_client(services.database.settings, request.agency_id, client_id) is None:
        raise not_found("client")
    found = await prepare_link(services, request.agency_id, provider, body.remote_id, body.manage)
    async with request.changes() as changes:
        await lock_client(changes.connection, request.agency_id, client_id)
        await leave_client(changes.connection, services, request.agency_id, client_id, provider)
        linked = await link_assistant(
            changes.connection,
            request.agency_id,
            client_id,
            provider,
            body.remote_id,
            body.manage,
            found.lost,
            found.managed,
            services.clock(),
        )
        if linked is None:
            raise not_found("client")
        await changes.record("assistant.linked", f"{client_id}/{provider}")
        answer = changes.answer(200, AssistantReply.model_validate(linked))
    emit("assistant.synced", agency_id=request.agency_id, client_id=client_id, provider=provider, state="linked")
    return answer


async def unlink(provider: str, request: ApiRequest[None]) -> Answer:
    client_id = request.path["client"]
    async with request.changes() as changes:
        client = await lock_client(changes.connection, request.agency_id, client_id)
        if client is None or not await unlink_assistant(changes.connection, client.agency_id, client.id, provider):
            raise not_found("link")
        await sync_client(changes.connection, request.services, client)
        await changes.record("assistant.unlinked", f"{client_id}/{provider}")
        return changes.answer(204)


def _missing(provider: str) -> StoredAssistant:
    return StoredAssistant(provider, remote_id=None, state="missing", error=None, lost=())
