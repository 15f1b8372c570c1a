"""Outgoing webhooks of an agency: /v1/agencies/{agency}/endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import Path
from pydantic import AfterValidator, Field, StringConstraints

from router.api.asking import By, OwnAgency, Pool, Use
from router.api.pages import Listed, ListOf, PageQuery
from router.api.route import resource
from router.api.tokens import ShownOnce
from router.events import endpoints as domain
from router.fields import LEFT_OUT, Change, Input, Name, Output, ShortenedAddress, WrittenTime
from router.store.events import deliveries as store_deliveries
from router.store.events import endpoints as store
from router.telemetry import CALL_EVENTS

_PATH: Final = "/v1/agencies/{agency}/endpoints"
_ONE: Final = _PATH + "/{endpoint}"

router = resource("endpoints")

EndpointId = Annotated[str, Path(description="The id of the endpoint")]
Work = Annotated[domain.Endpoints, Use(domain.Endpoints)]


ContentType = Annotated[
    store.ContentType,
    Field(description="The Content-Type of its deliveries. The body is the same CloudEvent with either."),
]


def _known_events(names: list[str]) -> list[str]:
    unknown = [name for name in names if name != store.EVERYTHING and name not in CALL_EVENTS]
    if unknown:
        raise ValueError(f'must be ["*"], or of {", ".join(sorted(CALL_EVENTS))}')
    return list(dict.fromkeys(names))


Url = Annotated[
    str,
    StringConstraints(max_length=2000),
    Field(description="Where events are posted: https, on the public internet", examples=["https://example.com/calls"]),
]
Events = Annotated[
    list[str],
    Field(
        min_length=1,
        max_length=100,
        description='["*"], or names of events',
        examples=[["call.ended", "voicemail.received"]],
    ),
    AfterValidator(_known_events),
]
Description = Annotated[Name | None, Field(description="What it is for, in the agency's words; null: nothing")]


class NewEndpoint(Input):
    """An endpoint to be registered."""

    url: Url
    events: Annotated[Events, Field(default_factory=lambda: [store.EVERYTHING])]
    content_type: ContentType = "application/json"
    description: Description = None


class EndpointReply(Output):
    """A webhook endpoint."""

    id: Annotated[str, Field(description="The endpoint's id")]
    url: Annotated[
        ShortenedAddress,
        Field(description="Where events are posted; only its scheme and host if the token may only read"),
    ]
    events: Annotated[list[str], Field(description='["*"] for all, or names of events')]
    content_type: ContentType
    description: Description
    resting_until: Annotated[
        datetime | None, Field(description="It failed recently, and is not tried again before then")
    ]
    paused: Annotated[bool, Field(description="Nothing is delivered there until it is resumed")]
    gone_at: Annotated[
        datetime | None, Field(description="It answered 410 Gone then, and was paused; null if not, and once resumed")
    ]
    created_at: Annotated[datetime, Field(description="When it was registered")]


class EndpointCreated(EndpointReply):
    """A new endpoint with its secret, which is shown only once."""

    secret: Annotated[ShownOnce, Field(description="Deliveries are signed with it (Standard Webhooks)")]


class EndpointList(ListOf[EndpointReply]):
    """One page of endpoints, oldest first."""


class EndpointChange(Change):
    """Fields that are left out do not change. The signing secret stays the same."""

    url: Annotated[Url, Field(description="Where events are posted from now on, also those that wait")] = LEFT_OUT
    events: Annotated[Events, Field(description='["*"], or names of events; counts for events from now on')] = LEFT_OUT
    description: Description = None
    paused: Annotated[
        bool,
        Field(
            description="true: deliver nothing there, and give up what waits. false: resume with the events from now on; "
            "replay delivers those in between. An endpoint that answers 410 Gone is paused by us."
        ),
    ] = LEFT_OUT
    content_type: ContentType = LEFT_OUT


class DeliveryReply(Output):
    """One event on its way to one endpoint."""

    id: Annotated[str, Field(description="The delivery's id")]
    event_id: Annotated[str, Field(description="The event's id, sent as webhook-id")]
    event: Annotated[str, Field(description="The event's name", examples=["call.ended"])]
    state: Annotated[
        Literal["waiting", "delivered", "dead"],
        Field(
            description="dead: given up after a day of attempts, or when the endpoint was paused; replay tries again"
        ),
    ]
    tried: Annotated[int, Field(description="How many attempts were made")]
    status: Annotated[int | None, Field(description="The HTTP status of the last answer")]
    error: Annotated[str | None, Field(description="Why the last attempt failed")]
    created_at: Annotated[datetime, Field(description="When it was created")]
    tried_at: Annotated[datetime | None, Field(description="When the last attempt was made")]


class DeliveryList(ListOf[DeliveryReply]):
    """One page of deliveries, newest first."""


class Replay(Input):
    """The events to deliver again."""

    since: Annotated[
        WrittenTime,
        Field(description="Events since that time", examples=["2026-03-31T12:00:00Z"]),
    ]


class Replayed(Output):
    """The deliveries that were created."""

    deliveries: Annotated[int, Field(description="How many deliveries were created")]


@router.get(_PATH, summary="List webhook endpoints", response_model=EndpointList)
async def list_endpoints(agency: OwnAgency, page: PageQuery, pool: Pool) -> Listed[store.WebhookEndpoint]:
    return await page.read(store.list_endpoints, pool, agency)


@router.post(_PATH, summary="Register a webhook endpoint", status_code=201, response_model=EndpointCreated)
async def create_endpoint(agency: OwnAgency, body: NewEndpoint, author: By, endpoints: Work) -> domain.IssuedEndpoint:
    """New events are posted there as CloudEvents, signed by Standard Webhooks, at least once and in no order; the header
    webhook-id is the event's id. Failures are retried for a day.
    """
    return await endpoints.register(agency, body.url, body.events, body.content_type, body.description, author)


@router.patch(_ONE, summary="Change, pause or resume a webhook endpoint", response_model=EndpointReply)
async def change_endpoint(
    agency: OwnAgency, endpoint: EndpointId, body: EndpointChange, author: By, endpoints: Work
) -> store.WebhookEndpoint:
    return await endpoints.change(agency, endpoint, body.model_dump(exclude_unset=True), author)


@router.delete(_ONE, summary="Remove a webhook endpoint", status_code=204)
async def delete_endpoint(agency: OwnAgency, endpoint: EndpointId, author: By, endpoints: Work) -> None:
    await endpoints.remove(agency, endpoint, author)


@router.get(_ONE + "/deliveries", summary="List deliveries, newest first", response_model=DeliveryList)
async def list_deliveries(
    agency: OwnAgency, endpoint: EndpointId, page: PageQuery, pool: Pool, endpoints: Work
) -> Listed[store_deliveries.Delivery]:
    await endpoints.find(agency, endpoint)
    return await page.read(store_deliveries.list_deliveries, pool, agency, endpoint)


@router.post(
    _ONE + "/replay",
    summary="Deliver events again",
    description=f"Delivers the subscribed events again, at most {domain.MOST_REPLAYED}, including those that were delivered: "
    f"{domain.REPLAYED_A_SECOND} a second for all endpoints of an agency, after new events. 409 while the endpoint is paused, or "
    f"{domain.MOST_REPLAYED} replayed deliveries of the agency wait.",
    response_model=Replayed,
)
async def replay_events(
    agency: OwnAgency, endpoint: EndpointId, body: Replay, author: By, endpoints: Work
) -> domain.Replay:
    return await endpoints.replay(agency, endpoint, body.since, author)
