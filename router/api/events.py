"""Call events as they happen: GET /v1/agencies/{agency}/events, server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Final

from fastapi import Header
from starlette.responses import StreamingResponse

from router.api.asking import OwnAgency, Use
from router.api.route import StreamRoute, resource
from router.errors import InvalidError
from router.events.feed import EventFeed
from router.store.events.feed import FeedEvent, parse_place
from router.store.pool import DATABASE_ERRORS
from router.telemetry import metrics

_MEDIA: Final = "text/event-stream"
_RETRY: Final = "retry: 2000\n\n"
_KEEPALIVE: Final = ":\n\n"
_LIFE_SECONDS: Final = 600.0  # then the client reconnects, and its token is checked again
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

router = resource("events", StreamRoute)


@router.get(
    "/v1/agencies/{agency}/events",
    summary="Follow what happens on calls",
    response_class=StreamingResponse,
    responses={200: {"content": {_MEDIA: {}}}},
)
async def follow_events(
    agency: OwnAgency,
    feed: Annotated[EventFeed, Use(EventFeed)],
    last: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID", description="The id of the last event that arrived; left out, the stream begins now"
        ),
    ] = None,
) -> StreamingResponse:
    """Server-sent events, named as in the log; the data is a call event with its call_id. Send the last id as
    Last-Event-ID to go on without a gap, at any replica. A stream ends after ten minutes at the latest: connect again.
    """
    after = await feed.find_end() if last is None else parse_place(last)
    if after is None:
        raise InvalidError("Last-Event-ID", "must be the id of an event of this stream; leave it out to begin now")
    return StreamingResponse(_stream(feed, agency, after), headers=_HEADERS, media_type=_MEDIA)


async def _stream(feed: EventFeed, agency_id: str, after: int) -> AsyncIterator[str]:
    yield _RETRY
    until = time.monotonic() + _LIFE_SECONDS
    with metrics.event_stream():
        async with aclosing(feed.follow(agency_id, after)) as events:  # type: ignore[type-var]
            try:
                async for event in events:
                    yield _KEEPALIVE if event is None else _write(event)
                    if time.monotonic() > until:
                        return
            except DATABASE_ERRORS:
                return  # the client reconnects and continues from the last event


def _write(event: FeedEvent) -> str:
    fields = asdict(event) | {"at": event.at.isoformat()}
    del fields["place"]
    data = json.dumps(fields, separators=(",", ":"))
    return f"id: {event.place}\nevent: {event.event}\ndata: {data}\n\n"
