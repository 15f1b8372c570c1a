"""What happens next on a call: down the ladder at the start, and after every leg that did not work out.

The rules are those of a call's life: the caller who is gone is left alone, an AI that took the call is not
followed by another, everybody else goes on to the next rung. HTTP and signatures are router.webhooks; asking
providers is router.routing; the documents are router.calls.desk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from adapters.base import InboundCall, VoiceProvider
from router import twiml
from router.calls import legs
from router.calls.claims import Claims, Inbound
from router.calls.control import LiveCalls
from router.calls.desk import UNKNOWN_TALK_SECONDS, Desk, talk_limit
from router.calls.ending import Closer
from router.calls.events import CallEvents
from router.calls.once import StepKeeper
from router.calls.recorder import Recorder
from router.calls.state import Answer, CallState
from router.routing.dispatch import Deadline, Dispatcher, Taken
from router.routing.ladder import VOICEMAIL, build_ladder, human_rungs
from router.store.calls.calls import CallClaim, Fact, find_call, find_facts, find_route
from router.store.calls.records import ClearRinging, SetOutcome
from router.store.guard import Guard
from router.store.pool import DATABASE_ERRORS, Database
from router.telemetry import emit, metrics

_BLAME_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.1
_LEGS_BEFORE_RECOVERY: Final = 100  # more than any ladder has, so that no earlier step has the same name
_REPLY_SECONDS: Final = 0.4


@dataclass(slots=True)
class Progress:
    """What is known of a call by now, for whoever has to rescue it."""

    state: CallState | None = None


class CallFlow:
    """Decides each of Twilio's questions about a call. Every method returns a document."""

    def __init__(
        self,
        *,
        database: Database,
        guard: Guard,
        claims: Claims,
        steps: StepKeeper,
        providers: Mapping[str, VoiceProvider],
        dispatcher: Dispatcher,
        recorder: Recorder,
        desk: Desk,
        live_calls: LiveCalls,
        closer: Closer,
        events: CallEvents,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._guard = guard
        self._claims = claims
        self._steps = steps
        self._providers = providers
        self._dispatcher = dispatcher
        self._recorder = recorder
        self._desk = desk
        self._live_calls = live_calls
        self._closer = closer
        self._events = events
        self._clock = clock

    async def receive(self, call: Inbound, deadline: Deadline, progress: Progress) -> str | None:
        """A new call. None: nobody has set up that number on that account. Raises UnavailableError."""
        claim = await self._claims.claim_call(call)
        if claim is None:
            return None
        # From here on the call can be rescued, even if no ladder can be made of its settings.
        progress.state = self._begin(call, claim)
        state = replace(progress.state, rungs=build_ladder(claim.route, self._providers, self._clock()))
        progress.state = state
        if not claim.claimed:
            return await self._repeat(state, deadline, progress)
        metrics.call_received()
        self._events.note(state, "call.received", caller=call.from_number, to=call.to)
        answer = await self._admit(state, claim, deadline)
        return await self._steps.keep(state, answer, deadline)

    async def after_leg(
        self, state: CallState, params: Mapping[str, str], deadline: Deadline, progress: Progress
    ) -> str:
        """The action of a Dial or Connect: the leg is over one way or another."""
        progress.state = state
        claim = await self._claims.claim_step(state)
        if not claim.claimed and legs.is_caller_gone(params):
            return twiml.nothing()
        if not claim.claimed:
            return await self._repeat(state, deadline, progress)
        onward = replace(state, route=claim.route) if claim.route else _without_ai(state)
        answer = await self._judge(state, onward, params, claim.facts, deadline)
        return await self._steps.keep(state, answer, deadline)

    def rescue(self, state: CallState) -> str:
        """Something of ours failed or took too long: the first human rung, from what is at hand."""
        rung, *rest = human_rungs(state.rungs)
        return self._desk.serve(state, Taken(rung, tuple(rest))).document

    async def recover(self, account_sid: str, call_sid: str, params: Mapping[str, str]) -> str:
        """A callback whose state is lost: a caller who is still there gets the voicemail."""
        if legs.is_caller_gone(params):
            return twiml.nothing()
        call = await self._guard.ask(lambda: find_call(self._database.calls, account_sid, call_sid))
        if call is None or call.ended_at is not None:
            return twiml.hang_up()
        number = call.to_number
        route = await self._guard.ask(lambda: find_route(self._database.calls, account_sid, number))
        if route is None:
            return twiml.hang_up()
        state = CallState(
            call_id=call.id,
            account_sid=account_sid,
            call_sid=call_sid,
            from_number=call.from_number,
            caller=None,
            route=route,
            rungs=(),
            started_at=call.started_at.timestamp(),
            leg=_LEGS_BEFORE_RECOVERY,
        )
        return self._desk.serve(state, Taken(VOICEMAIL, ())).document

    def put_through(self, state: CallState, sealed: str) -> str:
        """The carrier was told over its API to come here: the person is rung whom the AI was asked for."""
        return self._desk.ring_person(state, sealed)

    def screen(self, state: CallState, sealed: str) -> str:
        """What the owner hears before deciding."""
        return twiml.screen(self._desk.address(state, "accept", sealed), state.route.language, state.route.client_name)

    async def accept(self, state: CallState, params: Mapping[str, str], deadline: Deadline) -> str:
        """The owner pressed a key. Accepting is durable before the caller is put through."""
        if params.get("Digits") != twiml.ACCEPT_DIGIT:
            return twiml.hang_up()
        self._events.note(state, "owner.accepted")
        await self._recorder.flush(deadline.left() - _REPLY_SECONDS)
        return twiml.bridge()

    async def hear_stream(self, state: CallState, params: Mapping[str, str], deadline: Deadline) -> str:
        """The status callback of a media stream. The stream's end is judged by it, so it is durable before all else."""
        event = params.get("StreamEvent")
        if event == "stream-started":
            self._note_ai_answer(state, self._clock())
        elif event == "stream-error" and not await self._is_moved(state):
            self._note_leg_failure(state, params, answered=False)
        await self._recorder.flush(deadline.left() - _REPLY_SECONDS)
        if event == "stream-started":
            await self._live_calls.limit_talk(state, talk_limit(state))
        return twiml.nothing()

    def _begin(self, call: Inbound, claim: CallClaim) -> CallState:
        return CallState(
            call_id=call.call_id,
            account_sid=call.account_sid,
            call_sid=call.call_sid,
            from_number=call.from_number,
            caller=call.caller,
            route=claim.route,
            rungs=(),
            started_at=self._clock().timestamp(),
        )

    async def _admit(self, state: CallState, claim: CallClaim, deadline: Deadline) -> Answer:
        if claim.loop is not None:
            self._events.note(state, "call.loop", timeline_reason=claim.loop, kind=claim.loop)
        if claim.loop == "forwarded":
            self._recorder.note(SetOutcome(state.call_id, "rejected"))
            return Answer(twiml.reject_busy())
        if claim.crowd is not None:
            self._events.note(state, "call.capped", timeline_reason=claim.crowd, of=claim.crowd)
        if claim.diverted is not None:
            return self._desk.serve(state, Taken(VOICEMAIL, ()))
        return await self._descend(state, deadline)

    async def _judge(
        self,
        state: CallState,
        onward: CallState,
        params: Mapping[str, str],
        facts: tuple[Fact, ...] | None,
        deadline: Deadline,
    ) -> Answer:
        """`state` is what was served, `onward` the same call with what is known now."""
        if state.rung is not None and state.rung.step == "owner":
            return await self._after_owner(state, onward, params, facts, deadline)
        return await self._after_ai(state, onward, params, facts or (), deadline)

    async def _after_ai(
        self,
        state: CallState,
        onward: CallState,
        params: Mapping[str, str],
        facts: tuple[Fact, ...],
        deadline: Deadline,
    ) -> Answer:
        now = self._clock()
        talked = legs.talk_seconds(state, params, facts, now.timestamp())
        if legs.is_caller_gone(params):
            return await self._close(state, "ai" if self._confirm_ai(state, facts, talked, now) else "abandoned")
        if talked is None or talked < legs.LEAST_TALK_SECONDS:
            self._note_leg_failure(state, params, answered=talked is not None)
            return await self._descend(onward, deadline)
        self._confirm_ai(state, facts, talked, now)
        if await self._is_provider_to_blame(state, deadline):
            return await self._descend(_without_ai(onward), deadline)
        self._recorder.note(SetOutcome(state.call_id, "ai"))
        return Answer(twiml.hang_up())

    async def _after_owner(
        self,
        state: CallState,
        onward: CallState,
        params: Mapping[str, str],
        facts: tuple[Fact, ...] | None,
        deadline: Deadline,
    ) -> Answer:
        self._recorder.note(ClearRinging(state.call_id))
        talked = legs.is_owner_on(state, params, facts or (), facts_known=facts is not None)
        if talked:
            at = self._clock() - timedelta(seconds=legs.dial_seconds(params))
            self._events.note_answer(state, "owner", None, at)
        if legs.is_caller_gone(params):
            return await self._close(state, "owner" if talked else "abandoned")
        if not talked:
            return await self._descend(onward, deadline)
        self._recorder.note(SetOutcome(state.call_id, "owner"))
        return Answer(twiml.hang_up())

    async def _descend(self, state: CallState, deadline: Deadline) -> Answer:
        """Whoever takes the call next gets it."""
        rungs = state.rungs if self._desk.may_ring(state) else (VOICEMAIL,)
        record = self._events.attempts_of(state)
        taken = await self._dispatcher.find_taker(rungs, state.route, _as_inbound(state), deadline, record)
        if state.leg or taken.rung != rungs[0]:
            self._events.note(state, "call.fell_back", step=taken.rung.step, provider=taken.rung.provider)
        return self._desk.serve(state, taken)

    async def _close(self, state: CallState, outcome: str) -> Answer:
        """The caller is gone: nobody is asked any more."""
        await self._closer.end(state, outcome)
        return Answer(twiml.nothing())

    def _confirm_ai(self, state: CallState, facts: tuple[Fact, ...], talked: float | None, now: datetime) -> bool:
        """Note that the AI answered, if it did and that is not known yet."""
        if talked is None:
            return False
        if not any(fact.event == "call.answered" and fact.step == state.step for fact in facts):
            self._note_ai_answer(state, now - timedelta(seconds=talked))
        return True

    def _note_ai_answer(self, state: CallState, at: datetime) -> None:
        self._events.note_answer(state, "ai", state.rung.provider if state.rung else None, at)

    def _note_leg_failure(self, state: CallState, params: Mapping[str, str], *, answered: bool) -> None:
        reason = legs.leg_failure(state, params, answered=answered)
        provider = state.rung.provider if state.rung else None
        # A stream that fails is told of twice, and Twilio repeats itself: the provider failed once.
        if provider is not None and self._events.note(state, "handoff.failed", provider=provider, reason=reason):
            self._dispatcher.report_leg(provider, state.route, reason)

    async def _is_moved(self, state: CallState) -> bool:
        try:
            facts = await self._guard.ask(lambda: find_facts(self._database.calls, state.call_id))
        except DATABASE_ERRORS:
            return False
        return legs.is_being_moved(facts)

    async def _is_provider_to_blame(self, state: CallState, deadline: Deadline) -> bool:
        """Wait a moment for the provider's own account of why the call ended."""
        patience = Deadline(min(_BLAME_SECONDS, deadline.left() - 2 * _REPLY_SECONDS))
        provider = state.rung.provider if state.rung else None
        while patience.left() > 0:
            try:
                facts = await self._guard.ask(lambda: find_facts(self._database.calls, state.call_id))
            except DATABASE_ERRORS:
                return False
            ends = [f.event for f in facts if f.event in ("ai.ended", "ai.failed") and f.provider == provider]
            if ends:
                return "ai.failed" in ends
            await asyncio.sleep(_POLL_SECONDS)
        return False

    async def _repeat(self, state: CallState, deadline: Deadline, progress: Progress) -> str:
        """Twilio asks again: the stored answer while it is good, else onward from where the call stands."""
        emit("step.repeated", call_sid=state.call_sid, step=state.step)
        found = await self._steps.find_answer(state, deadline)
        if found.call_id is not None:
            state = replace(state, call_id=found.call_id)
            progress.state = state
        if found.document is not None:
            return found.document
        if found.latest is None:
            return await self._take_over(state, deadline)
        return await self.after_leg(found.latest, _NOT_ANSWERED, deadline, progress)

    async def _take_over(self, state: CallState, deadline: Deadline) -> str:
        """Whoever was at work on this step is too slow, or has died with what it had noted."""
        if state.step == "inbound":
            self._events.note(state, "call.received", caller=state.from_number, to=state.route.number)
        document = self.rescue(state)
        await self._recorder.flush(deadline.left() - _REPLY_SECONDS / 2)
        return document


_NOT_ANSWERED: Final = {"CallStatus": "in-progress", "DialCallStatus": "failed", "DialBridged": "false"}


def _without_ai(state: CallState) -> CallState:
    return replace(state, rungs=human_rungs(state.rungs))


def _as_inbound(state: CallState) -> InboundCall:
    route = state.route
    return InboundCall(
        call_id=state.call_id,
        call_sid=state.call_sid,
        agency_id=route.agency_id,
        client_id=route.client_id,
        client_name=route.client_name,
        caller=state.caller,
        to=route.number,
        max_seconds=route.max_seconds or UNKNOWN_TALK_SECONDS,
    )
