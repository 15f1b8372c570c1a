"""Which rung would take a call now or at another time, and why the others would not, by the rules of live calls. Places no call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from adapters.provider import Provider
from router.routing.dispatch import Dispatcher
from router.routing.ladder import VOICEMAIL, build_ladder, current_mode, is_open, order_kinds
from router.routing.route import Route, Rung, RungKind, SkipReason

_KINDS: tuple[RungKind, ...] = get_args(RungKind)
_OF_THE_MOMENT = frozenset({SkipReason.CIRCUIT_OPEN, SkipReason.AT_CAPACITY})


@dataclass(frozen=True, slots=True)
class Explained:
    """One rung, and the reason why it would take the call or not. At most one would."""

    step: RungKind
    provider: str | None
    would_take: bool
    reason: str


def explain(
    route: Route,
    providers: Mapping[str, Provider[Any]],
    dispatcher: Dispatcher,
    now: datetime,
    diverted: str | None = None,
    *,
    at_present: bool = True,
) -> tuple[Explained, ...]:
    """All rungs in the order of the ladder, then those that are not on it.

    `diverted`: why the call goes straight to voicemail, if it does. Not `at_present`, circuits and lines say nothing.
    """
    ladder = build_ladder(route, providers, now)
    rungs = (
        (Explained(rung.kind, rung.provider, would_take=rung == VOICEMAIL, reason=diverted) for rung in ladder)
        if diverted
        else _descend(ladder, route, dispatcher, at_present=at_present)
    )
    absent = (kind for kind in _KINDS if all(rung.kind != kind for rung in ladder))
    return (
        *rungs,
        *(Explained(kind, None, would_take=False, reason=_why_absent(kind, route, now)) for kind in absent),
    )


def _descend(
    ladder: tuple[Rung, ...], route: Route, dispatcher: Dispatcher, *, at_present: bool
) -> Iterator[Explained]:
    taken = False
    for rung in ladder:
        reason = _reason_against(rung, route, dispatcher)
        if reason in _OF_THE_MOMENT and not at_present:
            reason = None
        if reason is None:
            reason = "stands_by" if taken else "ready"
        yield Explained(rung.kind, rung.provider, would_take=reason == "ready", reason=reason)
        taken = taken or reason == "ready"


def _reason_against(rung: Rung, route: Route, dispatcher: Dispatcher) -> str | None:
    if rung.kind == "owner" and not dispatcher.may_ring_owner(route):
        return SkipReason.DESTINATION_REFUSED
    if rung.kind != "ai" or rung.provider is None:
        return None
    reason = dispatcher.reason_to_skip(rung.provider, route)
    if reason is None and not dispatcher.has_readable_key(rung.provider, route):
        return SkipReason.NO_KEY
    return reason


def _why_absent(kind: RungKind, route: Route, now: datetime) -> str:
    mode, routing = current_mode(route, now), route.routing
    kinds = order_kinds(mode, routing.on_failure)
    if kind in kinds:
        return "no_provider" if kind == "ai" else "no_personal_phone"
    if kind in order_kinds(mode, "ring_through"):
        return "on_failure_is_voicemail"
    return f"mode_is_{mode}" if routing.hours is None or is_open(routing.hours, now) else f"closed_mode_is_{mode}"
