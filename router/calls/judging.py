"""What follows from the end of a leg: the call is over, or it goes on to the next rung.

The rules: if the caller hung up, the call is over. If an AI took the call, no other AI is asked. Otherwise the next rung
gets the call. What Twilio's parameters mean is router.calls.legs; router.calls.flow carries a verdict out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from router.calls import legs
from router.calls.events import CallEvents
from router.calls.recorder import Recorder
from router.calls.state import CallState
from router.clock import Clock
from router.routing.circuit import Circuits, usage_of
from router.routing.deadline import Deadline
from router.store.calls.calls import Fact, find_facts
from router.store.calls.records import ClearRinging
from router.store.guard import Guard
from router.store.pool import DATABASE_ERRORS, Database
from router.telemetry import traces

_BLAME_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Over:
    """The call has come to its end."""

    outcome: Literal["ai", "owner", "abandoned"]
    caller_gone: bool


@dataclass(frozen=True, slots=True)
class Unsettled:
    """The caller is gone, and whether the AI had answered is not known yet: the status callback decides, which is judged
    by what is on record then.
    """


@dataclass(frozen=True, slots=True)
class GoOn:
    """The next rung has to take the call."""

    ask_ai: bool = True


Verdict: TypeAlias = Over | Unsettled | GoOn


@dataclass(frozen=True, slots=True)
class LegJudge:
    """Judges how legs ended, and notes it."""

    database: Database
    guard: Guard
    recorder: Recorder
    events: CallEvents
    circuits: Circuits
    clock: Clock

    async def judge(
        self, state: CallState, params: Mapping[str, str], facts: tuple[Fact, ...] | None, deadline: Deadline
    ) -> Verdict:
        """`facts`: what happened before; None if that is not known."""
        with traces.span("judge", step=str(state.step), provider=state.provider):
            if state.step.rung == "owner":
                return self._judge_owner(state, params, facts)
            return await self._judge_ai(state, params, facts, deadline)

    async def note_broken_stream(self, state: CallState, params: Mapping[str, str]) -> None:
        """A media stream failed, unless it ended because we took the call away from its AI."""
        try:
            facts = await self.guard.ask(lambda: find_facts(self.database.calls, state.call_id))
        except DATABASE_ERRORS:
            facts = ()
        if not legs.is_being_moved(facts):
            self._note_failure(state, params, answered=False)

    async def _judge_ai(
        self, state: CallState, params: Mapping[str, str], known: tuple[Fact, ...] | None, deadline: Deadline
    ) -> Verdict:
        now, facts = self.clock(), known or ()
        if state.media == "redirect":
            return self._judge_redirect(state, params, known, now)
        talked = legs.talk_seconds(state, params, facts, now.timestamp())
        if legs.is_caller_gone(params):
            self._confirm_ai(state, facts, talked, now)
            return _gone_unanswered(state, known) if talked is None else Over("ai", caller_gone=True)
        if talked is None or talked < legs.LEAST_TALK_SECONDS:
            self._note_failure(state, params, answered=talked is not None)
            return GoOn()
        self._confirm_ai(state, facts, talked, now)
        if await self._is_provider_to_blame(state, deadline):
            return GoOn(ask_ai=False)
        return Over("ai", caller_gone=False)

    def _judge_redirect(
        self, state: CallState, params: Mapping[str, str], facts: tuple[Fact, ...] | None, now: datetime
    ) -> Verdict:
        """The provider's server failed: a refusal if it did so at once; later, the AI may have had the call."""
        refused = legs.is_refused(state, facts or (), now.timestamp())
        if legs.is_caller_gone(params):
            return _gone_unanswered(state, facts) if refused else Over("ai", caller_gone=True)
        self._note_failure(state, params, answered=False)
        return GoOn(ask_ai=refused)

    def _judge_owner(self, state: CallState, params: Mapping[str, str], facts: tuple[Fact, ...] | None) -> Verdict:
        self.recorder.note(ClearRinging(state.call_id))
        talked = legs.is_owner_on(state, params, facts or (), facts_known=facts is not None)
        if talked:
            at = self.clock() - timedelta(seconds=legs.read_seconds(params, "DialCallDuration") or 0)
            self.events.note_answer(state, "owner", None, at)
        else:
            self.events.note(state, "owner.missed", reason=legs.owner_miss(params))
        gone = legs.is_caller_gone(params)
        if gone or talked:
            return Over("owner" if talked else "abandoned", gone)
        return GoOn()

    def _confirm_ai(self, state: CallState, facts: tuple[Fact, ...], talked: float | None, now: datetime) -> None:
        """Note that the AI answered, unless it did not or that is on record."""
        if talked is None or legs.is_noted(facts, "call.answered", state.step):
            return
        self.events.note_answer(state, "ai", state.provider, now - timedelta(seconds=talked))

    def _note_failure(self, state: CallState, params: Mapping[str, str], *, answered: bool) -> None:
        reason = legs.leg_failure(state, params, answered=answered)
        provider = state.provider
        # Twilio reports a failed stream twice and repeats requests; the provider failed once.
        if provider is not None and self.events.note(state, "handoff.failed", provider=provider, reason=reason):
            self.circuits.report_leg(usage_of(state.route, provider), reason)

    async def _is_provider_to_blame(self, state: CallState, deadline: Deadline) -> bool:
        """Wait briefly for the provider's own report of the end, leaving time to make a document and to send it."""
        patience = Deadline(min(_BLAME_SECONDS, deadline.left_for_work(replies=2)))
        while patience.left() > 0:
            try:
                facts = await self.guard.ask(lambda: find_facts(self.database.calls, state.call_id))
            except DATABASE_ERRORS:
                return False
            ends = [f.event for f in facts if f.event in ("ai.ended", "ai.failed") and f.provider == state.provider]
            if ends:
                return "ai.failed" in ends
            await asyncio.sleep(_POLL_SECONDS)
        return False


def _gone_unanswered(state: CallState, facts: tuple[Fact, ...] | None) -> Over | Unsettled:
    """The caller hung up, and nothing says that the AI had answered. Of a stream or a redirect, only facts would."""
    if facts is None and state.media != "dial":
        return Unsettled()
    return Over("abandoned", caller_gone=True)
