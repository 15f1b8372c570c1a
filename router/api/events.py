"""Call events as they happen: GET /v1/agencies/{agency}/events, server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from starlette.responses import StreamingResponse

from router.api.operations import ApiRequest, Endpoint
from router.api.problems import Problem, invalid
from router.events.feed import CrowdedError, EventFeed
from router.store.events.feed import FeedEvent, Position
from router.store.pool import DATABASE_ERRORS
from router.telemetry import metrics

_MEDIA: Final = "text/event-stream"
_RETRY: Final = "retry: 2000\n\n"
_KEEPALIVE: Final = ":\n\n"
_LIFE_SECONDS: Final = 600.0  # then the client comes again, and its token is looked at again
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def live_endpoints() -> list[Endpoint]:
    return [
        Endpoint(
            "GET",
            "/v1/agencies/{agency}/events",
            "Follow what happens on calls",
            follow_events,
            media=_MEDIA,
            headers=("last-event-id",),
            problems=("rate-limited", "invalid"),
            description="Server-sent events, named as in the log; the data is a call event with its call_id. Send the "
            "last id as Last-Event-ID to go on without a gap, at any replica. A stream ends after ten minutes at the "
            "latest: connect again.",
        )
    ]


async def follow_events(request: ApiRequest[None]) -> StreamingResponse:
    feed = request.services.feed
    try:
        feed.admit(request.agency_id)
    except CrowdedError:
        raise Problem(
            "rate-limited", "Too many streams of this agency at once. Close one.", headers={"Retry-After": "10"}
        ) from None
    after = await _find_start(request, feed)
    return StreamingResponse(_stream(feed, request.agency_id, after), headers=_HEADERS, media_type=_MEDIA)


async def _find_start(request: ApiRequest[None], feed: EventFeed) -> Position:
    given = request.headers.get("last-event-id")
    if given is None:
        return await feed.find_end()
    position = Position.parse(given)
    if position is None:
        raise invalid("Last-Event-ID", "must be the id of an event of this stream; leave it out to begin now")
    return position


async def _stream(feed: EventFeed, agency_id: str, after: Position) -> AsyncIterator[str]:
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
                return  # the client connects again, and goes on from where it was


def _write(event: FeedEvent) -> str:
    data = json.dumps(
        {
            "id": event.id,
            "call_id": event.call_id,
            "client_id": event.client_id,
            "at": event.at.isoformat(),
            "event": event.event,
            "step": event.step,
            "provider": event.provider,
            "reason": event.reason,
            "duration_ms": event.duration_ms,
        },
        separators=(",", ":"),
    )
    return f"id: {event.position}\nevent: {event.event}\ndata: {data}\n\n"
