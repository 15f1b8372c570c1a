"""Where an agency wants to hear of call events: /v1/agencies/{agency}/endpoints. What is sent is router.calls'."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints

from adapters.receivers import ForbiddenAddressError, new_signing_secret
from router.api.models import ListOf
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.problems import Problem, invalid, not_found
from router.events.deliveries import DELIVER
from router.fields import Input, Output
from router.jobs import enqueue_many
from router.store.events.endpoints import (
    EVERYTHING,
    WebhookEndpoint,
    delete_endpoint,
    find_endpoint,
    insert_deliveries,
    insert_endpoint,
    list_deliveries,
    list_endpoints,
    list_events_since,
    lock_endpoint,
    revive_deliveries,
)
from router.store.events.feed import find_end
from router.store.sealed import seal_endpoint_secret
from router.store.tenants.agencies import lock_agency
from router.telemetry import CALL_EVENTS

_MOST: Final = 20
_MOST_REPLAYED: Final = 5000


def _known_events(names: list[str]) -> list[str]:
    unknown = [name for name in names if name != EVERYTHING and name not in CALL_EVENTS]
    if unknown:
        raise ValueError(f'must be ["*"], or of {", ".join(sorted(CALL_EVENTS))}')
    return list(dict.fromkeys(names))


class NewEndpoint(Input):
    url: Annotated[str, StringConstraints(max_length=2000), Field(description="https, on the public internet")]
    events: Annotated[
        list[str],
        Field(default_factory=lambda: [EVERYTHING], min_length=1, max_length=100, description='["*"], or names'),
        AfterValidator(_known_events),
    ]


class EndpointReply(Output):
    """`resting_until`: it failed lately and is left alone until then."""

    id: str
    url: str
    events: list[str]
    resting_until: datetime | None
    created_at: datetime


class EndpointCreated(EndpointReply):
    """The only time that the secret is shown. Deliveries are signed with it (Standard Webhooks)."""

    secret: str


class EndpointList(ListOf[EndpointReply]):
    pass


class DeliveryReply(Output):
    """`dead`: given up after a day of attempts; replay tries again."""

    id: str
    event_id: str
    event: str
    state: Literal["waiting", "delivered", "dead"]
    tried: int
    status: int | None
    error: str | None
    created_at: datetime
    tried_at: datetime | None


class DeliveryList(ListOf[DeliveryReply]):
    pass


class Replay(Input):
    since: Annotated[AwareDatetime, Field(strict=False, description="Events from then on are delivered again")]


class Replayed(Output):
    """How many deliveries there will be."""

    deliveries: int


def webhook_endpoint_endpoints() -> list[Endpoint]:
    path = "/v1/agencies/{agency}/endpoints"
    one = f"{path}/{{endpoint}}"
    return [
        Endpoint("GET", path, "List webhook endpoints", show_endpoints, reply=EndpointList, paged=True),
        Endpoint(
            "POST",
            path,
            "Register a webhook endpoint",
            create_endpoint,
            status=201,
            body=NewEndpoint,
            reply=EndpointCreated,
            description="Events from now on are posted there as CloudEvents, signed by Standard Webhooks, at least "
            "once and in no order: the header webhook-id is the event's. Failures are tried again for a day.",
        ),
        Endpoint("DELETE", one, "Remove a webhook endpoint", remove_endpoint, status=204),
        Endpoint(
            "GET", f"{one}/deliveries", "List deliveries, newest first", show_deliveries, reply=DeliveryList, paged=True
        ),
        Endpoint(
            "POST",
            f"{one}/replay",
            "Deliver events again",
            replay,
            body=Replay,
            reply=Replayed,
            description=f"Those that it wants, {_MOST_REPLAYED} at most, whatever became of them before.",
        ),
    ]


async def show_endpoints(request: ApiRequest[None]) -> Answer:
    page = request.page
    rows = await list_endpoints(
        request.services.database.settings, request.agency_id, after=page.after, limit=page.fetch
    )
    shown, cursor = page.cut(rows, lambda row: (row.created_at, row.id))
    return Answer.of(200, EndpointList(items=[EndpointReply.model_validate(row) for row in shown], next_cursor=cursor))


async def create_endpoint(request: ApiRequest[NewEndpoint]) -> Answer:
    body, services = request.body, request.services
    try:
        await services.receivers.check(body.url)
    except ForbiddenAddressError as forbidden:
        raise invalid("url", str(forbidden)) from None
    endpoint_id, secret = services.new_id("endpoint"), new_signing_secret(services.random)
    async with request.changes() as changes:
        await lock_agency(changes.connection, request.agency_id)
        if len(await list_endpoints(changes.connection, request.agency_id)) >= _MOST:
            raise Problem("conflict", f"An agency may have {_MOST} endpoints. Delete one first.")
        endpoint = WebhookEndpoint(
            id=endpoint_id,
            agency_id=request.agency_id,
            url=body.url,
            events=body.events,
            sealed=seal_endpoint_secret(services.keyring, secret, request.agency_id, endpoint_id),
            position=await find_end(changes.connection),
            resting_until=None,
            failures=0,
            created_at=services.clock(),
        )
        await insert_endpoint(changes.connection, endpoint)
        await changes.record("endpoint.created", endpoint_id)
        shown = EndpointReply.model_validate(endpoint)
        return changes.answer(201, EndpointCreated(**shown.model_dump(), secret=secret.reveal()))


async def remove_endpoint(request: ApiRequest[None]) -> Answer:
    async with request.changes() as changes:
        if not await delete_endpoint(changes.connection, request.agency_id, request.path["endpoint"]):
            raise not_found("endpoint")
        await changes.record("endpoint.deleted", request.path["endpoint"])
        return changes.answer(204)


async def show_deliveries(request: ApiRequest[None]) -> Answer:
    pool, page = request.services.database.settings, request.page
    endpoint = await _find(request)
    rows = await list_deliveries(pool, request.agency_id, endpoint.id, after=page.after, limit=page.fetch)
    shown, cursor = page.cut(rows, lambda row: (row.created_at, row.id))
    return Answer.of(200, DeliveryList(items=[DeliveryReply.model_validate(row) for row in shown], next_cursor=cursor))


async def replay(request: ApiRequest[Replay]) -> Answer:
    """Also those that were delivered: whoever asks has lost them."""
    found = await _find(request)
    services, now = request.services, request.services.clock()
    async with request.changes() as changes:
        endpoint = await lock_endpoint(changes.connection, found.id)
        if endpoint is None:
            raise not_found("endpoint")
        events = await list_events_since(changes.connection, endpoint, request.body.since, _MOST_REPLAYED)
        fresh = [(services.new_id("delivery"), event_id) for event_id in events]
        ids = await revive_deliveries(changes.connection, endpoint.id, events, now)
        ids += await insert_deliveries(changes.connection, endpoint.id, fresh, now)
        await enqueue_many(
            changes.connection,
            DELIVER,
            [{"agency_id": request.agency_id, "delivery_id": delivery_id} for delivery_id in ids],
        )
        await changes.record("endpoint.replayed", endpoint.id)
        return changes.answer(200, Replayed(deliveries=len(ids)))


async def _find(request: ApiRequest[Any]) -> WebhookEndpoint:
    endpoint = await find_endpoint(request.services.database.settings, request.agency_id, request.path["endpoint"])
    if endpoint is None:
        raise not_found("endpoint")
    return endpoint
