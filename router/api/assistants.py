"""Assistants at providers: links to those that exist there, how far ours are, and what a switch would do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import fastapi
from fastapi import APIRouter
from pydantic import AfterValidator, Field

from adapters.registry import Declarations
from router.api.asking import By, OwnAgency, Use
from router.api.clients import ClientId
from router.api.keys import SyncReply
from router.api.route import problems, resource
from router.assistants.linking import ClientAssistants
from router.assistants.linking import SyncProgress as Progress
from router.assistants.plan import SwitchPlan, SwitchPlans
from router.errors import InvalidError
from router.fields import Input, Output, Query, RemoteId, distinct
from router.store.assistants.copies import StoredAssistant
from router.tenants.agencies import Agencies

_AGENCY: Final = "/v1/agencies/{agency}"
_LINKS: Final = _AGENCY + "/clients/{client}/assistants"

Work = Annotated[ClientAssistants, Use(ClientAssistants)]


class NewLink(Input):
    """An assistant that exists at the provider, to be used as it is."""

    remote_id: Annotated[RemoteId, Field(description="Its id at the provider")]
    manage: Annotated[
        list[Literal["webhook", "transfer"]],
        AfterValidator(distinct),
        Field(default_factory=list, description="What we set on it"),
    ]


class AssistantReply(Output):
    """A client's assistant at one provider."""

    provider: Annotated[str, Field(description="The provider's name", examples=["vapi"])]
    remote_id: Annotated[str | None, Field(description="Its id there; null: it is not there")]
    state: Annotated[
        Literal["missing", "pending", "synced", "failed", "linked"],
        Field(description="linked: somebody made it at the provider, and we leave it as it is"),
    ]
    error: Annotated[str | None, Field(description="Why it failed")]
    lost: Annotated[
        list[str], Field(description="What of the definition the provider cannot do", examples=[["knowledge"]])
    ]


class AssistantList(Output):
    """A client's assistants."""

    items: Annotated[list[AssistantReply], Field(description="One for each provider")]
    next_cursor: Annotated[str | None, Field(description="Always null: there is one page")] = None


class FailureReply(Output):
    """A client for whom it failed."""

    client_id: Annotated[str, Field(description="The client's id")]
    client_name: Annotated[str, Field(description="The client's name")]
    error: Annotated[str | None, Field(description="Why it failed")]


class SyncProgress(SyncReply):
    """How far the agency's assistants are at a provider, and each client for whom it failed."""

    provider: Annotated[str, Field(description="The provider's name", examples=["vapi"])]
    failures: Annotated[list[FailureReply], Field(description="The first of the clients for whom it failed")]


class PlanItem(Output):
    """What becomes of one client."""

    client_id: Annotated[str, Field(description="The client's id")]
    client_name: Annotated[str, Field(description="The client's name")]
    action: Annotated[
        Literal["create", "update", "adopt", "keep", "none"],
        Field(description="adopt: a copy of ours was found there; keep: it is there as it should be, or linked"),
    ]
    lost: Annotated[list[str], Field(description="What of its assistant the provider cannot do")]
    reason: Annotated[str | None, Field(description="Why nothing is done for it")]


class OrphanReply(Output):
    """An assistant of our making that no call would reach."""

    provider: Annotated[str, Field(description="Where it is")]
    client_id: Annotated[str, Field(description="The client for which it was made")]
    remote_id: Annotated[str | None, Field(description="Its id there")]


class PlanReply(Output):
    """What making a provider the active one would do."""

    provider: Annotated[str, Field(description="Which provider")]
    items: Annotated[list[PlanItem], Field(description="What becomes of each client")]
    orphans: Annotated[list[OrphanReply], Field(description="Assistants that no call would reach")]
    staying_behind: Annotated[list[str], Field(description="Numbers bought from another provider, which stay there")]


class PlanQuery(Query):
    """Which switch."""

    provider: Annotated[str, Field(description="The name of a voice provider", examples=["vapi"])]


def assistant_router(voice: Declarations) -> APIRouter:
    """With addresses for each of these voice providers."""
    router = resource("assistants")

    @router.get(_LINKS, summary="Show where the client's assistant is at each provider", response_model=AssistantList)
    async def list_assistants(
        agency: OwnAgency, client: ClientId, assistants: Work
    ) -> dict[str, Sequence[StoredAssistant]]:
        return {"items": await assistants.show_all(agency, client)}

    for provider in voice:
        _add_links(router, provider.name, provider.label)
        if provider.assistants is not None:
            _add_removal(router, provider.name, provider.label)
    return router


def sync_router(voice: Declarations) -> APIRouter:
    """Likewise."""
    router = resource("agencies")

    @router.get(
        _AGENCY + "/plan", summary="Say what making a provider the active one would do", response_model=PlanReply
    )
    async def show_plan(
        agency: OwnAgency,
        wanted: Annotated[PlanQuery, fastapi.Query()],
        agencies: Annotated[Agencies, Use(Agencies)],
        plans: Annotated[SwitchPlans, Use(SwitchPlans)],
    ) -> SwitchPlan:
        """Changes nothing."""
        names = [provider.name for provider in voice]
        if wanted.provider not in names:
            raise InvalidError("provider", f"must be one of {', '.join(names)}")
        return await plans.make(await agencies.find(agency), wanted.provider)

    for provider in voice:
        if provider.assistants is not None:
            _add_sync(router, provider.name, provider.label)
    return router


def _add_links(router: APIRouter, provider: str, label: str) -> None:
    path = f"{_LINKS}/{provider}"

    @router.put(
        path,
        summary=f"Link an assistant that exists at {label}",
        response_model=AssistantReply,
        responses=problems("no-key", "key-rejected", "provider-unreachable"),
    )
    async def link(agency: OwnAgency, client: ClientId, body: NewLink, author: By, assistants: Work) -> StoredAssistant:
        """It counts as synced: calls go to it from the next one on. With the agency's key it is looked at first: one
        that does not exist, or was never published, is refused. What `manage` names is set on it; everything else of it
        is left alone. One that we made for the client before is deleted there.
        """
        return await assistants.link(agency, client, provider, body.remote_id, body.manage, author)

    @router.delete(path, summary=f"Unlink the assistant at {label}", status_code=204)
    async def unlink(agency: OwnAgency, client: ClientId, author: By, assistants: Work) -> None:
        """It stays there as it is. A client with an assistant of its own definition gets that one."""
        await assistants.unlink(agency, client, provider, author)


def _add_removal(router: APIRouter, provider: str, label: str) -> None:
    @router.delete(
        f"{_AGENCY}/assistants/{provider}",
        summary=f"Delete all assistants that we made at {label}",
        status_code=204,
        responses=problems("no-key"),
    )
    async def delete_assistants(agency: OwnAgency, author: By, assistants: Work) -> None:
        """Not while calls go there first. They are deleted soon after the answer; linked ones stay."""
        await assistants.remove_all(agency, provider, author)


def _add_sync(router: APIRouter, provider: str, label: str) -> None:
    path = f"{_AGENCY}/sync/{provider}"

    @router.get(path, summary=f"Show how far the assistants are at {label}", response_model=SyncProgress)
    async def show_sync(agency: OwnAgency, assistants: Work) -> Progress:
        return await assistants.show_progress(agency, provider)

    @router.post(
        path,
        summary=f"Try again what failed at {label}",
        response_model=SyncProgress,
        responses=problems("no-key"),
    )
    async def sync_again(agency: OwnAgency, author: By, assistants: Work) -> Progress:
        """What is missing or outdated there is put there, too."""
        return await assistants.sync_again(agency, provider, author)
