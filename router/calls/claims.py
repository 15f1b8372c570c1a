"""Claims a call's steps in the database or, while that is away, from what this process remembers.

While the database is away, a call to a number seen lately is placed with its remembered route, and a later step
continues from the state in its address. The rows go to the recorder; every process derives the same ids for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from router.calls.fair_queue import FairQueue
from router.calls.memory import RouteMemory
from router.calls.own_steps import OwnSteps
from router.calls.recorder import Recorder
from router.calls.state import CallState, call_id_of
from router.calls.steps import INBOUND
from router.clock import Clock
from router.routing.route import Route
from router.store.calls.calls import CallClaim, StepClaim, claim_call, claim_step
from router.store.calls.records import InsertStep
from router.store.guard import Guard
from router.store.keys.proofs import SealedToken
from router.store.pool import AWAY_ERRORS, Database
from router.telemetry import traces


class UnavailableError(Exception):
    """Nothing is known of the call: the database is away, or too many others came before it, in the same moment, for an
    answer in time. The static fallback has to take it.
    """


@dataclass(frozen=True, slots=True)
class Inbound:
    """A verified request for a new call."""

    account_sid: str
    call_sid: str
    from_number: str  # as Twilio spelled it; `withheld` if it is
    caller: str | None  # E.164
    to: str
    forwarded_from: str | None  # the end of that phone's E.164 number, if it can be told
    tokens: tuple[SealedToken, ...] | None  # those that proved it; None for the platform's own

    @property
    def call_id(self) -> str:
        return call_id_of(self.account_sid, self.call_sid)


@dataclass(frozen=True, slots=True)
class NewCall:
    """An inbound call: its state, still without a ladder, and the result of claiming it."""

    state: CallState
    claim: CallClaim


@dataclass(frozen=True, slots=True)
class Caps:
    """How many concurrent calls a caller and an agency may have; further calls go to voicemail.

    Without the database they are not counted, and the AI gets them.
    """

    of_caller: int
    of_agency: int


@dataclass(frozen=True, slots=True)
class Claims:
    database: Database
    guard: Guard
    memory: RouteMemory
    own_steps: OwnSteps
    recorder: Recorder
    caps: Caps
    queue: FairQueue
    clock: Clock

    async def claim_call(self, call: Inbound) -> NewCall | None:
        """None: that number is not set up on that account. Raises UnavailableError."""
        with traces.span("claim", call_id=call.call_id, call_sid=call.call_sid) as span:
            new = await self._claim_call(call)
            if new is not None:
                route = new.state.route
                span.set(agency_id=route.agency_id, client_id=route.client_id, claimed=new.claim.claimed)
            return new

    async def _claim_call(self, call: Inbound) -> NewCall | None:
        now, asked = self.clock(), self.memory.now()
        known = self.memory.find_route(call.account_sid, call.to)
        try:
            async with self.queue.place(known.agency_id if known else call.to):
                claim = await self.guard.ask(
                    lambda: claim_call(
                        self.database.calls,
                        account_sid=call.account_sid,
                        to=call.to,
                        call_id=call.call_id,
                        call_sid=call.call_sid,
                        from_number=call.from_number,
                        now=now,
                        forwarded_from=call.forwarded_from,
                        tokens=None if call.tokens is None else [token.sealed for token in call.tokens],
                        most_of_caller=self.caps.of_caller if call.caller else None,
                        most_of_agency=self.caps.of_agency,
                    )
                )
        except AWAY_ERRORS:
            return self._claim_from_memory(call, now)
        if claim is None:
            return None
        self.memory.keep_route(claim.route, asked)
        state = _begin(call, claim.route, now)
        self.recorder.note(state.record, _step_record(state, now), spool_only=True)
        # This process may have begun the call while the database was away, before the database had it.
        # A repeated request does not begin it: its reply may arrive before that to the first request.
        begun = claim.claimed and self.own_steps.begin(state.mark)
        return NewCall(state, claim if begun == claim.claimed else replace(claim, claimed=begun))

    async def claim_step(self, state: CallState) -> StepClaim:
        """Also reads the current route and what happened before, both unknown while the database is away."""
        with traces.span("claim", call_id=state.call_id, call_sid=state.call_sid, step=str(state.step)) as span:
            claim = await self._claim_step(state)
            span.set(agency_id=state.route.agency_id, client_id=state.route.client_id, claimed=claim.claimed)
            return claim

    async def _claim_step(self, state: CallState) -> StepClaim:
        now, away = self.clock(), False
        try:
            async with self.queue.place(state.route.agency_id):
                claim = await self.guard.ask(
                    lambda: claim_step(
                        self.database.calls,
                        account_sid=state.account_sid,
                        number=state.route.number,
                        call_sid=state.call_sid,
                        step=str(state.step),
                        call_id=state.call_id,
                        now=now,
                    )
                )
        except AWAY_ERRORS:
            claim, away = StepClaim(True, state.route, None), True
        # The call's row comes before its other records, and may still be in another process's spool.
        self.recorder.note(state.record, spool_only=claim.facts is not None)
        self.recorder.note(_step_record(state, now), spool_only=not away)
        begun = claim.claimed and self.own_steps.begin(state.mark)
        # While records are in the spool, the database does not have all of the facts.
        facts = None if self.recorder.spooling else claim.facts
        return StepClaim(begun, claim.route, facts)

    def _claim_from_memory(self, call: Inbound, now: datetime) -> NewCall:
        route = self.memory.find_route(call.account_sid, call.to)
        if route is None or not _is_proven_by(route, call.tokens):
            raise UnavailableError
        state = _begin(call, route, now)
        self.recorder.note(state.record, _step_record(state, now))
        return NewCall(state, CallClaim(route, self.own_steps.begin(state.mark)))


def _begin(call: Inbound, route: Route, now: datetime) -> CallState:
    return CallState(
        call_id=call.call_id,
        account_sid=call.account_sid,
        call_sid=call.call_sid,
        from_number=call.from_number,
        caller=call.caller,
        route=route,
        rungs=(),
        started_at=now.timestamp(),
        step=INBOUND,
    )


def _step_record(state: CallState, at: datetime) -> InsertStep:
    return InsertStep(state.account_sid, state.call_sid, str(state.step), state.call_id, at)


def _is_proven_by(route: Route, tokens: tuple[SealedToken, ...] | None) -> bool:
    """A number on an agency's own account answers only to that agency's token."""
    return tokens is None or any(token.agency_id == route.agency_id for token in tokens)
