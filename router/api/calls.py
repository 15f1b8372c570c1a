"""Calls of an agency, to be read and deleted: /v1/agencies/{agency}/calls."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import Field

from router.api.asking import By, OwnAgency, Pool, Use
from router.api.pages import Listed, ListOf, PageQuery
from router.api.route import problems, resource
from router.errors import NotFoundError
from router.fields import Output
from router.messages.recordings import Recordings
from router.store.calls import history
from router.store.calls.reports import find_story

_PATH = "/v1/agencies/{agency}/calls"

router = resource("calls")

CallId = Annotated[str, Path(description="The id of the call")]
CallerNumber = Annotated[
    str, Field(validation_alias="from_number", serialization_alias="from", description="The caller's number")
]
Outcome = Literal["ai", "owner", "voicemail", "abandoned", "rejected"]


class CallReply(Output):
    """A call, maybe still on."""

    id: Annotated[str, Field(description="The call's id")]
    call_sid: Annotated[str, Field(description="Twilio's id of it")]
    client_id: Annotated[str, Field(description="The client that was called")]
    caller: CallerNumber
    to: Annotated[str, Field(validation_alias="to_number", description="The client's number that was called")]
    provider: Annotated[str | None, Field(description="The voice provider that had it last", examples=["vapi"])]
    outcome: Annotated[Outcome | None, Field(description="How it ended; null while it is on")]
    started_at: Annotated[datetime, Field(description="When it came in")]
    answered_at: Annotated[datetime | None, Field(description="When an AI, a person or the voicemail answered")]
    ended_at: Annotated[datetime | None, Field(description="When it ended; null while it is on")]
    seconds: Annotated[int | None, Field(description="Its length; null while it is on")]
    cost: Annotated[float | None, Field(description="In US dollars, where the provider tells")]


class CallList(ListOf[CallReply]):
    """One page of calls, newest first."""


class EventReply(Output):
    """One thing that happened to a call."""

    id: Annotated[str, Field(description="The event's id")]
    at: Annotated[datetime, Field(description="When it happened")]
    event: Annotated[str, Field(description="Its name, as in the log", examples=["handoff.succeeded"])]
    step: Annotated[str | None, Field(description="The place in the call's way where it happened")]
    provider: Annotated[str | None, Field(description="The voice provider that it is about")]
    reason: Annotated[str | None, Field(description="Why, in one word", examples=["timeout"])]
    duration_ms: Annotated[int | None, Field(description="How long it took")]


class CallWithEvents(CallReply):
    """A call with its events, and what the provider told of it."""

    provider_call_id: Annotated[str | None, Field(description="The provider's id of it")]
    end_reason: Annotated[str | None, Field(description="Why it ended, in the provider's own word")]
    summary: Annotated[str | None, Field(description="The provider's summary of what was said")]
    transcript: Annotated[str | None, Field(description="What was said, as the provider wrote it down")]
    ai_seconds: Annotated[float | None, Field(description="How long the provider's assistant had the call")]
    events: Annotated[list[EventReply], Field(description="Oldest first")]


@router.get(_PATH, summary="List calls, newest first", response_model=CallList)
async def list_calls(agency: OwnAgency, page: PageQuery, pool: Pool) -> Listed[history.PastCall]:
    rows = await history.list_calls(pool, agency, after=page.after, limit=page.fetch)
    return page.show(rows, lambda row: (row.started_at, row.id))


@router.get(_PATH + "/{call}", summary="Show a call with its events", response_model=CallWithEvents)
async def show_call(agency: OwnAgency, call: CallId, pool: Pool) -> dict[str, Any]:
    """With what the provider told of it. The names of events are those of the log."""
    found = await history.find_call(pool, agency, call)
    if found is None:
        raise NotFoundError("call")
    story = await find_story(pool, agency, call)
    events = await history.list_call_events(pool, agency, call)
    return asdict(found) | asdict(story) | {"events": events}


@router.delete(
    _PATH + "/{call}",
    summary="Delete a call with all that was said on it",
    status_code=204,
    responses=problems("provider-unreachable"),
)
async def delete_call(
    agency: OwnAgency, call: CallId, author: By, recordings: Annotated[Recordings, Use(Recordings)]
) -> None:
    """Its messages too, at the carrier first. A call that is still on: 409."""
    await recordings.delete_call(agency, call, author)
