"""Links from a client to assistants that exist at providers: /v1/agencies/{agency}/clients/{client}/assistants."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from router.api.models import AssistantList, AssistantReply, NewLink
from router.api.operations import Answer, ApiRequest, Endpoint
from router.particulars import particulars_of


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
    items = await request.services.areas.client_assistants.show_all(request.agency_id, request.path["client"])
    return Answer.of(200, AssistantList(items=[AssistantReply.model_validate(item) for item in items]))


async def link(provider: str, request: ApiRequest[NewLink]) -> Answer:
    body, author = request.body, request.author(200, AssistantReply)
    linked = await request.services.areas.client_assistants.link(
        request.agency_id, request.path["client"], provider, body.remote_id, body.manage, author
    )
    return Answer.of(200, AssistantReply.model_validate(linked))


async def unlink(provider: str, request: ApiRequest[None]) -> Answer:
    assistants = request.services.areas.client_assistants
    await assistants.unlink(request.agency_id, request.path["client"], provider, request.author())
    return Answer.of(204)
