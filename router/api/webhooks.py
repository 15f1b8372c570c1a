"""The webhooks that router.events.deliveries sends to agencies' endpoints, for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal, get_args

from fastapi import APIRouter, Header
from pydantic import ConfigDict, Field

from router.api.calls import CallReply, EventReply
from router.events.samples import sample
from router.fields import Output
from router.store.events.endpoints import ContentType
from router.telemetry import CALL_EVENTS, EVENTS

router = APIRouter(tags=["endpoints"])

MEDIA_TYPES: Final[tuple[str, ...]] = get_args(ContentType)
_NAMES: Final = sorted(CALL_EVENTS)
EXAMPLES: Final = {name: {"summary": name, "value": sample(name)} for name in _NAMES}
"""By event, for the OpenAPI document."""


class SentEvent(EventReply):
    """One thing that happened to a call."""

    call_id: Annotated[str, Field(description="The id of the call")]


class CallEventData(Output):
    """An event and its call."""

    event: Annotated[SentEvent, Field(description="What happened")]
    call: Annotated[CallReply, Field(description="The call as it was when this was sent")]


class CallEvent(Output):
    """A CloudEvent (version 1.0, structured JSON)."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    specversion: Annotated[Literal["1.0"], Field(description="The version of CloudEvents")]
    id: Annotated[str, Field(description="The event's id; the same in every delivery of it")]
    source: Annotated[str, Field(description="The agency's address in this API")]
    type: Annotated[str, Field(description="The event's name, as in the log", json_schema_extra={"enum": [*_NAMES]})]
    subject: Annotated[str, Field(description="The id of the call")]
    time: Annotated[datetime, Field(description="When it happened")]
    datacontenttype: Annotated[Literal["application/json"], Field(description="What `data` is")]
    test: Annotated[Literal[True] | None, Field(description="Only in test events: it is an example")] = None
    data: Annotated[CallEventData, Field(description="The event and its call")]


@router.post(
    "call-event",
    summary="A call event, sent to an endpoint",
    description="Posted with the endpoint's `content_type`, at least once and in no order. Answer 2xx within ten seconds; "
    "any other answer is retried for a day. Verify the signature by Standard Webhooks with the secret that was shown "
    "when the endpoint was registered, and detect repeats by webhook-id. A test event has `test`: true, and the type "
    "`endpoint.test` unless an example of another one was asked for. /docs/events shows an example of each.\n\n"
    + "\n".join(f"- `{name}`: {EVENTS[name].meaning}" for name in _NAMES),
    operation_id="callEvent",
    status_code=204,
    response_description="Accepted. Any 2xx will do.",
    responses={"default": {"description": "Not accepted: the delivery is retried"}},
    openapi_extra={
        "security": [],
        "requestBody": {
            "required": True,
            "content": {one: {"schema": {"$ref": "#/components/schemas/CallEvent"}} for one in MEDIA_TYPES},
        },
    },
)
def send_call_event(
    webhook_id: Annotated[str, Header(description="The event's id")],
    webhook_timestamp: Annotated[str, Header(description="When it was sent, in seconds since 1970")],
    webhook_signature: Annotated[
        str,
        Header(
            description="v1, a comma, and the HMAC-SHA256 in base64; for a day after its secret was rotated two of these, "
            "with a space between them"
        ),
    ],
) -> None:
    """Only described here, never called."""
