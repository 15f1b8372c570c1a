"""Assistants at providers: links to existing ones, the progress of a sync, and the plan of a switch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import fastapi
from fastapi import APIRouter
from pydantic import AfterValidator, Field

from adapters.portable import Voice
from adapters.registry import Declarations
from router.api.asking import OUTSIDE, By, OwnAgency, Use
from router.api.clients import ClientId
from router.api.keys import SyncReply
from router.api.route import problems, resource
from router.assistants.linking import ClientAssistants
from router.assistants.linking import SyncProgress as Progress
from router.assistants.plan import SwitchPlan, SwitchPlans
from router.assistants.voices import ProviderVoices
from router.errors import InvalidError
from router.fields import Input, Output, Query, RemoteId, distinct
from router.store.assistants.copies import StoredAssistant
from router.tenants.agencies import Agencies

_AGENCY: Final = "/v1/agencies/{agency}"
_LINKS: Final = _AGENCY + "/clients/{client}/assistants"

Work = Annotated[ClientAssistants, Use(ClientAssistants)]


class NewLink(Input):
    """A link to an assistant that exists at the provider."""

    remote_id: Annotated[RemoteId, Field(description="Its id at the provider")]
    manage: Annotated[
        list[Literal["webhook", "transfer"]],
        AfterValidator(distinct),
        Field(default_factory=list, description="The settings of it that we may change"),
    ]


class AssistantReply(Output):
    """A client's assistant at one provider."""

    provider: Annotated[str, Field(description="The provider's name", examples=["vapi"])]
    remote_id: Annotated[str | None, Field(description="Its id at the provider; null: it does not exist there")]
    state: Annotated[
        Literal["missing", "pending", "synced", "failed", "linked", "gone"],
        Field(
            description="linked: it was created at the provider, and we leave it as it is; gone: a linked one that does"
            " not exist there any more"
        ),
    ]
    error: Annotated[str | None, Field(description="What is wrong, and what to do; null: nothing that we know of")]
    lost: Annotated[
        list[str],
        Field(
            description="The features of the definition that the provider does not support", examples=[["knowledge"]]
        ),
    ]


class AssistantList(Output):
    """A client's assistants."""

    items: Annotated[list[AssistantReply], Field(description="One for each provider")]
    next_cursor: Annotated[str | None, Field(description="Always null: there is one page")] = None


class FailureReply(Output):
    """A client whose sync failed."""

    client_id: Annotated[str, Field(description="The client's id")]
    client_name: Annotated[str, Field(description="The client's name")]
    error: Annotated[str | None, Field(description="Why it failed")]


class SyncProgress(SyncReply):
    """The progress of a sync to a provider, and the clients for which it failed."""

    provider: Annotated[str, Field(description="The provider's name", examples=["vapi"])]
    failures: Annotated[list[FailureReply], Field(description="The first clients whose sync failed")]


class VoiceReply(Output):
    """A voice that a provider offers."""

    name: Annotated[str, Field(description="Its name")]
    about: Annotated[str, Field(description="What it is like, in the provider's words")]
    preview: Annotated[str | None, Field(description="Where a sample can be heard; null: the provider offers none")]
    settings: Annotated[dict[str, Any], Field(description="What chooses it, in `assistant.voice` at this provider")]


class VoiceList(Output):
    """The voices of one provider."""

    items: Annotated[list[VoiceReply], Field(description="In the provider's order; the first 500")]
    next_cursor: Annotated[str | None, Field(description="Always null: there is one page")] = None


class PlanItem(Output):
    """What happens to one client."""

    client_id: Annotated[str, Field(description="The client's id")]
    client_name: Annotated[str, Field(description="The client's name")]
    action: Annotated[
        Literal["create", "update", "adopt", "keep", "none"],
        Field(description="adopt: an earlier copy of ours is reused; keep: up to date, or linked"),
    ]
    lost: Annotated[list[str], Field(description="The features of its assistant that the provider does not support")]
    reason: Annotated[str | None, Field(description="Why nothing is done for it")]


class OrphanReply(Output):
    """An assistant that we created and that no call would reach."""

    provider: Annotated[str, Field(description="Where it is")]
    client_id: Annotated[str, Field(description="The client for which it was created")]
    remote_id: Annotated[str | None, Field(description="Its id there")]


