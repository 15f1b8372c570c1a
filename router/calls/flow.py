"""What happens next on a call: the ladder when it begins, the next rung after each leg that failed.

Each time: claim the step, judge the leg that is over, find who takes the call, make the document, keep the answer.
HTTP and signatures are router.webhooks; asking providers is router.routing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from adapters.base import InboundCall
from adapters.phone import WITHHELD
from adapters.provider import Provider
from crypto import Secret
from router import twiml
from router.calls import legs
from router.calls.answers import Answers
from router.calls.claims import Claims, Inbound, UnavailableError
from router.calls.documents import UNKNOWN_TALK_SECONDS, Documents, talk_limit
from router.calls.ending import Closer
from router.calls.events import CallEvents
from router.calls.judging import GoOn, LegJudge, Over, Unsettled, Verdict
from router.calls.live_calls import LONGEST_TALK_SECONDS, LiveCalls
from router.calls.recorder import Recorder
from router.calls.recovery import Recovery
from router.calls.redirects import is_same_address
from router.calls.ring_budget import RingBudget
from router.calls.state import Agencies, Answer, CallState, require_proof
from router.calls.steps import INBOUND
from router.clock import Clock
from router.routing.deadline import Deadline
from router.routing.dispatch import Dispatcher, Taken
from router.routing.ladder import VOICEMAIL, build_ladder, human_rungs
from router.routing.route import Rung
from router.store.calls.calls import CallClaim
from router.store.calls.records import SetOutcome
from router.telemetry import emit, metrics

_NOT_ANSWERED: Final = {"CallStatus": "in-progress", "DialCallStatus": "failed", "DialBridged": "false"}


@dataclass(frozen=True, slots=True)
class CallFlow:
    """Decides what happens next on a call."""

    claims: Claims
    judge: LegJudge
    providers: Mapping[str, Provider[Any]]
    dispatcher: Dispatcher
    documents: Documents
    ring_budget: RingBudget
    answers: Answers
    closer: Closer
    live_calls: LiveCalls
    recovery: Recovery
    recorder: Recorder
    events: CallEvents
    clock: Clock

    async def receive(self, call: Inbound, deadline: Deadline) -> str | None:
        """A new call. None: that number is not set up on that account. Raises UnavailableError."""
        try:
            async with asyncio.timeout(deadline.left_before_rescue()):
                new = await self.claims.claim_call(call)
        except TimeoutError:
            raise UnavailableError from None
        if new is None:
            return None
        state = replace(new.state, rungs=self._order_rungs(new.state))
        return await self._answer(state, self._begin(state, new.claim, deadline), deadline)

    async def after_leg(self, state: CallState, params: Mapping[str, str], deadline: Deadline) -> str:
        """The action of a Dial or Connect: a leg is over."""
        return await self._answer(state, self._go_on(state, params, deadline), deadline)

    async def after_redirect(
        self,
        account_sid: str,
        call_sid: str,
        failed: Secret,
        params: Mapping[str, str],
        agencies: Agencies,
        deadline: Deadline,
    ) -> str | None:
        """The carrier could not fetch or execute a document of another server: that at the address `failed`. None: we did
        not redirect the call there. Raises ForeignCallError.
        """
        for answer in await self.answers.find_all(account_sid, call_sid):
            state = answer.state
            if state is None or state.media != "redirect" or not is_same_address(answer, failed):
                continue
            require_proof(agencies, state.route.agency_id)
            return await self.after_leg(state, params, deadline)
        return None

    async def _answer(self, state: CallState, work: Awaitable[str | CallState], deadline: Deadline) -> str:
        """The call is known from here on, so it gets a document even if `work` fails.

        `work` may return, instead of a document, where the call stands by now: other requests have moved it on.
        """
        answer = await self.recovery.in_time(state, work, deadline)
        while isinstance(answer, CallState):
            onward = self._go_on(answer, _NOT_ANSWERED, deadline)
            answer = await self.recovery.in_time(answer, onward, deadline)
        return answer

    async def _begin(self, state: CallState, claim: CallClaim, deadline: Deadline) -> str | CallState:
        if not claim.claimed:
            return await self._repeat(state, deadline)
        metrics.call_received()
        self._note_received(state)
        answer = await self._admit(state, claim, deadline)
        return await self._keep(state, answer, deadline)

    async def _go_on(self, state: CallState, params: Mapping[str, str], deadline: Deadline) -> str | CallState:
        claim = await self.claims.claim_step(state)
        if not claim.claimed and legs.is_caller_gone(params):
            return twiml.nothing()
        if not claim.claimed:
            return await self._repeat(state, deadline)
        verdict = await self.judge.judge(state, params, claim.facts, deadline)
        # The state has the route as it was served; the route as it is now decides who may take the call next.
        onward = replace(state, route=claim.route) if claim.route else replace(state, rungs=human_rungs(state.rungs))
        answer = await self._carry_out(verdict, state, onward, deadline)
        document = await self._keep(state, answer, deadline)
        if answer.state is not None and _limited_call(state, verdict):
            self.live_calls.limit_soon(answer.state, LONGEST_TALK_SECONDS)
        return document

    async def _keep(self, state: CallState, answer: Answer, deadline: Deadline) -> str:
        """Once the answer is durable, limit a call that leaves our documents, which could not do that."""
        document = await self.answers.keep(state, answer, deadline)
        if answer.state is not None and answer.state.media == "redirect":
            self.live_calls.limit_soon(answer.state, talk_limit(answer.state))
        return document

    def _order_rungs(self, state: CallState) -> tuple[Rung, ...]:
        try:
            return build_ladder(state.route, self.providers, self.clock())
        except Exception as error:  # noqa: BLE001  settings that make no ladder must not cost the caller the voicemail
            emit("request.failed", exception=error, step=str(state.step), call_sid=state.call_sid)
            return (VOICEMAIL,)

    async def _admit(self, state: CallState, claim: CallClaim, deadline: Deadline) -> Answer:
        if claim.loop is not None:
            self.events.note(state, "call.loop", timeline_reason=claim.loop, kind=claim.loop)
        if claim.loop == "forwarded":
            self.recorder.note(SetOutcome(state.call_id, "rejected"))
            return Answer(twiml.reject_busy())
        if claim.crowd is not None:
            self.events.note(state, "call.capped", timeline_reason=claim.crowd, of=claim.crowd)
        if claim.diverted is not None:
            return self.documents.serve(state, Taken(VOICEMAIL, ()))
        return await self._descend(state, state.rungs, deadline)

    async def _carry_out(self, verdict: Verdict, state: CallState, onward: CallState, deadline: Deadline) -> Answer:
        match verdict:
            case Unsettled():
                return Answer(twiml.nothing())
            case Over(outcome, caller_gone=True):
                self.closer.end(state, outcome)
                return Answer(twiml.nothing())
            case Over(outcome):
                self.recorder.note(SetOutcome(state.call_id, outcome))
                return Answer(twiml.hang_up())
            case GoOn(ask_ai=False):  # the caller was answered, and waits again from now on
                onward = replace(onward, ringing_since=self.clock().timestamp())
                return await self._descend(onward, human_rungs(onward.rungs), deadline)
            case GoOn():
                return await self._descend(onward, onward.rungs, deadline)

    async def _descend(self, state: CallState, rungs: tuple[Rung, ...], deadline: Deadline) -> Answer:
        """Hand the call to the first rung that takes it."""
        if not self.ring_budget.has_room(state):
            rungs = (VOICEMAIL,)
        record = partial(self.events.note_attempt, state)
        taken = await self.dispatcher.find_taker(rungs, state.route, _as_inbound(state), deadline, record)
        if state.step.leg or taken.rung != rungs[0]:
            self.events.note(state, "call.fell_back", step=taken.rung.kind, provider=taken.rung.provider)
        return self.documents.serve(state, taken)

    async def _repeat(self, state: CallState, deadline: Deadline) -> str | CallState:
        """Twilio repeats a request: the stored answer while it is valid, else where the call stands."""
        emit("step.repeated", call_sid=state.call_sid, step=str(state.step))
        return await self.answers.find(state, deadline) or await self._take_over(state, deadline)

    async def _take_over(self, state: CallState, deadline: Deadline) -> str:
        """The process that claimed this step is too slow, or died with what it had noted."""
        if state.step == INBOUND:
            self._note_received(state)
        document = self.documents.serve_human(state).document
        await self.recorder.flush(deadline.left_for_work(replies=0.5))
        return document

    def _note_received(self, state: CallState) -> None:
        self.events.note(state, "call.received", caller=state.from_number, to=state.route.number)


def _limited_call(state: CallState, verdict: Verdict) -> bool:
    """Whether the AI's leg had limited the whole call, which now goes on: to a person, who may talk longer."""
    return state.media == "redirect" or (state.media == "stream" and verdict == GoOn(ask_ai=False))


def _as_inbound(state: CallState) -> InboundCall:
    route = state.route
    return InboundCall(
        call_id=state.call_id,
        call_sid=state.call_sid,
        agency_id=route.agency_id,
        client_id=route.client_id,
        client_name=route.client_name,
        caller=state.caller,
        withheld=state.from_number == WITHHELD,
        to=route.number,
        max_seconds=route.max_seconds or UNKNOWN_TALK_SECONDS,
    )
