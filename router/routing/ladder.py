"""Which rungs a call goes down, in which order. Pure functions of a route, a clock and what providers need.

Not here: asking a provider (router.routing.dispatch) and what a rung sounds like (router.twiml).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from adapters.base import VoiceProvider
from router.routing.route import Access, Hours, Mode, OpenSpan, Route, Rung, SkipReason

OWNER = Rung("owner")
VOICEMAIL = Rung("voicemail")


def build_ladder(route: Route, providers: Mapping[str, VoiceProvider], now: datetime) -> tuple[Rung, ...]:
    """All rungs of a call that starts now. The last one is always voicemail, and none stands twice."""
    mode = current_mode(route, now)
    ai = tuple(Rung("ai", name) for name in order_providers(route, providers))
    owner = (OWNER,) if route.personal_phone else ()
    match mode:
        case Mode.AI:
            after = owner if route.routing.on_failure == "ring_through" else ()
            return (*ai, *after, VOICEMAIL)
        case Mode.OWNER_FIRST:
            return (*owner, *ai, VOICEMAIL)
        case Mode.RING_THROUGH:
            return (*owner, VOICEMAIL)
        case Mode.VOICEMAIL:
            return (VOICEMAIL,)


def human_rungs(rungs: tuple[Rung, ...]) -> tuple[Rung, ...]:
    """What is left of a ladder when no AI is to be asked any more."""
    return tuple(rung for rung in rungs if rung.kind != "ai") or (VOICEMAIL,)


def order_providers(route: Route, providers: Mapping[str, VoiceProvider]) -> tuple[str, ...]:
    """The client's provider or the agency's active one, then the fallbacks.

    While the active one has no assistant for this client yet, the agency's former one stands before it.
    """
    first = route.client_provider or route.active_provider
    order: list[str] = []
    if first is not None:
        if route.client_provider is None and route.former_provider and is_unready(route, first, providers):
            order.append(route.former_provider)
        order.append(first)
    if route.fallback_providers is not None:
        order.extend(route.fallback_providers)
    else:
        order.extend(name for name in providers if route.access(name).sealed_key)
    return tuple(dict.fromkeys(name for name in order if name in providers))


def is_unready(route: Route, provider: str, providers: Mapping[str, VoiceProvider]) -> SkipReason | None:
    """Why this provider cannot be asked for this client at all; None if it can."""
    if provider not in providers:
        return SkipReason.NOT_SYNCED
    access: Access = route.access(provider)
    if access.sealed_key is None:
        return SkipReason.NO_KEY
    if providers[provider].missing(access.target):
        return SkipReason.NOT_SYNCED
    return None


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