class PlanReply(Output):
    """What making a provider the active one would do."""

    provider: Annotated[str, Field(description="Which provider")]
    items: Annotated[list[PlanItem], Field(description="What happens to each client")]
    orphans: Annotated[list[OrphanReply], Field(description="Assistants that no call would reach")]
    staying_behind: Annotated[list[str], Field(description="Numbers bought from another provider, which stay there")]


class PlanQuery(Query):
    """The provider to switch to."""

    provider: Annotated[str, Field(description="The name of a voice provider", examples=["vapi"])]
    quick: Annotated[
        bool, Field(description="Do not look at the provider for earlier copies: they are shown as create, not adopt")
    ] = False


def assistant_router(voice: Declarations) -> APIRouter:
    """With addresses for each of these voice providers."""
    router = resource("assistants")

    @router.get(
        _LINKS, summary="Show the state of the client's assistant at each provider", response_model=AssistantList
    )
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
    """With addresses for each of these voice providers."""
    router = resource("agencies")

    @router.get(
        _AGENCY + "/plan", summary="Show what making a provider the active one would do", response_model=PlanReply
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
        return await plans.make(await agencies.find(agency), wanted.provider, quick=wanted.quick)

    for provider in voice:
        if provider.assistants is not None:
            _add_sync(router, provider.name, provider.label)
        if provider.list_voices is not None:
            _add_voices(router, provider.name, provider.label)
    return router


def _add_voices(router: APIRouter, provider: str, label: str) -> None:
    @router.get(
        f"{_AGENCY}/voices/{provider}",
        summary=f"List the voices that {label} offers",
        response_model=VoiceList,
        responses=problems("no-key", "key-rejected", "provider-unreachable"),
    )
    async def list_voices(
        agency: OwnAgency, voices: Annotated[ProviderVoices, Use(ProviderVoices)]
    ) -> dict[str, Sequence[Voice]]:
        """Asked of the provider with the agency's key."""
        return {"items": await voices.list_all(agency, provider)}


def _add_links(router: APIRouter, provider: str, label: str) -> None:
    path = f"{_LINKS}/{provider}"

    @router.put(
        path,
        summary=f"Link an assistant that exists at {label}",
        dependencies=OUTSIDE,
        response_model=AssistantReply,
        responses=problems("no-key", "key-rejected", "provider-unreachable"),
    )
    async def link(agency: OwnAgency, client: ClientId, body: NewLink, author: By, assistants: Work) -> StoredAssistant:
        """It counts as synced and answers from the next call on. It is first looked up with the agency's key: one that
        does not exist, or was never published, is refused. Only what `manage` names is changed on it. An assistant that
        we created for the client before is deleted there.
        """
        return await assistants.link(agency, client, provider, body.remote_id, body.manage, author)

    @router.delete(path, summary=f"Unlink the assistant at {label}", status_code=204)
    async def unlink(agency: OwnAgency, client: ClientId, author: By, assistants: Work) -> None:
        """It stays at the provider. If the client has a definition, an assistant is created from it."""
        await assistants.unlink(agency, client, provider, author)


def _add_removal(router: APIRouter, provider: str, label: str) -> None:
    @router.delete(
        f"{_AGENCY}/assistants/{provider}",
        summary=f"Delete all assistants that we created at {label}",
        status_code=204,
        responses=problems("no-key"),
    )
    async def delete_assistants(agency: OwnAgency, author: By, assistants: Work) -> None:
        """Not while the provider is active. They are deleted soon after the answer; linked ones stay."""
        await assistants.remove_all(agency, provider, author)


def _add_sync(router: APIRouter, provider: str, label: str) -> None:
    path = f"{_AGENCY}/sync/{provider}"

    @router.get(path, summary=f"Show the progress of the sync to {label}", response_model=SyncProgress)
    async def show_sync(agency: OwnAgency, assistants: Work) -> Progress:
        return await assistants.show_progress(agency, provider)

    @router.post(
        path,
        summary=f"Retry failed assistants at {label}",
        response_model=SyncProgress,
        responses=problems("no-key"),
    )
    async def sync_again(agency: OwnAgency, author: By, assistants: Work) -> Progress:
        """Missing and outdated assistants are synced, too."""
        return await assistants.sync_again(agency, provider, author)
