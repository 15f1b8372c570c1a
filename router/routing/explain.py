"""Which rung would take such a call now, and why each other would not: by the same rules as a live call, placing none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from adapters.base import VoiceProvider
from router.routing.dispatch import Dispatcher
from router.routing.ladder import build_ladder, current_mode
from router.routing.route import Mode, Route, Rung

_STEPS: tuple[Literal["ai", "owner", "voicemail"], ...] = ("ai", "owner", "voicemail")


@dataclass(frozen=True, slots=True)
class Explained:
    """One rung. At most one would take the call; `reason` says why it or why not."""

    step: Literal["ai", "owner", "voicemail"]
    provider: str | None
    would_take: bool
    reason: str


def explain(
    route: Route, providers: Mapping[str, VoiceProvider], dispatcher: Dispatcher, now: datetime
) -> tuple[Explained, ...]:
    """All rungs in the order of the ladder, then those that are not on it."""
    ladder = build_ladder(route, providers, now)
    explained: list[Explained] = []
    taken = False
    for rung in ladder:
        reason = _reason_against(rung, route, dispatcher)
        if reason is not None:
            explained.append(Explained(rung.step, rung.provider, would_take=False, reason=reason))
        elif taken:
            explained.append(Explained(rung.step, rung.provider, would_take=False, reason="stands_by"))
        else:
            taken = True
            explained.append(Explained(rung.step, rung.provider, would_take=True, reason="ready"))
    return (*explained, *_left_out(route, ladder, current_mode(route, now)))


def _reason_against(rung: Rung, route: Route, dispatcher: Dispatcher) -> str | None:
    if rung.step != "ai" or rung.provider is None:
        return None
    return dispatcher.reason_to_skip(rung.provider, route)


def _left_out(route: Route, ladder: tuple[Rung, ...], mode: Mode) -> tuple[Explained, ...]:
    present = {rung.step for rung in ladder}
    return tuple(
        Explained(step, None, would_take=False, reason=_why_absent(step, route, mode))
        for step in _STEPS
        if step not in present
    )


def _why_absent(step: str, route: Route, mode: Mode) -> str:
    if step == "ai":
        return "no_provider" if mode in (Mode.AI, Mode.OWNER_FIRST) else f"mode_is_{mode}"
    if route.personal_phone is None:
        return "no_personal_phone"
    return f"mode_is_{mode}"
