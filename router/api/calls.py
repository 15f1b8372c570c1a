"""An agency's calls, at /v1/agencies/{agency}/calls, and who would take one now, at …/explain.

What they are searched by is in router.api.call_search.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import fastapi
from fastapi import Path
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from router.api.asking import OUTSIDE, By, OwnAgency, Pool, Use
from router.api.call_search import CallQuery, Outcome, write_sheet
from router.api.pages import Listed, ListOf
from router.api.playing import PLAYED, WantedPart, read_range, stream_audio
from router.api.problems import Problem
from router.api.route import CSV, DownloadRoute, SheetRoute, problems, resource, wants_csv
from router.callers import read_caller
from router.calls.preview import Previews
from router.calls.transcripts import list_turns
from router.errors import NotFoundError
from router.fields import Output, Query, QueryCaller, QueryE164, QueryTime
from router.messages.call_recordings import CallRecordings
from router.messages.recordings import Recordings
from router.store.calls import history
from router.store.calls.reports import find_story
from router.store.calls.search import search_calls
from router.store.pool import Database, TooSlowError

_PATH: Final = "/v1/agencies/{agency}/calls"
_SHEET: Final = {"Content-Disposition": 'attachment; filename="calls.csv"'}

router = resource("calls")
lists = resource("calls", SheetRoute)
audio = resource("calls", DownloadRoute)
explain = resource("agencies")

CallId = Annotated[str, Path(description="The id of the call")]
CallerNumber = Annotated[
    str,
    Field(
        validation_alias="from_number",
        serialization_alias="from",
        description="The caller's number, `withheld`, or what else the carrier said, such as a SIP address",
        examples=["+14155550199"],
    ),
]


class CallReply(Output):
    """A call, ended or in progress."""

    id: Annotated[str, Field(description="The call's id")]
    call_sid: Annotated[str, Field(description="Twilio's id of the call")]
    client_id: Annotated[str, Field(description="The client that was called")]
    caller: CallerNumber
    to: Annotated[str, Field(validation_alias="to_number", description="The client's number that was called")]
    provider: Annotated[str | None, Field(description="The voice provider that had the call last", examples=["vapi"])]
    outcome: Annotated[Outcome | None, Field(description="How it ended; null while in progress")]
    started_at: Annotated[datetime, Field(description="When it came in")]
    answered_at: Annotated[datetime | None, Field(description="When an AI, a person or the voicemail answered")]
    ended_at: Annotated[datetime | None, Field(description="When it ended; null while in progress")]
    seconds: Annotated[int | None, Field(description="Its length; null while in progress")]
    cost: Annotated[float | None, Field(description="In US dollars, if the provider reports it")]


class CallList(ListOf[CallReply]):
    """One page of calls, newest first."""


class EventReply(Output):
    """One thing that happened to a call."""

    id: Annotated[str, Field(description="The event's id")]
    at: Annotated[datetime, Field(description="When it happened")]
    event: Annotated[str, Field(description="Its name, as in the log", examples=["handoff.succeeded"])]
    step: Annotated[str | None, Field(description="The step of the call at which it happened")]
    provider: Annotated[str | None, Field(description="The voice provider that it is about")]
    reason: Annotated[str | None, Field(description="Why, in one word", examples=["timeout"])]
    duration_ms: Annotated[int | None, Field(description="How long it took")]


class TurnReply(Output):
    """What one side of a call said at a stretch."""

    speaker: Annotated[Literal["assistant", "caller"], Field(description="Who spoke")]
    at: Annotated[float | None, Field(description="When, in seconds from the start; null if the provider does not say")]
    text: Annotated[str, Field(description="What was said")]


class CallWithEvents(CallReply):
    """A call with its events and the provider's report."""

    provider_call_id: Annotated[str | None, Field(description="The provider's id of the call")]
    end_reason: Annotated[str | None, Field(description="Why it ended, in the provider's words")]
    summary: Annotated[str | None, Field(description="The provider's summary of what was said")]
    transcript: Annotated[str | None, Field(description="The provider's transcript")]
    turns: Annotated[
        list[TurnReply],
        Field(
            description="The transcript, one entry for each time that a side spoke; empty where it cannot be told apart"
        ),
    ]
    recording: Annotated[
        bool, Field(description="Whether the provider may have a recording: only asking for it tells whether it has")
    ]
    ai_seconds: Annotated[float | None, Field(description="How long the provider's assistant had the call")]
    events: Annotated[list[EventReply], Field(description="Oldest first")]


