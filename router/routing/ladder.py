"""The rungs of a call, in order. Pure functions of a route, the time and what providers need."""

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
    """All rungs of a call that starts now, each once. The last one is always voicemail."""
    rungs: dict[RungKind, tuple[Rung, ...]] = {
        "ai": tuple(Rung("ai", name) for name in order_providers(route, providers)),
        "owner": (OWNER,) if route.personal_phone else (),
        "voicemail": (VOICEMAIL,),
    }
    kinds = order_kinds(current_mode(route, now), route.routing.on_failure)
    return tuple(rung for kind in kinds for rung in rungs[kind])


def order_kinds(mode: Mode, on_failure: OnFailure) -> tuple[RungKind, ...]:
    """The kinds of rungs that a mode tries, in order."""
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
    """The rungs without the AIs; at least voicemail."""
    return tuple(rung for rung in rungs if rung.kind != "ai") or (VOICEMAIL,)


def order_providers(route: Route, providers: Mapping[str, Provider[Any]]) -> tuple[str, ...]:
    """The client's provider or the agency's active one, then the fallbacks.

    While the active one has no assistant for this client yet, the agency's former one comes first.
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
    """Whether the client is open at that moment, in its own time zone."""
    local = now.astimezone(ZoneInfo(hours.timezone))
    minute = local.hour * 60 + local.minute
    return any(start <= minute < end for start, end in _spans_on(hours.open, local.weekday()))


def _spans_on(spans: tuple[OpenSpan, ...], weekday: int) -> Iterator[tuple[int, int]]:
    """The open minutes of one day. A span past midnight continues on the next day."""
    day = 24 * 60
    for span in spans:
        past_midnight = span.end <= span.start
        if weekday in span.days:
            yield span.start, day if past_midnight else span.end
        if past_midnight and (weekday - 1) % 7 in span.days:
            yield 0, span.end
