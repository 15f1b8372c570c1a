"""Notes what happens on a call: a log line and a row of the call's timeline, under the same name.

Every call event is noted here: by `CallEvents.note`, or by `note_within` if its row belongs to another transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from cachetools import FIFOCache

from adapters.base import ErrorKind
from adapters.portable import Lines
from router.calls.key_notes import KeyNotes
from router.calls.recorder import Recorder
from router.calls.state import CallState
from router.calls.steps import END, Step
from router.clock import Clock
from router.ids import derive_id
from router.routing.circuit import Change, usage_of
from router.routing.dispatch import Attempt, Ended, Late, Skipped, Started, Unreadable
from router.routing.failures import EFFECTS
from router.routing.route import Route, SkipReason
from router.store.calls.calls import StoredCall
from router.store.calls.records import InsertEvent, MarkAssistant, SetAnswered, write_records
from router.store.pool import Connection
from router.telemetry import emit, metrics, traces

_MOST_KNOWN: Final = 10_000


def event_id_of(call_id: str, event: str, step: str, provider: str | None = None) -> str:
    """The id of an event that a call has once. Every process derives the same id."""
    return derive_id("event", f"{call_id}/{event}/{step}/{provider or ''}")


@dataclass(frozen=True, slots=True)
class CallEvents:
    """Notes call events. They are durable after the recorder's next flush."""

    recorder: Recorder
    clock: Clock
    key_notes: KeyNotes | None = None
    _known: FIFOCache[tuple[str, str, str, str | None], None] = field(
        default_factory=lambda: FIFOCache(_MOST_KNOWN), init=False
    )

    def note(
        self,
        state: CallState,
        event: str,
        *,
        step: Step | str | None = None,
        provider: str | None = None,
        reason: str | None = None,
        seconds_taken: float | None = None,
        timeline_reason: str | None = None,
        at: datetime | None = None,
        **fields: Any,
    ) -> bool:
        """Log the event and add it to the timeline. `at`: when it happened, if not just now. `step` and
        `timeline_reason`: what the timeline shows instead of the state's step and of `reason`.

        Twilio repeats some callbacks. An event of the same step and provider is noted once; False: it was known.
        """
        at_step = str(step or state.step)
        if self._is_known((state.call_id, event, at_step, provider)):
            return False
        record = InsertEvent(
            event_id_of(state.call_id, event, at_step, provider),
            state.call_id,
            at or self.clock(),
            event,
            step=at_step,
            provider=provider,
            reason=timeline_reason or reason,
            duration_ms=None if seconds_taken is None else round(seconds_taken * 1000),
        )
        _log(state, record, reason=reason, **fields)
        self.recorder.note(record)
        return True

    def note_answer(
        self, state: CallState, by: Literal["ai", "owner", "voicemail"], provider: str | None, at: datetime
    ) -> None:
        """A person or a machine answered. `at` may be computed from durations that Twilio rounds to whole seconds, so it
        is moved to the start of the call if it lies before that.
        """
        at = max(at, datetime.fromtimestamp(max(state.started_at, state.served_at), at.tzinfo))
        if self.note(state, "call.answered", provider=provider, timeline_reason=by, at=at, by=by):
            metrics.call_answered(by)
            if not self._is_known((state.call_id, "call.answered", "first", None)):
                metrics.call_answered_after(by, at.timestamp() - state.started_at)
        self.recorder.note(SetAnswered(state.call_id, by, provider, at))

    def log_end(self, state: CallState, outcome: str, seconds: int | None) -> bool:
        """Log that a call is over. Its end is in the timeline already. False: it was known."""
        if self._is_known((state.call_id, "call.ended", str(END), None)):
            return False
        emit("call.ended", **_names_of(state), step=str(END), outcome=outcome, seconds=seconds)
        return True

    def learn_of_failure(self, route: Route, provider: str, failure: ErrorKind) -> None:
        """Note what a refused or lost call tells about the agency's key."""
        if self.key_notes is None:
            return
        key, effect = usage_of(route, provider), EFFECTS[failure]
        if effect.doubts_key:
            self.key_notes.note_refusal(key)
        if failure is ErrorKind.OUT_OF_CREDIT:
            self.key_notes.note_no_credit(key)
        if effect.overflows:
            self.key_notes.note_overflow(key)

    def _learn(self, route: Route, attempt: Attempt) -> None:
        if self.key_notes is None:
            return
        match attempt:
            case Ended(lines=Lines() as lines):
                self.key_notes.note_lines(usage_of(route, attempt.provider), lines)
            case Ended(reason=ErrorKind() as failure):
                self.learn_of_failure(route, attempt.provider, failure)
            case Skipped(reason=SkipReason.AT_CAPACITY, no_line=True):
                self.key_notes.note_overflow(usage_of(route, attempt.provider))

    def _is_known(self, mark: tuple[str, str, str, str | None]) -> bool:
        """Whether this process noted it lately. The timeline's unique key removes repeats by other processes."""
        if mark in self._known:
            return True
        self._known[mark] = None
        return False

    def note_attempt(self, state: CallState, attempt: Attempt) -> None:
        """Note what the dispatcher reports about an attempt."""
        provider = attempt.provider
        self._learn(state.route, attempt)
        match attempt:
            case Started():
                self.note(state, "handoff.requested", provider=provider)
            case Skipped(reason=reason):
                metrics.handoff_skipped(reason)
                self.note(state, "handoff.skipped", provider=provider, reason=reason)
            case Unreadable(key_version=version):
                metrics.key_unreadable(provider)
                emit("key.unreadable", **_names_of(state), kind=provider, key_version=version)
            case Late(seconds=seconds, ended=ended):
                self.note(state, "handoff.late", provider=provider, seconds_taken=seconds, ended=ended)
            case Ended(reason=None, seconds=seconds):
                metrics.handoff_finished(provider, "succeeded", seconds)
                self.note(state, "handoff.succeeded", provider=provider, seconds_taken=seconds)
            case Ended(reason=ErrorKind() as failed, seconds=seconds, status=status, bug=bug):
                metrics.handoff_finished(provider, str(failed), seconds)
                if bug is not None:
                    emit("request.failed", exception=bug, call_id=state.call_id, call_sid=state.call_sid)
                if EFFECTS[failed].marks_assistant:
                    self.recorder.note(MarkAssistant(state.route.client_id, provider, self.clock()))
                    if self.key_notes is not None:
                        self.key_notes.note_marked(usage_of(state.route, provider))
                self.note(
                    state, "handoff.failed", provider=provider, reason=failed, seconds_taken=seconds, status=status
                )