@lists.get(
    _PATH,
    summary="List or search calls, newest first",
    response_model=CallList,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}},
)
async def list_calls(
    agency: OwnAgency,
    query: Annotated[CallQuery, fastapi.Query()],
    request: Request,
    database: Annotated[Database, Use(Database)],
) -> Listed[history.PastCall] | StreamingResponse:
    """With several filters, calls that pass all of them. With `Accept: text/csv`, the answer is a file of all of them,
    whatever `limit` is; texts that a spreadsheet would run as a formula begin with an apostrophe there.
    """
    wanted = await query.read_wanted(database, agency)
    is_sheet = wants_csv(request.scope)
    if wanted.is_all and not is_sheet:
        return await query.read(history.list_calls, database.settings, agency, position=_position)
    try:
        if is_sheet:
            sheet = await write_sheet(database, agency, wanted, query)
            return StreamingResponse(sheet, headers=_SHEET, media_type=CSV)
        return await query.read(search_calls, database, agency, wanted, position=_position)
    except TooSlowError:
        detail = "The search takes too long. Ask for a shorter span, or for a client or number, too."
        raise Problem("unavailable", detail, headers={"Retry-After": "10"}) from None


def _position(call: history.PastCall) -> tuple[datetime, str]:
    return call.started_at, call.id


@router.get(_PATH + "/{call}", summary="Show a call with its events", response_model=CallWithEvents)
async def show_call(
    agency: OwnAgency, call: CallId, pool: Pool, recordings: Annotated[CallRecordings, Use(CallRecordings)]
) -> dict[str, Any]:
    """With the provider's report. Events have the same names as in the log."""
    found = await history.find_call(pool, agency, call)
    if found is None:
        raise NotFoundError("call")
    story = await find_story(pool, agency, call)
    events = await history.list_call_events(pool, agency, call)
    told = {"turns": list_turns(story), "recording": recordings.may_have(found, story), "events": events}
    return asdict(found) | asdict(story) | told


@router.delete(
    _PATH + "/{call}",
    summary="Delete a call with its transcript and messages",
    dependencies=OUTSIDE,
    status_code=204,
    responses=problems("provider-unreachable"),
)
async def delete_call(
    agency: OwnAgency,
    call: CallId,
    author: By,
    recordings: Annotated[Recordings, Use(Recordings)],
    only_here: Annotated[bool, fastapi.Query(description="Leave what the voice provider keeps of it there")] = False,
) -> None:
    """Its messages are deleted at the carrier first, and the call with its recording and transcript at the voice provider
    that had it. 409: it is in progress, or the provider does not delete it (some allow it to certain accounts only);
    the answer says why.
    """
    await recordings.delete_call(agency, call, author, only_here=only_here)


@audio.get(
    _PATH + "/{call}/recording",
    summary="Listen to the recording of an AI call",
    response_class=Response,
    responses=PLAYED,
)
async def play_recording(
    agency: OwnAgency,
    call: CallId,
    recordings: Annotated[CallRecordings, Use(CallRecordings)],
    wanted: WantedPart = "",
) -> StreamingResponse:
    """Streamed from the voice provider, which is asked each time where it is. MP3 or WAV; takes a Range where the provider
    does. 404: there is none, or not yet.
    """
    return stream_audio(await recordings.play(agency, call, read_range(wanted)), call)


class ExplainQuery(Query):
    """The call to explain."""

    to: Annotated[
        QueryE164, Field(description="The number that is called, with the + as %2B", examples=["+14155550123"])
    ]
    caller: Annotated[
        QueryCaller | None,
        Field(alias="from", description="The caller's number, likewise, or `withheld`", examples=["+14155550199"]),
    ] = None
    at: Annotated[
        QueryTime | None,
        Field(
            description="When it comes in, with the offset from UTC; left out: now. Another time decides on opening hours; "
            "circuits, free lines and calls in progress, which are those of now, are then left out",
            examples=["2026-03-02T09:30:00Z"],
        ),
    ] = None


class RungReply(Output):
    """One rung of the ladder."""

    step: Annotated[Literal["ai", "owner", "voicemail"], Field(description="Who it is")]
    provider: Annotated[str | None, Field(description="The voice provider, if it is an AI")]
    would_take: Annotated[bool, Field(description="Whether it would take the call; at most one rung does")]
    reason: Annotated[
        str,
        Field(
            description='"ready": it would take the call; else why it would not, or why the voicemail must',
            examples=["not_synced"],
        ),
    ]
    notes: Annotated[
        list[str],
        Field(
            description='How calls reach it, where there are several ways ("by_redirect", "by_sip", "by_number"; '
            '"awaits_address": its import has not written its address on the number yet), and what its assistant there '
            'lacks, such as "no_events" or "no_transfer"'
        ),
    ]


class Explanation(Output):
    """Who would take the call, and why the others would not."""

    rungs: Annotated[
        list[RungReply],
        Field(description="In the order in which they would be tried; rungs that are not on the ladder come last"),
    ]


@explain.get(
    "/v1/agencies/{agency}/explain",
    summary="Explain who would take a call now, and why the others would not",
    response_model=Explanation,
)
async def explain_call(
    agency: OwnAgency, call: Annotated[ExplainQuery, fastapi.Query()], previews: Annotated[Previews, Use(Previews)]
) -> dict[str, Any]:
    """Uses the rules of a live call and the circuits of the process that answers. Calls to a number that was bought
    from a voice provider do not pass through us: only that provider can take them.
    """
    return {"rungs": await previews.preview(agency, call.to, read_caller(call.caller), call.at)}
