"""An agency's figures: GET /v1/agencies/{agency}/figures. What they are counted from is router.store.calls.figures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from router.api.figures_models import (
    AnsweredBy,
    CostFigures,
    CostOfClient,
    FiguresReply,
    LengthFigures,
    Shares,
    TimeToAnswer,
)
from router.api.operations import Answer, ApiRequest, Endpoint
from router.api.problems import invalid
from router.store.calls.figures import Figures, read_figures

_DEFAULT_DAYS: Final = 30
_MOST_DAYS: Final = 366
_DATE: Final = re.compile(r"2[0-9]{3}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIME: Final = re.compile(
    r"2[0-9]{3}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)


def figures_endpoints() -> list[Endpoint]:
    return [
        Endpoint(
            "GET",
            "/v1/agencies/{agency}/figures",
            "Count calls: who answered, how fast, what it cost",
            show_figures,
            reply=FiguresReply,
            query=("since", "until"),
            description="Of calls that began in the span and are over; an owner's phone that forwarded a call back to us "
            f"is none. At most {_MOST_DAYS} days; without a span the last {_DEFAULT_DAYS}.",
        )
    ]


async def show_figures(request: ApiRequest[None]) -> Answer:
    since, until = read_span(request.query, request.services.clock())
    figures = await read_figures(request.services.database.settings, request.agency_id, since, until)
    return Answer.of(200, _show(figures, since, until))


def read_span(query: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
    """From the first up to, not including, the second. A day is one in UTC, and as `to` it is included.

    Raises Problem.
    """
    until = _read(query, "to", timedelta(days=1)) or now
    since = _read(query, "from", timedelta()) or until - timedelta(days=_DEFAULT_DAYS)
    if since >= until:
        raise invalid("from", "must be before to")
    if until - since > timedelta(days=_MOST_DAYS):
        raise invalid("from", f"must be at most {_MOST_DAYS} days before to")
    return since, until


def _read(query: Mapping[str, str], name: str, whole_day: timedelta) -> datetime | None:
    given = query.get(name)
    if not given:
        return None
    text = given.replace(" ", "+")  # a plus sign that was not encoded
    try:
        if _DATE.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), time(), UTC) + whole_day
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except ValueError:
        pass
    raise invalid(name, "must be a day, such as 2026-03-31, or a time by RFC 3339, such as 2026-03-31T12:00:00Z")


def _show(figures: Figures, since: datetime, until: datetime) -> FiguresReply:
    answered_by = AnsweredBy(ai=figures.ai, owner=figures.owner, voicemail=figures.voicemail, nobody=figures.nobody)
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
