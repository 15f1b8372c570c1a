"""A call's events as lines that people read: what happened, to whom, why, and how long after the call came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from router.console import words
from router.console.kinds import Kinds

_BAD: Final = frozenset({"handoff.failed", "ai.failed", "call.transfer_failed"})
_GOOD: Final = frozenset({"call.answered", "handoff.succeeded", "owner.accepted", "voicemail.received"})
_MISSES: Final = frozenset({"handoff.failed", "handoff.skipped", "ai.failed", "owner.missed", "call.capped"})
_UNANSWERED: Final = frozenset({"voicemail", "abandoned"})
_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Line:
    """`after`: since the call came in. `about`: a provider or a step. `look`: good, bad or plain."""

    at: str
    after: str
    title: str
    about: str
    why: str
    took_ms: int | None
    look: str


def tell_story(call: Mapping[str, Any], kinds: Kinds) -> list[Line]:
    """The events of a call as the API shows it."""
    began = datetime.fromisoformat(call["started_at"])
    return [_tell(event, began, kinds) for event in call["events"]]


def list_misses(call: Mapping[str, Any], kinds: Kinds) -> list[tuple[str, str]]:
    """Of a call that neither an AI nor the owner took: who did not take it, and why."""
    if call["outcome"] not in _UNANSWERED:
        return []
    missed = (event for event in call["events"] if event["event"] in _MISSES)
    return list(dict.fromkeys((_who(event, kinds), say_reason(event, kinds)) for event in missed))


def say_reason(event: Mapping[str, Any], kinds: Kinds) -> str:
    """Why, in our words; of what a provider says in its own words, what they mean."""
    reason = event["reason"]
    if reason is None:
        return ""
    if event["event"] in words.REASONS_OF:
        return words.say(reason, words.REASONS_OF[event["event"]])
    return say_end(reason, event["provider"], kinds)


def say_end(reason: str, provider: str | None, kinds: Kinds) -> str:
    """Why a call ended, from the provider's word for it."""
    kind = kinds.get(provider or "")
    meant = kind.voice.call_ends if kind is not None and kind.voice is not None else {}
    return words.say(reason, meant if reason in meant else words.REASONS)


def _tell(event: Mapping[str, Any], began: datetime, kinds: Kinds) -> Line:
    name = event["event"]
    return Line(
        at=event["at"],
        after=_write_after((datetime.fromisoformat(event["at"]) - began).total_seconds()),
        title=words.say(name, words.EVENTS),
        about=_label(event["provider"], kinds) or _next_step(event),
        why=say_reason(event, kinds),
        took_ms=event["duration_ms"] or None,
        look="bad" if name in _BAD else "good" if name in _GOOD else "plain",
    )


def _who(event: Mapping[str, Any], kinds: Kinds) -> str:
    if event["event"] == "owner.missed":
        return words.STEPS["owner"]
    return _label(event["provider"], kinds) or words.say(event["event"], words.EVENTS)


def _next_step(event: Mapping[str, Any]) -> str:
    return words.say(event["step"], words.STEPS) if event["event"] == "call.fell_back" and event["step"] else ""


def _label(provider: str | None, kinds: Kinds) -> str:
    if provider is None:
        return ""
    return kinds[provider].label if provider in kinds else provider.title()


def _write_after(seconds: float) -> str:
    """+0.4 s, +1 min 05 s. Computed times may lie before the call by a rounding."""
    seconds = max(seconds, 0.0)
    if seconds < _MINUTE:
        return f"+{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"+{hours} h {minutes:02d} min" if hours else f"+{minutes} min {rest:02d} s"
