"""Who would take a call now, and why not the others: /v1/agencies/{agency}/explain."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import fastapi
from pydantic import Field

from router.api.asking import OwnAgency, Use
from router.api.route import resource
from router.calls.preview import Previews
from router.fields import Output, Query, QueryE164

router = resource("agencies")


class ExplainQuery(Query):
    """Which call."""

    to: Annotated[
        QueryE164, Field(description="The number that is called, with the + as %2B", examples=["+14155550123"])
    ]
    caller: Annotated[
        QueryE164 | None, Field(alias="from", description="The caller's number, likewise", examples=["+14155550199"])
    ] = None


class RungReply(Output):
    """One rung of the ladder."""

    step: Annotated[Literal["ai", "owner", "voicemail"], Field(description="Who it is")]
    provider: Annotated[str | None, Field(description="The voice provider, if it is an AI")]
    would_take: Annotated[bool, Field(description="Whether it would take the call; one rung does at most")]
    reason: Annotated[
        str,
        Field(
            description='"ready": this rung would take the call; else why it would not, or why the voicemail has to',
            examples=["not_synced"],
        ),
    ]
    notes: Annotated[
        list[str], Field(description='What its assistant there does without, such as "no_events" or "no_transfer"')
    ]


class Explanation(Output):
    """Who would take the call, and why not the others."""

    rungs: Annotated[
        list[RungReply],
        Field(description="In the order in which they would be tried; those that are not on the ladder come last"),
    ]


@router.get(
    "/v1/agencies/{agency}/explain",
    summary="Say who would take a call now, and why not the others",
    response_model=Explanation,
)
async def explain_call(
    agency: OwnAgency, call: Annotated[ExplainQuery, fastapi.Query()], previews: Annotated[Previews, Use(Previews)]
) -> dict[str, Any]:
    """By the rules of a live call, in the process that answers: each has circuits of its own. Calls to a number that
    was bought from a voice provider never pass through us: only that provider can take them.
    """
    return {"rungs": await previews.preview(agency, call.to, call.caller)}