async def note_within(
    connection: Connection, state: CallState, event: str, at: datetime, *, step: str, **fields: Any
) -> None:
    """Log the event and add it to the timeline within the transaction of `connection`. `step` as in `note`."""
    record = InsertEvent(event_id_of(state.call_id, event, step), state.call_id, at, event, step=step)
    await write_records(connection, record)
    _log(state, record, **fields)


def _log(state: CallState, record: InsertEvent, **fields: Any) -> None:
    known = {"step": record.step, "provider": record.provider, "duration_ms": record.duration_ms, **fields}
    traces.here().note(record.event, provider=record.provider, reason=record.reason)
    emit(record.event, **_names_of(state), **known)


def _names_of(state: CallState) -> dict[str, str]:
    """The fields of every log line of a call."""
    return {
        "call_id": state.call_id,
        "call_sid": state.call_sid,
        "agency_id": state.route.agency_id,
        "client_id": state.route.client_id,
    }


def tell_circuit(change: Change) -> None:
    """Log and count that a circuit opened or closed."""
    metrics.circuit_changed(change.scope, change.usage.provider, change.opened)
    emit(
        "circuit.opened" if change.opened else "circuit.closed",
        scope=change.scope,
        provider=change.usage.provider,
        agency_id=change.usage.agency_id if change.scope == "agency" else None,
        key_version=change.usage.key_version if change.scope == "agency" else None,
        seconds=round(change.seconds, 3),
        **({"reason": change.reason} if change.reason else {}),
    )


def state_of(call: StoredCall, step: Step = END) -> CallState:
    """The state of a recorded call: enough to note events."""
    return CallState(
        call_id=call.id,
        account_sid=call.account_sid,
        call_sid=call.call_sid,
        from_number=call.from_number,
        caller=None,
        route=Route(call.agency_id, call.client_id, "", call.account_sid, call.to_number),
        rungs=(),
        started_at=call.started_at.timestamp(),
        step=step,
    )
