"""The end of a call, from the number's status callback: the one message about a call that carries no state of ours.

Most outcomes are known by then. What is decided here is the rest: callers who hung up where Twilio asks us nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from crypto import Keyring
from router.calls import legs
from router.calls.events import CallEvents, state_of
from router.calls.recorder import Recorder
from router.calls.state import CallState, StateError, open_answer
from router.routing.dispatch import Deadline
from router.store.calls import (
    StoredCall,
    end_call,
    end_call_later,
    find_call,
    find_facts,
    find_latest_answer,
    set_seconds,
)
from router.store.pool import DATABASE_ERRORS, Database
from router.telemetry import metrics

_REPLY_SECONDS: Final = 0.4


class Closer:
    """Closes calls, each once."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        recorder: Recorder,
        events: CallEvents,
        clock: Callable[[], datetime],
        new_id: Callable[[str], str],
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._recorder = recorder
        self._events = events
        self._clock = clock
        self._new_id = new_id

    async def close(self, account_sid: str, call_sid: str, params: Mapping[str, str], deadline: Deadline) -> None:
        """Close the call that this status callback is about; one that is not over, or not ours, is left alone."""
        if not legs.is_caller_gone(params):
            return
        try:
            await self._close(account_sid, call_sid, params)
        except DATABASE_ERRORS:
            seconds = _whole(params.get("CallDuration"))
            event_id = self._new_id("event")
            self._recorder.note(end_call_later(account_sid, call_sid, event_id, self._clock(), seconds))
        await self._recorder.flush(deadline.left() - _REPLY_SECONDS)

    async def _close(self, account_sid: str, call_sid: str, params: Mapping[str, str]) -> None:
        call = await find_call(self._database.settings, account_sid, call_sid)
        if call is None:
            return
        seconds = _whole(params.get("CallDuration"))
        if call.ended_at is None:
            await self._end(call, account_sid, call_sid, params, seconds)
        elif seconds is not None:
            self._recorder.note(set_seconds(call.id, seconds))

    async def _end(
        self, call: StoredCall, account_sid: str, call_sid: str, params: Mapping[str, str], seconds: int | None
    ) -> None:
        outcome = call.outcome or await self._conclude(call, account_sid, call_sid, params)
        closed = await end_call(self._database.settings, call.id, self._clock(), outcome, seconds)
        if closed is None:
            return
        metrics.call_ended(closed)
        state = state_of(call, "status")
        self._events.note(state, "call.ended", timeline_reason=closed, outcome=closed, seconds=seconds)

    async def _conclude(self, call: StoredCall, account_sid: str, call_sid: str, params: Mapping[str, str]) -> str:
        """The outcome of a call that nobody told us the end of: by who had it last."""
        if call.answered_by in ("ai", "owner"):
            return call.answered_by
        state = await self._find_last_state(account_sid, call_sid)
        if state is None or state.rung is None or params.get("CallStatus") != "completed":
            return "abandoned"
        facts = await find_facts(self._database.settings, call.id)
        if state.rung.step == "owner":
            accepted = any(fact.event == "owner.accepted" and fact.step == state.step for fact in facts)
            return "owner" if accepted or not state.route.routing.screen else "abandoned"
        if state.rung.step == "ai":
            return "ai" if _was_taken(state, params) else "abandoned"
        return "abandoned"

    async def _find_last_state(self, account_sid: str, call_sid: str) -> CallState | None:
        found = await find_latest_answer(self._database.settings, account_sid, call_sid)
        if found is None:
            return None
        step, sealed = found
        try:
            return open_answer(self._keyring, sealed, account_sid, call_sid, step).state
        except StateError:
            return None


def _was_taken(state: CallState, params: Mapping[str, str]) -> bool:
    """A dial that answers on bridge makes the call "completed" only if it was bridged; a stream answers at once."""
    if state.media == "stream":
        return (_whole(params.get("CallDuration")) or 0) >= legs.LEAST_TALK_SECONDS
    return True


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None
