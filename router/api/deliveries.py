"""Deliveries to an agency's endpoints: …/endpoints/{endpoint}/deliveries, and events sent again."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import fastapi
from fastapi import Path
from pydantic import Field

from router.api.asking import By, OwnAgency, Pool
from router.api.endpoints import ONE, AttemptReply, EndpointId, Work
from router.api.pages import Listed, ListOf, Page
from router.api.route import resource
from router.errors import require
from router.events import endpoints as domain
from router.fields import Input, Output, WrittenTime
from router.store.events import deliveries as store

router = resource("endpoints")

DeliveryId = Annotated[str, Path(description="The id of the delivery")]


class DeliveryReply(Output):
    """One event on its way to one endpoint."""

    id: Annotated[str, Field(description="The delivery's id")]
    event_id: Annotated[str, Field(description="The event's id, sent as webhook-id")]
    event: Annotated[str, Field(description="The event's name", examples=["call.ended"])]
    state: Annotated[
        store.DeliveryState,
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


class DeliveryDetails(DeliveryReply):
    """A delivery with what was sent and answered at its latest attempt."""

    attempt: Annotated[
        AttemptReply | None, Field(description="Its latest attempt; null: none yet, or it is more than seven days old")
    ]


class Deliveries(Page):
    """Which deliveries."""

    state: Annotated[store.DeliveryState | None, Field(description="Only those in this state")] = None


class Replay(Input):
    """The events to deliver again."""

    since: Annotated[
        WrittenTime,
        Field(description="Events since that time", examples=["2026-03-31T12:00:00Z"]),
    ]


class Replayed(Output):
    """The deliveries that were created."""

    deliveries: Annotated[int, Field(description="How many deliveries were created")]


@router.get(ONE + "/deliveries", summary="List deliveries, newest first", response_model=DeliveryList)
async def list_deliveries(
    agency: OwnAgency,
    endpoint: EndpointId,
    page: Annotated[Deliveries, fastapi.Query()],
    pool: Pool,
    endpoints: Work,
) -> Listed[store.Delivery]:
    await endpoints.find(agency, endpoint)
    return await page.read(store.list_deliveries, pool, agency, endpoint, state=page.state)


@router.get(
    ONE + "/deliveries/{delivery}", summary="Show a delivery with its latest attempt", response_model=DeliveryDetails
)
async def show_delivery(agency: OwnAgency, endpoint: EndpointId, delivery: DeliveryId, pool: Pool) -> dict[str, Any]:
    """What was sent and answered is kept for seven days."""
    found = require(await store.find_delivery(pool, agency, endpoint, delivery), "delivery")
    return asdict(found) | {"attempt": await store.find_exchange(pool, delivery)}


@router.post(ONE + "/deliveries/{delivery}/resend", summary="Make one delivery again", response_model=DeliveryReply)
async def resend_delivery(
    agency: OwnAgency, endpoint: EndpointId, delivery: DeliveryId, author: By, endpoints: Work
) -> store.Delivery:
    """Delivers that event again now, also if it was delivered before. 409 while the endpoint is paused."""
    return await endpoints.resend(agency, endpoint, delivery, author)


@router.post(
    ONE + "/replay",
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
