"""Outgoing webhooks of an agency: /v1/agencies/{agency}/endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import Path
from pydantic import AfterValidator, Field, StringConstraints

from router.api.asking import By, OwnAgency, Pool, Use
from router.api.pages import Listed, ListOf, PageQuery
from router.api.route import resource
from router.api.tokens import ShownOnce
from router.events import endpoints as domain
from router.events.sending import Attempt
from router.fields import LEFT_OUT, Change, Input, Name, Output, ShortenedAddress
from router.store.events import endpoints as store
from router.telemetry import CALL_EVENTS

_PATH: Final = "/v1/agencies/{agency}/endpoints"
ONE: Final = _PATH + "/{endpoint}"

router = resource("endpoints")

EndpointId = Annotated[str, Path(description="The id of the endpoint")]
Work = Annotated[domain.Endpoints, Use(domain.Endpoints)]


ContentType = Annotated[
    store.ContentType,
    Field(description="The Content-Type of its deliveries. The body is the same CloudEvent with either."),
]


def _known_event(name: str) -> str:
    if name not in CALL_EVENTS:
        raise ValueError(f"must be one of {', '.join(sorted(CALL_EVENTS))}")
    return name


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
EventName = Annotated[
    str,
    AfterValidator(_known_event),
    Field(json_schema_extra={"enum": sorted(CALL_EVENTS)}, examples=["call.ended"]),
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
    former_until: Annotated[
        datetime | None,
        Field(
            description="Deliveries are also signed with the secret before the present one until then; null: they are not"
        ),
    ]
    created_at: Annotated[datetime, Field(description="When it was registered")]


class EndpointCreated(EndpointReply):
    """An endpoint with its new secret, which is shown only once."""

    secret: Annotated[ShownOnce, Field(description="Deliveries are signed with it (Standard Webhooks)")]


class EndpointList(ListOf[EndpointReply]):
    """One page of endpoints, oldest first."""


class EndpointChange(Change):
    """Fields that are left out do not change. The signing secret stays the same: rotate-secret makes a new one."""

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


class AttemptReply(Output):
    """What was sent, and what was answered."""

    at: Annotated[datetime, Field(description="When it was sent")]
    duration_ms: Annotated[int, Field(description="Milliseconds until the answer, or until it was given up")]
    request: Annotated[str, Field(description="The body that was sent")]
    response: Annotated[
        str | None, Field(description="The first 2,000 characters of the answer's body; null: there was no answer")
    ]


class TestEvent(Input):
    """The example to send."""

    event: Annotated[
        EventName | None,
        Field(description="The event to send an example of; null: `endpoint.test`, which no call causes"),
    ] = None


class TestReply(AttemptReply):
    """What became of the test event."""

    error: Annotated[str | None, Field(description="Why it was not accepted; null: it was")]
    status: Annotated[int | None, Field(description="The HTTP status of the answer; null: there was none")]


class SecretRotation(Input):
    """How the secret is replaced."""

    compromised: Annotated[
        bool,
        Field(description="Sign with the new secret only, from now on. Otherwise the old one also signs for a day"),
    ] = False


@router.get(_PATH, summary="List webhook endpoints", response_model=EndpointList)
async def list_endpoints(agency: OwnAgency, page: PageQuery, pool: Pool) -> Listed[store.WebhookEndpoint]:
    return await page.read(store.list_endpoints, pool, agency)


@router.post(_PATH, summary="Register a webhook endpoint", status_code=201, response_model=EndpointCreated)
async def create_endpoint(agency: OwnAgency, body: NewEndpoint, author: By, endpoints: Work) -> domain.IssuedEndpoint:
    """New events are posted there as CloudEvents, signed by Standard Webhooks, at least once and in no order; the header
    webhook-id is the event's id. Failures are retried for a day.
    """
    return await endpoints.register(agency, body.url, body.events, body.content_type, body.description, author)


@router.patch(ONE, summary="Change, pause or resume a webhook endpoint", response_model=EndpointReply)
async def change_endpoint(
    agency: OwnAgency, endpoint: EndpointId, body: EndpointChange, author: By, endpoints: Work
) -> store.WebhookEndpoint:
    return await endpoints.change(agency, endpoint, body.model_dump(exclude_unset=True), author)


@router.delete(ONE, summary="Remove a webhook endpoint", status_code=204)
async def delete_endpoint(agency: OwnAgency, endpoint: EndpointId, author: By, endpoints: Work) -> None:
    await endpoints.remove(agency, endpoint, author)


_NO_CALL: Final = TestEvent()  # what a request without a body says
_NOT_COMPROMISED: Final = SecretRotation()


@router.post(ONE + "/test", summary="Send a test event", response_model=TestReply)
async def send_test_event(
    agency: OwnAgency, endpoint: EndpointId, author: By, endpoints: Work, body: TestEvent = _NO_CALL
) -> Attempt:
    """Posts an example to the endpoint at once, signed like every event and with the extension attribute `test`: true. The
    answer tells what the receiver said, within ten seconds. It is not retried or listed. An agency may send 60 in an hour.
    """
    return await endpoints.test(agency, endpoint, body.event, author)


@router.post(ONE + "/rotate-secret", summary="Make a new signing secret", response_model=EndpointCreated)
async def rotate_secret(
    agency: OwnAgency, endpoint: EndpointId, author: By, endpoints: Work, body: SecretRotation = _NOT_COMPROMISED
) -> domain.IssuedEndpoint:
    """For a day, deliveries carry two signatures, one by each secret, as Standard Webhooks allow: receivers that know
    either accept them.
    """
    return await endpoints.rotate_secret(agency, endpoint, author, compromised=body.compromised)
