"""Agencies, at /v1/agencies, and the voice providers that they can choose from, at /v1/providers."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import fastapi
from fastapi import APIRouter, Request
from pydantic import AfterValidator, Field

from adapters.provider import Declaration
from adapters.registry import Declarations
from router.api.asking import OUTSIDE, By, OwnAgency, Pool, Use
from router.api.pages import Listed, ListOf, Page
from router.api.route import OperatorRoute, problems, resource
from router.fields import LEFT_OUT, Change, Email, Input, Name, Output, QueryE164, WholeNumber, distinct
from router.store.tenants import agencies as store
from router.tenants.agencies import Agencies

LINK_AGAIN: Final = (
    "An address gets one link in a day, and an agency sends a limited number of emails in an hour: 429 with Retry-After. "
    "409 if there is no address, or it has confirmed."
)
_PATH: Final = "/v1/agencies"
_ONE: Final = _PATH + "/{agency}"

router = resource("agencies")
operators = resource("agencies", OperatorRoute)

Work = Annotated[Agencies, Use(Agencies)]
AgencyName = Annotated[Name, Field(description="The agency's name", examples=["Acme Voice"])]
AlertEmail = Annotated[
    Email | None,
    Field(
        description="The address that gets alerts, once it has confirmed; null: no emails",
        examples=["alerts@example.com"],
    ),
]
NumbersFrom = Annotated[
    store.NumbersFrom,
    Field(
        description="Who sells a new number if the request names no carrier. provider: the active provider, where it sells "
        "such numbers, else Twilio; carrier: always Twilio"
    ),
]


class NewAgency(Input):
    """An agency to be created."""

    name: AgencyName
    alert_email: AlertEmail = None
    numbers_from: NumbersFrom = "provider"


class AgencyChange(Change):
    """Fields that are left out do not change."""

    name: AgencyName = LEFT_OUT
    alert_email: AlertEmail = None
    active_provider: Annotated[
        str | None, Field(description="The voice provider that takes calls; null: none", examples=["vapi"])
    ] = None
    fallback_providers: Annotated[
        Annotated[list[str], Field(max_length=20), AfterValidator(distinct)] | None,
        Field(
            description="The providers that stand in for the active one, in this order; null: every other with a key",
            examples=[["retell"]],
        ),
    ] = None
    numbers_from: NumbersFrom = LEFT_OUT
    retention_days: Annotated[
        Annotated[int, WholeNumber(1, 3650)] | None,
        Field(description="Days after which messages and transcripts are deleted; null: never"),
    ] = None


class AgencyReply(Output):
    """An agency."""

    id: Annotated[str, Field(description="The agency's id", examples=["agency_4xq2vyp3bfzk7d5ma6tj"])]
    name: Annotated[str, Field(description="The agency's name", examples=["Acme Voice"])]
    active_provider: Annotated[str | None, Field(description="The voice provider that takes calls", examples=["vapi"])]
    fallback_providers: Annotated[
        list[str] | None, Field(description="The providers that stand in for it; null: every other with a key")
    ]
    numbers_from: NumbersFrom
    alert_email: Annotated[str | None, Field(description="The address that gets alerts")]
    alert_email_confirmed: Annotated[
        bool | None,
        Field(
            description="Whether that address has confirmed; until then emails wait, for up to 7 days. null: no address"
        ),
    ]
    problems: Annotated[list[str], Field(description="What needs attention: emails that are not delivered, and why")]
    retention_days: Annotated[
        int | None, Field(description="Days after which messages and transcripts are deleted; null: never")
    ]
    created_at: Annotated[datetime, Field(description="When it was created")]


class AgencyList(ListOf[AgencyReply]):
    """One page of agencies, oldest first."""


class AgencyQuery(Page):
    """A page of agencies."""

    number: Annotated[
        QueryE164 | None,
        Field(description="Only the one that has this number, with the + as %2B", examples=["+14155550123"]),
    ] = None


@router.get(_PATH, summary="List agencies", response_model=AgencyList)
async def list_agencies(
    request: Request, page: Annotated[AgencyQuery, fastapi.Query()], pool: Pool
) -> Listed[store.Agency]:
    only = request.state.actor.agency_id
    return await page.read(store.list_agencies, pool, only=only, number=page.number)


@operators.post(_PATH, summary="Create an agency", status_code=201, response_model=AgencyReply)
async def create_agency(body: NewAgency, author: By, agencies: Work) -> store.Agency:
    return await agencies.create(body.name, body.alert_email, body.numbers_from, author)


@router.get(_ONE, summary="Show an agency", response_model=AgencyReply)
async def show_agency(agency: OwnAgency, agencies: Work) -> store.Agency:
    return await agencies.find(agency)


@router.patch(_ONE, summary="Change an agency", response_model=AgencyReply, responses=problems("no-key"))
async def change_agency(agency: OwnAgency, body: AgencyChange, author: By, agencies: Work) -> store.Agency:
    return await agencies.change(agency, body.model_dump(exclude_unset=True), author)


class AgencyConfirmation(Input):
    """Which address is to confirm."""

    field: Annotated[Literal["alert_email"], Field(description="The field with the address")]


class ConfirmationReply(Output):
    """Where a link was sent."""

    field: Annotated[str, Field(description="The field with the address", examples=["alert_email"])]
    address: Annotated[str, Field(description="The address", examples=["alerts@example.com"])]


@router.post(
    _ONE + "/confirmations",
    summary="Send the link again by which alert_email confirms",
    description=LINK_AGAIN,
    response_model=ConfirmationReply,
)
async def send_agency_link(
    agency: OwnAgency, body: AgencyConfirmation, author: By, agencies: Work
) -> ConfirmationReply:
    return ConfirmationReply(field=body.field, address=await agencies.send_link(agency, author))


@operators.delete(
    _ONE,
    summary="Delete an agency with everything it has",
    dependencies=OUTSIDE,
    status_code=204,
    responses=problems("provider-unreachable"),
)
async def delete_agency(agency: OwnAgency, author: By, agencies: Work) -> None:
    """Its recordings are deleted at the carrier first, if their account can be opened; a large number of them takes
    several requests. Its numbers are released as if each were deleted, and the subaccount that the platform created for
    it is closed. Numbers on its own account stay there. The assistants that we created are deleted at the providers, as
    far as a few seconds allow.
    """
    await agencies.delete(agency, author)


class OfferReply(Output):
    """What a voice provider offers."""

    name: Annotated[str, Field(description="As in addresses and bodies", examples=["vapi"])]
    label: Annotated[str, Field(description="The name shown to people", examples=["Vapi"])]
    find_key: Annotated[str, Field(description="Where people find their key")]
    costs: Annotated[str, Field(description="What it charges for")]
    good_for: Annotated[str, Field(description="Its strengths")]
    top_up: Annotated[str, Field(description="The page on which its customers add credit; empty: not known")]
    key_page: Annotated[str, Field(description="The page with its customers' keys; empty: not known")]
    features: Annotated[
        dict[str, Literal["yes", "partly", "no"]], Field(description="What its assistants can do, by feature")
    ]
    notes: Annotated[dict[str, str], Field(description="By feature: how it differs from what you may expect")]
    sells_in: Annotated[list[str], Field(description="Countries in which it sells numbers itself", examples=[["US"]])]


class OfferList(Output):
    """All voice providers."""

    items: Annotated[list[OfferReply], Field(description="In the order in which they stand in for one another")]


def provider_router(voice: Declarations) -> APIRouter:
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
