"""The end of a call, from the number's status callback: the one message about a call that carries no state of ours.

Most outcomes are known by then. What is decided here is the rest: callers who hung up where Twilio asks us nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto import Keyring
from router.calls import legs
from router.calls.events import CallEvents, event_id_of, state_of
from router.calls.fair_queue import FairQueue
from router.calls.recorder import Recorder
from router.calls.state import Agencies, CallState, call_id_of, open_latest, require_proof
from router.calls.steps import END
from router.clock import Clock
from router.routing.deadline import Deadline
from router.store.calls.calls import StoredCall, find_agency_call, find_call, find_facts, find_latest_answer
from router.store.calls.records import (
    EndCall,
    EndCallLater,
    SetSeconds,
    UnrecordedCallError,
)
from router.store.calls.sweeps import carry_out_early_ends
from router.store.guard import DatabaseAwayError, Guard
from router.store.pool import AWAY_ERRORS, Database
from router.telemetry import metrics


@dataclass(frozen=True, slots=True)
class Closer:
    """Closes calls, each once."""

    database: Database
    guard: Guard
    keyring: Keyring
    recorder: Recorder
    events: CallEvents
    queue: FairQueue
    clock: Clock

    def end(self, state: CallState, outcome: str, seconds: int | None = None, *, at: datetime | None = None) -> None:
        """The caller is gone. `at`: when, if not just now. Durable, and logged, with the recorder's next flush."""
        at = at or self.clock()
        event_id = event_id_of(state.call_id, "call.ended", str(END))
        end = EndCall(state.call_id, event_id, at, outcome, seconds)
        self.recorder.note_end(end, lambda outcome: self._tell(state, outcome, seconds))

    async def close(
        self,
        account_sid: str,
        call_sid: str,
        params: Mapping[str, str],
        deadline: Deadline,
        *,
        agencies: Agencies = None,
        at: datetime | None = None,
    ) -> None:
        """Close the call that this status callback is about; one that is not over, or not ours, is left alone.

        Raises ForeignCallError.
        """
        at = at or self.clock()
        if not legs.is_caller_gone(params):
            return
        seconds = legs.read_seconds(params, "CallDuration")
        try:
            if self.recorder.spooling:
                raise DatabaseAwayError
            async with self.queue.place(account_sid):
                await self.guard.ask(lambda: self._close(account_sid, call_sid, params, seconds, at, agencies))
        except (*AWAY_ERRORS, UnrecordedCallError):
            call_id = call_id_of(account_sid, call_sid)
            event_id = event_id_of(call_id, "call.ended", str(END))
            for agency_id in ("",) if agencies is None else agencies:
                self.recorder.note(EndCallLater(call_id, event_id, at, seconds, agency_id))
        await self.recorder.flush(deadline.left_for_work())

    async def carry_out_early_ends(self) -> None:
        """Ends that arrived before their calls were on record. Raises DatabaseAwayError."""
        await self.guard.ask(self._carry_out_early_ends)

    async def _carry_out_early_ends(self) -> None:
        pool = self.database.webhooks
        for end in await carry_out_early_ends(pool, self.clock()):
            if call := await find_agency_call(pool, end.agency_id, end.call_id):
                self._tell(state_of(call, END), end.outcome, end.seconds)

    async def _close(
        self,
        account_sid: str,
        call_sid: str,
        params: Mapping[str, str],
        seconds: int | None,
        at: datetime,
        agencies: Agencies,
    ) -> None:
        call = await find_call(self.database.webhooks, account_sid, call_sid)
        if call is None:
            raise UnrecordedCallError
        require_proof(agencies, call.agency_id)
        if call.ended_at is None:
            outcome = call.outcome or await self._conclude(call, params, at)
            self.end(state_of(call, END), outcome, seconds, at=at)
        elif seconds is not None:
            self.recorder.note(SetSeconds(call.id, seconds))

    def _tell(self, state: CallState, outcome: str, seconds: int | None) -> None:
        if self.events.log_end(state, outcome, seconds):
            metrics.call_ended(outcome)

    async def _conclude(self, call: StoredCall, params: Mapping[str, str], at: datetime) -> str:
        """The outcome of a call whose last leg reported no end: judged by who had the call last."""
        latest = await find_latest_answer(self.database.webhooks, call.account_sid, call.call_sid)
        state = open_latest(self.keyring, latest, call.account_sid, call.call_sid)
        if state is None or state.rung is None:
            return call.answered_by if call.answered_by in ("ai", "owner") else "abandoned"
        facts = await find_facts(self.database.webhooks, call.id)
        here = {fact.event for fact in facts if fact.step == str(state.step)}
        completed = params.get("CallStatus") == "completed"
        duration = legs.read_seconds(params, "CallDuration") or 0
        talked = {
            "owner": "owner.accepted" in here or not state.route.routing.screen,
            # A dial that answers on bridge makes the call "completed" only if it was bridged, a redirect only if the
            # provider's documents ran; a stream answers at once.
            "ai": "call.answered" in here or state.media != "stream" or duration >= legs.LEAST_TALK_SECONDS,
            "voicemail": False,
        }
        if not completed or not talked[state.rung.kind]:
            return "abandoned"
        if state.media == "redirect" and "call.answered" not in here:  # the carrier told us nothing of the leg
            self.events.note_answer(state, "ai", state.provider, at - timedelta(seconds=duration))
        return state.rung.kind
