"""How a leg ended, read from Twilio's parameters. Pure functions; what follows from it is router.calls.judging.

Twilio docs: TwiML Dial ("action"), Connect, Stream ("statusCallback").
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from adapters.base import ErrorKind
from adapters.carrier import ENDED
from router.calls.state import CallState
from router.calls.steps import Step
from router.store.calls.calls import Fact

LEAST_TALK_SECONDS: Final = 5.0  # an AI that hangs up sooner did not take the call
_REFUSAL_SECONDS: Final = 20.0  # Twilio waits at most 15 for a server that it was redirected to
# For a stream without a status callback. How long Twilio tries to open a stream is not documented, and we must not hang
# up on a caller who heard no answer: in doubt the next rung gets the call.
_UNTOLD_TALK_SECONDS: Final = 15.0
_ANSWERED: Final = frozenset({"completed", "answered"})
_SECONDS: Final = re.compile("[0-9]{1,6}")
_SIGNS_OF_AI: Final = frozenset({"ai.ended", "ai.failed", "ai.reported", "call.answered"})
_OWNER_MISSES: Final = {
    "busy": "busy",
    "no-answer": "no_answer",
    "canceled": "caller_gone",
    **dict.fromkeys(_ANSWERED, "not_accepted"),
}
_LEG_FAILURES: Final = {"busy": ErrorKind.AT_CAPACITY, "no-answer": ErrorKind.TIMEOUT}


def is_caller_gone(params: Mapping[str, str]) -> bool:
    """Without a CallStatus that says so, the caller is taken to be still on the line."""
    return params.get("CallStatus") in ENDED


def talk_seconds(state: CallState, params: Mapping[str, str], facts: Collection[Fact], now: float) -> float | None:
    """How long the AI talked with the caller; None if it never answered."""
    if state.media == "stream":
        return _stream_seconds(state, params, facts, now)
    if params.get("DialCallStatus") not in _ANSWERED:
        return None
    said = read_seconds(params, "DialCallDuration")
    return now - state.served_at if said is None else said


def is_refused(state: CallState, facts: Collection[Fact], now: float) -> bool:
    """Whether a redirect that failed did so before the provider had the call: soon, and without a word from the provider."""
    reported = any(fact.provider == state.provider and fact.event in _SIGNS_OF_AI for fact in facts)
    return not reported and now - state.served_at < _REFUSAL_SECONDS


def leg_failure(state: CallState, params: Mapping[str, str], *, answered: bool) -> ErrorKind:
    """Why an AI's leg did not become a conversation: the reason of `handoff.failed`."""
    if answered or state.media == "redirect":
        return ErrorKind.PROVIDER_ERROR
    if state.media == "stream":
        return ErrorKind.UNREACHABLE
    return _LEG_FAILURES.get(params.get("DialCallStatus", ""), ErrorKind.UNREACHABLE)


def is_owner_on(state: CallState, params: Mapping[str, str], facts: Collection[Fact], *, facts_known: bool) -> bool:
    """Whether the owner has talked with the caller, judged by our own flag and DialBridged, never by DialCallStatus alone.

    A mobile mailbox that answers makes the dial "completed" too, and DialBridged may be missing.
    """
    bridged = params.get("DialBridged")
    if not state.route.routing.screen:
        return bridged == "true" if bridged is not None else params.get("DialCallStatus") in _ANSWERED
    if not facts_known:
        return bridged == "true"
    accepted = is_noted(facts, "owner.accepted", state.step)
    return accepted and bridged != "false"


def owner_miss(params: Mapping[str, str]) -> str:
    """Why an owner's leg connected no one: the reason of `owner.missed`."""
    if is_caller_gone(params):
        return "caller_gone"
    return _OWNER_MISSES.get(params.get("DialCallStatus", ""), "unreachable")


def is_noted(facts: Collection[Fact], event: str, step: Step) -> bool:
    """Whether that happened at that step."""
    return any(fact.event == event and fact.step == str(step) for fact in facts)


def count_transfers(facts: Collection[Fact]) -> int:
    return sum(fact.event == "call.transferring" for fact in facts)


def is_being_moved(facts: Collection[Fact]) -> bool:
    """Whether we are transferring the call: then the AI's leg ends because of us."""
    return count_transfers(facts) > sum(fact.event == "call.transfer_failed" for fact in facts)


def _stream_seconds(state: CallState, params: Mapping[str, str], facts: Collection[Fact], now: float) -> float | None:
    """Counted from our stream-started callback; without one, from when the document was sent.

    A Connect's action has no DialCallStatus, unless Twilio asked for the document again.
    """
    started = [fact.at for fact in facts if fact.event == "call.answered" and fact.step == str(state.step)]
    failed = is_noted(facts, "handoff.failed", state.step)
    if (failed or "DialCallStatus" in params) and not started:
        return None
    since = now - (started[0] if started else state.served_at)
    if not started and since < _UNTOLD_TALK_SECONDS:
        return None
    return since


def read_seconds(params: Mapping[str, str], name: str) -> int | None:
    """A duration from Twilio; None if it is missing or malformed."""
    text = params.get(name, "")
    return int(text) if _SECONDS.fullmatch(text) else None
