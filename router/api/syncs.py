"""Syncing as people see it: /v1/agencies/{agency}/plan, /sync/{provider} and /assistants/{provider}, and /v1/providers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from adapters.features import all_offers
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.problems import invalid
from router.api.sync_models import OfferList, OfferReply, PlanReply, SyncProgress
from router.particulars import particulars_of


def sync_endpoints(voice: Iterable[str]) -> list[Endpoint]:
    agency = "/v1/agencies/{agency}"
    endpoints = [
        Endpoint("GET", "/v1/providers", "Compare the voice providers", show_offers, reply=OfferList),
        Endpoint(
            "GET",
            f"{agency}/plan",
            "Say what making a provider the active one would do",
            show_plan,
            reply=PlanReply,
            query=("provider",),
            description="Changes nothing.",
        ),
    ]
    for provider in voice:
        label = particulars_of(provider).label
        endpoints += [
            Endpoint(
                "GET",
                f"{agency}/sync/{provider}",
                f"Show how far the assistants are at {label}",
                partial(show_sync, provider),
                reply=SyncProgress,
            ),
            Endpoint(
                "POST",
                f"{agency}/sync/{provider}",
                f"Try again what failed at {label}",
                partial(retry_sync, provider),
                reply=SyncProgress,
                problems=("no-key",),
                description="What is missing or outdated there is put there, too.",
            ),
            Endpoint(
                "DELETE",
                f"{agency}/assistants/{provider}",
                f"Delete all assistants that we made at {label}",
                partial(remove_assistants, provider),
                status=204,
                problems=("no-key",),
                description="Not while calls go there first. They are deleted soon after the answer; linked ones stay.",
            ),
        ]
    return endpoints


async def show_offers(request: ApiRequest[None]) -> Answer:
    offers = [offer for name, offer in all_offers().items() if name in request.services.voice]
    return Answer.of(200, OfferList(items=[OfferReply.model_validate(offer) for offer in offers]))


async def show_plan(request: ApiRequest[None]) -> Answer:
    provider = request.query.get("provider", "")
    if provider not in request.services.voice:
        raise invalid("provider", f"is required, and must be one of {', '.join(request.services.voice)}")
    areas = request.services.areas
    plan = await areas.plans.make(await areas.agencies.find(request.agency_id), provider)
    return Answer.of(200, PlanReply.model_validate(plan))


async def show_sync(provider: str, request: ApiRequest[None]) -> Answer:
    progress = await request.services.areas.client_assistants.show_progress(request.agency_id, provider)
    return Answer.of(200, SyncProgress.model_validate(progress))


async def retry_sync(provider: str, request: ApiRequest[None]) -> Answer:
    author = request.author(200, SyncProgress)
    progress = await request.services.areas.client_assistants.sync_again(request.agency_id, provider, author)
    return Answer.of(200, SyncProgress.model_validate(progress))


async def remove_assistants(provider: str, request: ApiRequest[None]) -> Answer:
    await request.services.areas.client_assistants.remove_all(request.agency_id, provider, request.author())
    return Answer.of(204)
