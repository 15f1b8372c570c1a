"""The end of a call, from the number's status callback: the one message about a call that carries no state of ours.

Most outcomes are known by then. What is decided here is the rest: callers who hung up where Twilio asks us nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from crypto import Keyring
from router.calls import legs
from router.calls.events import CallEvents, event_id_of, state_of
from router.calls.recorder import Recorder
from router.calls.state import CallState, StateError, call_id_of, open_answer
from router.calls.steps import END, Step
from router.routing.deadline import Deadline
from router.store.calls.calls import StoredCall, find_agency_call, find_call, find_facts, find_latest_answer
from router.store.calls.early_ends import carry_out_early_ends
from router.store.calls.records import EndCallLater, SetEnded, SetOutcome, SetSeconds, UnrecordedCallError, end_call
from router.store.guard import DatabaseAwayError, Guard
from router.store.pool import AWAY_ERRORS, Database
from router.telemetry import emit, metrics

_EARLY_ENDS_SECONDS: Final = 2.0


class Closer:
    """Closes calls, each once."""

    def __init__(
        self,
        *,
        database: Database,
        guard: Guard,
        keyring: Keyring,
        recorder: Recorder,
        events: CallEvents,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._guard = guard
        self._keyring = keyring
        self._recorder = recorder
        self._events = events
        self._clock = clock

    async def end(
        self, state: CallState, outcome: str, seconds: int | None = None, *, at: datetime | None = None
    ) -> None:
        """The caller is gone, as one of our own callbacks says, or a provider that had the call to itself.

        `at`: when, if that was not just now.
        """
        await self._end(state, outcome, seconds, at or self._clock())

    async def close(
        self,
        account_sid: str,
        call_sid: str,
        params: Mapping[str, str],
        deadline: Deadline,
        *,
        at: datetime | None = None,
    ) -> None:
        """Close the call that this status callback is about; one that is not over, or not ours, is left alone."""
        at = at or self._clock()
        if not legs.is_caller_gone(params):
            return
        seconds = legs.read_seconds(params, "CallDuration")
        try:
            if self._recorder.spooling:
                raise DatabaseAwayError
            await self._guard.ask(lambda: self._close(account_sid, call_sid, params, seconds, at))
        except (*AWAY_ERRORS, UnrecordedCallError):
            call_id = call_id_of(account_sid, call_sid)
            self._recorder.note(EndCallLater(call_id, event_id_of(call_id, "call.ended", str(END)), at, seconds))
        await self._recorder.flush(deadline.left_for_work())

    async def carry_out_early_ends_now_and_then(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_EARLY_ENDS_SECONDS)
            try:
                await self._guard.ask(self._carry_out_early_ends)
            except DatabaseAwayError:
                continue
            except Exception as error:  # noqa: BLE001  the next time may go well
                emit("request.failed", exception=error)

    async def _carry_out_early_ends(self) -> None:
        pool = self._database.settings
        for end in await carry_out_early_ends(pool, self._clock()):
            if call := await find_agency_call(pool, end.agency_id, end.call_id):
                self._note_end(state_of(call, END), end.outcome, end.seconds, end.at)

    async def _close(
        self, account_sid: str, call_sid: str, params: Mapping[str, str], seconds: int | None, at: datetime
    ) -> None:
        call = await find_call(self._database.settings, account_sid, call_sid)
        if call is None:
            raise UnrecordedCallError
        if call.ended_at is None:
            outcome = call.outcome or await self._conclude(call, account_sid, call_sid, params)
            await self._end(state_of(call, END), outcome, seconds, at)
        elif seconds is not None:
            self._recorder.note(SetSeconds(call.id, seconds))

    async def _end(self, state: CallState, outcome: str, seconds: int | None, at: datetime) -> None:
        event_id = event_id_of(state.call_id, "call.ended", str(END))
        try:
            if self._recorder.spooling:
                raise DatabaseAwayError
            closed = await self._guard.ask(
                lambda: end_call(self._database.settings, state.call_id, event_id, at, outcome, seconds)
            )
        except (*AWAY_ERRORS, UnrecordedCallError):
            self._recorder.note(SetOutcome(state.call_id, outcome), SetEnded(state.call_id, at, seconds))
            closed = outcome
        if closed is not None:
            self._note_end(state, closed, seconds, at)

    def _note_end(self, state: CallState, outcome: str, seconds: int | None, at: datetime) -> None:
        if self._events.note(
            state, "call.ended", step=END, timeline_reason=outcome, at=at, outcome=outcome, seconds=seconds
        ):
            metrics.call_ended(outcome)

    async def _conclude(self, call: StoredCall, account_sid: str, call_sid: str, params: Mapping[str, str]) -> str:
        """The outcome of a call that nobody told us the end of: by who had it last."""
        state = await self._find_last_state(account_sid, call_sid)
        if state is None or state.rung is None:
            return call.answered_by if call.answered_by in ("ai", "owner") else "abandoned"
        facts = await find_facts(self._database.settings, call.id)
        here = {fact.event for fact in facts if fact.step == str(state.step)}
        completed = params.get("CallStatus") == "completed"
        if state.rung.kind == "owner":
            talked = "owner.accepted" in here or not state.route.routing.screen
            return "owner" if completed and talked else "abandoned"
        if state.rung.kind == "ai":
            talked = "call.answered" in here or _was_taken(state, params)
            return "ai" if completed and talked else "abandoned"
        return "abandoned"

    async def _find_last_state(self, account_sid: str, call_sid: str) -> CallState | None:
        found = await find_latest_answer(self._database.settings, account_sid, call_sid)
        if found is None:
            return None
        step, sealed = found
        try:
            return open_answer(self._keyring, sealed, account_sid, call_sid, Step.parse(step)).state
        except StateError:
            return None


def _was_taken(state: CallState, params: Mapping[str, str]) -> bool:
    """A dial that answers on bridge makes the call "completed" only if it was bridged; a stream answers at once."""
    if state.media == "stream":
        return (legs.read_seconds(params, "CallDuration") or 0) >= legs.LEAST_TALK_SECONDS
    return True
