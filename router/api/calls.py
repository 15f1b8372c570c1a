"""Calls of an agency, to be read and deleted: /v1/agencies/{agency}/calls."""

from __future__ import annotations

from dataclasses import asdict

from router.api.models import CallList, CallReply, CallWithEvents
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.problems import Problem, not_found
from router.store.calls.history import find_call, list_call_events, list_calls
from router.store.calls.reports import find_story
from router.store.messages.retention import delete_call


def call_endpoints() -> list[Endpoint]:
    path = "/v1/agencies/{agency}/calls"
    return [
        Endpoint("GET", path, "List calls, newest first", show_calls, reply=CallList, paged=True),
        Endpoint(
            "GET",
            f"{path}/{{call}}",
            "Show a call with its events",
            show_call,
            reply=CallWithEvents,
            description="With what the provider told of it. The names of events are those of the log.",
        ),
        Endpoint(
            "DELETE",
            f"{path}/{{call}}",
            "Delete a call with all that was said on it",
            remove_call,
            status=204,
            problems=("conflict", "provider-unreachable"),
            description="Its messages too, at the carrier first. A call that is still on: 409.",
        ),
    ]


async def show_calls(request: ApiRequest[None]) -> Answer:
    page = request.page
    rows = await list_calls(request.services.database.settings, request.agency_id, after=page.after, limit=page.fetch)
    shown, cursor = page.cut(rows, lambda row: (row.started_at, row.id))
    return Answer.of(200, CallList(items=[CallReply.model_validate(row) for row in shown], next_cursor=cursor))


async def show_call(request: ApiRequest[None]) -> Answer:
    pool = request.services.database.settings
    call = await find_call(pool, request.agency_id, request.path["call"])
    if call is None:
        raise not_found("call")
    events = await list_call_events(pool, request.agency_id, call.id)
    story = await find_story(pool, request.agency_id, call.id)
    return Answer.of(200, CallWithEvents.model_validate(asdict(call) | asdict(story) | {"events": events}))


async def remove_call(request: ApiRequest[None]) -> Answer:
    call = await find_call(request.services.database.settings, request.agency_id, request.path["call"])
    if call is None:
        raise not_found("call")
    if call.ended_at is None:
        raise Problem("conflict", "The call is still on.")
    deleted = await request.services.areas.retention.delete_messages_of_call(request.agency_id, call.id)
    if deleted.left:
        raise Problem("provider-unreachable", "Its messages could not be deleted at Twilio. Try again soon.")
    async with request.changes() as changes:
        await delete_call(changes.connection, request.agency_id, call.id, request.services.clock())
        await changes.record("call.deleted", call.id)
        return changes.answer(204)
