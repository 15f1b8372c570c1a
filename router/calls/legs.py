"""What came of a leg, read from what Twilio tells us afterwards. Pure functions; what follows is router.calls.judging.

Twilio docs: TwiML Dial ("action"), Connect, Stream ("statusCallback").
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from adapters.base import ErrorKind
from router.calls.state import CallState
from router.calls.steps import Step
from router.store.calls.calls import Fact

LEAST_TALK_SECONDS: Final = 5.0  # an AI that is gone sooner did not take the call
# Where nobody said whether a stream began. How long the carrier tries to open one is not documented, and a caller whom
# nobody answered must not be hung up on: in doubt the next rung gets the call.
_UNTOLD_TALK_SECONDS: Final = 15.0
_ON_THE_LINE: Final = frozenset({"ringing", "in-progress"})
_ANSWERED: Final = frozenset({"completed", "answered"})
_SECONDS: Final = re.compile("[0-9]{1,6}")
_LEG_FAILURES: Final = {"busy": ErrorKind.AT_CAPACITY, "no-answer": ErrorKind.TIMEOUT}


def is_caller_gone(params: Mapping[str, str]) -> bool:
    """A request that does not say otherwise comes from a caller who is still there."""
    return (params.get("CallStatus") or "in-progress") not in _ON_THE_LINE


def talk_seconds(state: CallState, params: Mapping[str, str], facts: Collection[Fact], now: float) -> float | None:
    """For how long the AI had the caller; None if it never answered."""
    if state.media == "stream":
        return _stream_seconds(state, params, facts, now)
    if params.get("DialCallStatus") not in _ANSWERED:
        return None
    said = read_seconds(params, "DialCallDuration")
    return now - state.served_at if said is None else said


def leg_failure(state: CallState, params: Mapping[str, str], *, answered: bool) -> ErrorKind:
    """Why an AI's leg did not become a conversation, in the words of `handoff.failed`."""
    if answered:
        return ErrorKind.PROVIDER_ERROR
    if state.media == "stream":
        return ErrorKind.UNREACHABLE
    return _LEG_FAILURES.get(params.get("DialCallStatus", ""), ErrorKind.UNREACHABLE)


def is_owner_on(state: CallState, params: Mapping[str, str], facts: Collection[Fact], *, facts_known: bool) -> bool:
    """Whether the owner has talked with the caller: by our own flag and the bridge, never by the dial's status alone.

    A mobile mailbox that answers makes the dial "completed" too; DialBridged may be missing.
    """
    bridged = params.get("DialBridged")
    if not state.route.routing.screen:
        return bridged == "true" if bridged is not None else params.get("DialCallStatus") in _ANSWERED
    if not facts_known:
        return bridged == "true"
    accepted = is_noted(facts, "owner.accepted", state.step)
    return accepted and bridged != "false"


def is_noted(facts: Collection[Fact], event: str, step: Step) -> bool:
    """Whether that happened at that step."""
    return any(fact.event == event and fact.step == str(step) for fact in facts)


def count_transfers(facts: Collection[Fact]) -> int:
    return sum(fact.event == "call.transferring" for fact in facts)


def is_being_moved(facts: Collection[Fact]) -> bool:
    """Whether we took the call away from its AI: how that leg ends then is our doing."""
    return count_transfers(facts) > sum(fact.event == "call.transfer_failed" for fact in facts)


def dial_seconds(params: Mapping[str, str]) -> float:
    """How long the far end was on the line; 0 if Twilio does not say."""
    return read_seconds(params, "DialCallDuration") or 0


def _stream_seconds(state: CallState, params: Mapping[str, str], facts: Collection[Fact], now: float) -> float | None:
    """From our own stream-started callback; without one, from when the document went out.

    A Connect's action has no DialCallStatus: it is there when Twilio asked for the document again.
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
    """A length that Twilio tells us; None for what makes no sense."""
    text = params.get(name, "")
    return int(text) if _SECONDS.fullmatch(text) else None
