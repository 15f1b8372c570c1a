"""What the voice providers offer: GET /v1/providers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from adapters.provider import Declaration
from adapters.registry import Declarations
from router.api.route import resource
from router.fields import Output


class OfferReply(Output):
    """What a voice provider offers."""

    name: Annotated[str, Field(description="As in addresses and bodies", examples=["vapi"])]
    label: Annotated[str, Field(description="As people know it", examples=["Vapi"])]
    find_key: Annotated[str, Field(description="Where people find their key")]
    costs: Annotated[str, Field(description="What it charges for")]
    good_for: Annotated[str, Field(description="What speaks for it")]
    features: Annotated[
        dict[str, Literal["yes", "partly", "no"]], Field(description="What its assistants can do, by feature")
    ]
    notes: Annotated[dict[str, str], Field(description="By feature: what it does otherwise than expected")]
    sells_in: Annotated[list[str], Field(description="Countries in which it sells numbers itself", examples=[["US"]])]


class OfferList(Output):
    """All voice providers."""

    items: Annotated[list[OfferReply], Field(description="In the order in which they stand in for each other")]


def provider_router(voice: Declarations) -> APIRouter:
    """For these voice providers."""
    router = resource("agencies")

    @router.get("/v1/providers", summary="Compare the voice providers", response_model=OfferList)
    async def list_providers() -> dict[str, Any]:
        return {"items": [_show(provider) for provider in voice]}

    return router


def _show(provider: Declaration[Any]) -> dict[str, Any]:
    return asdict(provider.about) | {
        "name": provider.name,
        "features": dict(provider.offer.features),
        "notes": dict(provider.offer.notes),
        "sells_in": list(provider.shop.sells_in) if provider.shop is not None else [],
    }
