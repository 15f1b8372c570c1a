"""An agency's figures: GET /v1/agencies/{agency}/figures, and …/figures/days."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Annotated, Final

import fastapi
from pydantic import Field

from router.api.asking import OwnAgency, Use
from router.api.moments import Between, require_order
from router.api.problems import Problem
from router.api.route import FiguresRoute, resource
from router.clock import Clock
from router.errors import InvalidError
from router.fields import Output
from router.store.calls.days import Day, read_days
from router.store.calls.figures import Figures, read_figures
from router.store.pool import Database, TooSlowError

_DEFAULT_DAYS: Final = 30
_MOST_DAYS: Final = 366

router = resource("figures", FiguresRoute)

_Share = Annotated[float, Field(ge=0, le=1)]


class AnsweredBy(Output):
    """How many calls each answered."""

    ai: Annotated[int, Field(description="An AI had the call")]
    owner: Annotated[int, Field(description="The owner took it")]
    voicemail: Annotated[int, Field(description="The caller left a message")]
    nobody: Annotated[int, Field(description="The caller gave up")]


class Shares(Output):
    """The same as shares of all calls; all are 0 if there were none."""

    ai: Annotated[_Share, Field(description="Of an AI")]
    owner: Annotated[_Share, Field(description="Of the owner")]
    voicemail: Annotated[_Share, Field(description="Of the voicemail")]
    nobody: Annotated[_Share, Field(description="Of callers who gave up")]


class TimeToAnswer(Output):
    """Seconds from a call's first webhook until an AI, a person or the voicemail took it; null if none was taken."""

    p50: Annotated[float | None, Field(description="The median")]
    p99: Annotated[float | None, Field(description="The 99th percentile")]


class CostOfClient(Output):
    """One client's calls."""

    client_id: Annotated[str, Field(description="The client's id")]
    client_name: Annotated[str | None, Field(description="null if the client is deleted")]
    calls: Annotated[int, Field(description="How many")]
    seconds: Annotated[int, Field(description="Their total length")]
    cost: Annotated[float, Field(description="What they cost, in US dollars")]


class CostFigures(Output):
    """US dollars, as reported by the providers."""

    total: Annotated[float, Field(description="Of all calls")]
    by_provider: Annotated[dict[str, float], Field(description="By the name of the provider")]
    by_client: Annotated[list[CostOfClient], Field(description="The most expensive client comes first")]


class LengthFigures(Output):
    """Seconds of calls."""

    total: Annotated[int, Field(description="Of all calls, from when they came in")]
    by_provider: Annotated[dict[str, int], Field(description="How long its assistants talked to callers")]


class FiguresReply(Output):
    """The figures of a span: from `from` up to, not including, `to`."""

    since: Annotated[datetime, Field(serialization_alias="from", description="The first moment of the span")]
    until: Annotated[datetime, Field(serialization_alias="to", description="The moment after its last one")]
    calls: Annotated[int, Field(description="How many there were")]
    answered_by: Annotated[AnsweredBy, Field(description="How many calls each answered")]
    shares: Annotated[Shares, Field(description="The same as shares of all calls")]
    time_to_answer: Annotated[TimeToAnswer, Field(description="How long callers waited")]
    outage_absorbed_minutes: Annotated[
        int,
        Field(
            description="Minutes in which a call began that a provider failed to take through its own fault (timeout, "
            "unreachable, provider_error, malformed_reply, or an open circuit) and that another rung took"
        ),
    ]
    cost: Annotated[CostFigures, Field(description="What the calls cost")]
    seconds: Annotated[LengthFigures, Field(description="How long they were")]


class DayReply(Output):
    """One day's calls."""

    day: Annotated[date, Field(description="The day, in UTC")]
    calls: Annotated[int, Field(description="How many calls there were")]
    answered_by: Annotated[AnsweredBy, Field(description="How many calls each answered")]
    time_to_answer: Annotated[TimeToAnswer, Field(description="How long callers waited")]
    cost: Annotated[float, Field(description="What the calls cost, in US dollars, as reported by the providers")]
    failures: Annotated[
        dict[str, int],
        Field(
            description="By provider: how often it did not take a call that it was asked to take. Providers without a "
            "failure are left out",
            examples=[{"vapi": 2}],
        ),
    ]


