"""Which rungs a call goes down, in which order. Pure functions of a route, a clock and what providers need.

Not here: asking a provider (router.routing.dispatch) and what a rung sounds like (router.twiml).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from adapters.provider import Provider
from router.routing.route import Hours, Mode, OnFailure, OpenSpan, Route, Rung, RungKind, why_unready

OWNER = Rung("owner")
VOICEMAIL = Rung("voicemail")


def build_ladder(route: Route, providers: Mapping[str, Provider[Any]], now: datetime) -> tuple[Rung, ...]:
    """All rungs of a call that starts now. The last one is always voicemail, and none stands twice."""
    rungs: dict[RungKind, tuple[Rung, ...]] = {
        "ai": tuple(Rung("ai", name) for name in order_providers(route, providers)),
        "owner": (OWNER,) if route.personal_phone else (),
        "voicemail": (VOICEMAIL,),
    }
    kinds = order_kinds(current_mode(route, now), route.routing.on_failure)
    return tuple(rung for kind in kinds for rung in rungs[kind])


def order_kinds(mode: Mode, on_failure: OnFailure) -> tuple[RungKind, ...]:
    """What a mode tries, in which order."""
    match mode:
        case "ai":
            return ("ai", "owner", "voicemail") if on_failure == "ring_through" else ("ai", "voicemail")
        case "owner_first":
            return ("owner", "ai", "voicemail")
        case "ring_through":
            return ("owner", "voicemail")
        case "voicemail":
            return ("voicemail",)


def human_rungs(rungs: tuple[Rung, ...]) -> tuple[Rung, ...]:
    """What is left of a ladder when no AI is to be asked any more."""
    return tuple(rung for rung in rungs if rung.kind != "ai") or (VOICEMAIL,)


def order_providers(route: Route, providers: Mapping[str, Provider[Any]]) -> tuple[str, ...]:
    """The client's provider or the agency's active one, then the fallbacks.

    While the active one has no assistant for this client yet, the agency's former one stands before it.
    """
    first = route.client_provider or route.active_provider
    order: list[str] = []
    if first is not None:
        if route.client_provider is None and route.former_provider and why_unready(route, first, providers):
            order.append(route.former_provider)
        order.append(first)
    if route.fallback_providers is not None:
        order.extend(route.fallback_providers)
    else:
        order.extend(name for name in providers if route.access(name).sealed_key)
    return tuple(dict.fromkeys(name for name in order if name in providers))


def current_mode(route: Route, now: datetime) -> Mode:
    """The client's mode, or its closed mode outside opening hours."""
    hours = route.routing.hours
    if hours is None or is_open(hours, now):
        return route.routing.mode
    return hours.closed_mode


def is_open(hours: Hours, now: datetime) -> bool:
    """Whether the client is open at that moment, by the clock on its own wall."""
    local = now.astimezone(ZoneInfo(hours.timezone))
    minute = local.hour * 60 + local.minute
    return any(start <= minute < end for start, end in _spans_on(hours.open, local.weekday()))


def _spans_on(spans: tuple[OpenSpan, ...], weekday: int) -> Iterator[tuple[int, int]]:
    """The minutes of one day that are covered; a span past midnight reaches into the next day."""
    day = 24 * 60
    for span in spans:
        past_midnight = span.end <= span.start
        if weekday in span.days:
            yield span.start, day if past_midnight else span.end
        if past_midnight and (weekday - 1) % 7 in span.days:
            yield 0, span.end
