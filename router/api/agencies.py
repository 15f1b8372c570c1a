"""Agencies: /v1/agencies."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import fastapi
from fastapi import Request
from pydantic import AfterValidator, Field

from router.api.asking import By, OwnAgency, Pool, Use
from router.api.pages import Listed, ListOf, Page
from router.api.route import OperatorRoute, problems, resource
from router.fields import LEFT_OUT, Change, Email, Input, Name, Output, QueryE164, WholeNumber, distinct
from router.store.tenants import agencies as store
from router.tenants.agencies import Agencies

_PATH: Final = "/v1/agencies"
_ONE: Final = _PATH + "/{agency}"

router = resource("agencies")
operators = resource("agencies", OperatorRoute)

Work = Annotated[Agencies, Use(Agencies)]
AgencyName = Annotated[Name, Field(description="The agency's name", examples=["Acme Voice"])]
AlertEmail = Annotated[
    Email | None,
    Field(description="Who gets an email when a key stops working; null: no emails", examples=["alerts@example.com"]),
]


class NewAgency(Input):
    """An agency to be created."""

    name: AgencyName
    alert_email: AlertEmail = None


class AgencyChange(Change):
    """What is left out stays as it is."""

    name: AgencyName = LEFT_OUT
    alert_email: AlertEmail = None
    active_provider: Annotated[
        str | None, Field(description="The voice provider that takes calls; null: none", examples=["vapi"])
    ] = None
    fallback_providers: Annotated[
        Annotated[list[str], Field(max_length=20), AfterValidator(distinct)] | None,
        Field(
            description="Who takes calls when the active provider cannot, in this order; null: every other with a key",
            examples=[["retell"]],
        ),
    ] = None
    retention_days: Annotated[
        Annotated[int, WholeNumber(1, 3650)] | None,
        Field(description="Messages and what was said on calls are deleted after so many days; null: kept"),
    ] = None


class AgencyReply(Output):
    """An agency."""

    id: Annotated[str, Field(description="The agency's id", examples=["agency_4xq2vyp3bfzk7d5ma6tj"])]
    name: Annotated[str, Field(description="The agency's name", examples=["Acme Voice"])]
    active_provider: Annotated[str | None, Field(description="The voice provider that takes calls", examples=["vapi"])]
    fallback_providers: Annotated[
        list[str] | None, Field(description="Who takes calls when it cannot; null: every other with a key")
    ]
    alert_email: Annotated[str | None, Field(description="Who gets an email when a key stops working")]
    retention_days: Annotated[
        int | None, Field(description="After how many days what was said is deleted; null: never")
    ]
    created_at: Annotated[datetime, Field(description="When it was created")]


class AgencyList(ListOf[AgencyReply]):
    """One page of agencies, oldest first."""


class AgencyQuery(Page):
    """Which agencies, and which page of them."""

    number: Annotated[
        QueryE164 | None,
        Field(description="Only the one that has this number, with the + as %2B", examples=["+14155550123"]),
    ] = None


@router.get(_PATH, summary="List agencies", response_model=AgencyList)
async def list_agencies(
    request: Request, page: Annotated[AgencyQuery, fastapi.Query()], pool: Pool
) -> Listed[store.Agency]:
    only = request.state.actor.agency_id
    rows = await store.list_agencies(pool, only=only, number=page.number, after=page.after, limit=page.fetch)
    return page.show(rows, lambda row: (row.created_at, row.id))


@operators.post(_PATH, summary="Create an agency", status_code=201, response_model=AgencyReply)
async def create_agency(body: NewAgency, author: By, agencies: Work) -> store.Agency:
    return await agencies.create(body.name, body.alert_email, author)


@router.get(_ONE, summary="Show an agency", response_model=AgencyReply)
async def show_agency(agency: OwnAgency, agencies: Work) -> store.Agency:
    return await agencies.find(agency)


@router.patch(_ONE, summary="Change an agency", response_model=AgencyReply, responses=problems("no-key"))
async def change_agency(agency: OwnAgency, body: AgencyChange, author: By, agencies: Work) -> store.Agency:
    return await agencies.change(agency, body.model_dump(exclude_unset=True), author)


@operators.delete(
    _ONE,
    summary="Delete an agency with everything that it has",
    status_code=204,
    responses=problems("provider-unreachable"),
)
async def delete_agency(agency: OwnAgency, author: By, agencies: Work) -> None:
    """The recordings of its messages are deleted at the carrier first, as far as their account can be opened; with very
    many of them it takes several requests. Its numbers are let go, as if each were deleted, and the subaccount that the
    platform made for it is closed. Numbers on its own account stay there. The assistants that we made are deleted at the
    providers, as far as that can be done within some seconds.
    """
    await agencies.delete(agency, author)