class DaysReply(Output):
    """The figures of a span by day: from `from` up to, not including, `to`."""

    since: Annotated[datetime, Field(serialization_alias="from", description="The first moment of the span")]
    until: Annotated[datetime, Field(serialization_alias="to", description="The moment after its last one")]
    days: Annotated[list[DayReply], Field(description="Every day of the span, oldest first, also those without calls")]


class Span(Between):
    """The span of the figures."""

    def read(self, now: datetime) -> tuple[datetime, datetime]:
        """Up to now, if no end is given. Raises InvalidError."""
        begins, ends = self.read_ends()
        until = ends or now
        since = begins or until - timedelta(days=_DEFAULT_DAYS)
        require_order(since, until)
        if until - since > timedelta(days=_MOST_DAYS):
            raise InvalidError("from", f"must be at most {_MOST_DAYS} days before to")
        return since, until


@router.get(
    "/v1/agencies/{agency}/figures",
    summary="Count calls: who answered, how fast, what it cost",
    description="Counts ended calls that began in the span, without calls that an owner's phone forwarded back to us. "
    f"At most {_MOST_DAYS} days; without `from` the last {_DEFAULT_DAYS}, without `to` up to now.",
    response_model=FiguresReply,
)
async def show_figures(
    agency: OwnAgency,
    span: Annotated[Span, fastapi.Query()],
    database: Annotated[Database, Use(Database)],
    clock: Annotated[Clock, Use(Clock)],
) -> FiguresReply:
    since, until = span.read(clock())
    with _in_time():
        figures = await read_figures(database, agency, since, until)
    return _show(figures, since, until)


@router.get(
    "/v1/agencies/{agency}/figures/days",
    summary="Count the calls of each day: who answered, how fast, what it cost, how often providers failed",
    description="Counts the same calls as the figures of the whole span, by the day in UTC on which they began. "
    f"At most {_MOST_DAYS} days; without `from` the last {_DEFAULT_DAYS}, without `to` up to now.",
    response_model=DaysReply,
)
async def show_days(
    agency: OwnAgency,
    span: Annotated[Span, fastapi.Query()],
    database: Annotated[Database, Use(Database)],
    clock: Annotated[Clock, Use(Clock)],
) -> DaysReply:
    since, until = span.read(clock())
    with _in_time():
        days = await read_days(database, agency, since, until)
    return DaysReply(since=since, until=until, days=[_show_day(day) for day in days])


@contextmanager
def _in_time() -> Iterator[None]:
    try:
        yield
    except TooSlowError:
        detail = "Counting takes too long. Ask for a shorter span, or try again later."
        raise Problem("unavailable", detail, headers={"Retry-After": "60"}) from None


def _show_day(day: Day) -> DayReply:
    return DayReply(
        day=day.day,
        calls=day.calls,
        answered_by=AnsweredBy.model_validate(day),
        time_to_answer=TimeToAnswer(p50=day.wait_p50, p99=day.wait_p99),
        cost=day.cost,
        failures=dict(day.failures),
    )


def _show(figures: Figures, since: datetime, until: datetime) -> FiguresReply:
    answered_by = AnsweredBy.model_validate(figures)
    return FiguresReply(
        since=since,
        until=until,
        calls=figures.calls,
        answered_by=answered_by,
        shares=Shares(**{by: count / max(figures.calls, 1) for by, count in answered_by.model_dump().items()}),
        time_to_answer=TimeToAnswer(p50=figures.wait_p50, p99=figures.wait_p99),
        outage_absorbed_minutes=figures.outage_absorbed_minutes,
        cost=CostFigures(
            total=figures.cost,
            by_provider={one.provider: one.cost for one in figures.by_provider},
            by_client=[CostOfClient.model_validate(one) for one in figures.by_client],
        ),
        seconds=LengthFigures(
            total=figures.seconds, by_provider={one.provider: one.seconds for one in figures.by_provider}
        ),
    )
