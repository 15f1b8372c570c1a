"""How agencies are doing: /v1/agencies/{agency}/health, and all of them at /v1/health."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from router.api.asking import OwnAgency, Use
from router.api.pages import Listed, ListOf, PageQuery
from router.api.route import OperatorRoute, resource
from router.fields import Output, ShortenedAddress
from router.tenants.health import Area, Health, HealthViews, Severity

router = resource("agencies")
operators = resource("agencies", OperatorRoute)

Views = Annotated[HealthViews, Use(HealthViews)]


class FindingReply(Output):
    """One thing that is wrong."""

    area: Annotated[Area, Field(description="What it is about")]
    severity: Annotated[Severity, Field(description="bad: calls or messages suffer; warn: they may, or soon will")]
    target: Annotated[
        str,
        Field(
            description="Which key (its kind), number, client or endpoint (its id); empty: the agency itself",
            examples=["vapi"],
        ),
    ]
    name: Annotated[
        ShortenedAddress,
        Field(
            description="The same as people know it; an endpoint's address, without its path if the token may only read"
        ),
    ]
    problem: Annotated[str, Field(description="What is wrong, in sentences")]
    advice: Annotated[str, Field(description="What to do about it")]
    since: Annotated[datetime | None, Field(description="Since when, as far as that is known")]


class SetupReply(Output):
    """What has been set up."""

    key: Annotated[bool, Field(description="A voice provider's key is saved")]
    client: Annotated[bool, Field(description="There is a client")]
    assistant: Annotated[bool, Field(description="A client has an assistant")]
    number: Annotated[bool, Field(description="There is a number")]
    call: Annotated[bool, Field(description="A call has come in")]
    alerts: Annotated[bool, Field(description="There is an address for alerts that mail is sent to, or an endpoint")]


class HealthReply(Output):
    """How an agency is doing."""

    agency_id: Annotated[str, Field(description="The agency's id")]
    agency_name: Annotated[str, Field(description="Its name")]
    state: Annotated[
        Literal["good", "warn", "bad"], Field(description="That of the worst finding; bad if no key works")
    ]
    answers: Annotated[
        str | None,
        Field(
            description="The voice provider that is asked first: the active one, or another whose key works while that of the "
            "active one is refused or has no credit. null: no AI answers",
            examples=["vapi"],
        ),
    ]
    sends_mail: Annotated[
        bool, Field(description="Whether this service has a mail server; without one, no email is sent")
    ]
    setup: Annotated[SetupReply, Field(description="What has been set up")]
    items: Annotated[list[FindingReply], Field(description="What is wrong, the worst first")]


class HealthList(ListOf[HealthReply]):
    """One page of agencies, the oldest first."""


@router.get("/v1/agencies/{agency}/health", summary="Show how an agency is doing", response_model=HealthReply)
async def show_health(agency: OwnAgency, health: Views) -> Health:
    """Who takes its calls, what is wrong, since when, and what to do about it."""
    return await health.show(agency)


@operators.get("/v1/health", summary="Show how all agencies are doing", response_model=HealthList)
async def list_health(page: PageQuery, health: Views) -> Listed[Health]:
    listed = await page.read(health.list_all, position=lambda row: (row[1], row[0].agency_id))
    return Listed([one for one, _ in listed.items], listed.next_cursor)
