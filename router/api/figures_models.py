"""The body of an agency's figures."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from router.fields import Output

_Share = Annotated[float, Field(ge=0, le=1)]


class AnsweredBy(Output):
    """How many calls ended with whom. The voicemail answered if a message was left; nobody: the caller gave up."""

    ai: int
    owner: int
    voicemail: int
    nobody: int


class Shares(Output):
    """The same as parts of all calls; all of them 0 without calls."""

    ai: _Share
    owner: _Share
    voicemail: _Share
    nobody: _Share


class TimeToAnswer(Output):
    """Seconds from a call's first webhook until somebody or something took it; null if nobody took any."""

    p50: float | None
    p99: float | None


class CostOfClient(Output):
    """One client's calls; the name is null once the client is gone."""

    client_id: str
    client_name: str | None
    calls: int
    seconds: int
    cost: float


class CostFigures(Output):
    """US dollars, as far as the providers tell what a call cost. The dearest client comes first."""

    total: float
    by_provider: dict[str, float]
    by_client: list[CostOfClient]


class LengthFigures(Output):
    """Seconds of calls, also those before somebody took them."""

    total: int
    by_provider: Annotated[dict[str, int], Field(description="For how long its assistants had the caller")]


class FiguresReply(Output):
    """What the calls of a span come to: from `from` up to, not including, `to`."""

    since: Annotated[datetime, Field(serialization_alias="from")]
    until: Annotated[datetime, Field(serialization_alias="to")]
    calls: int
    answered_by: AnsweredBy
    shares: Shares
    time_to_answer: TimeToAnswer
    outage_absorbed_minutes: Annotated[
        int,
        Field(
            description="Minutes of the clock in which a call began that a provider failed to take by its own fault "
            "(timeout, unreachable, provider_error, malformed_reply, or not asked because of an open circuit) and that "
            "somebody or something else took"
        ),
    ]
    cost: CostFigures
    seconds: LengthFigures
