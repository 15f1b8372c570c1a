"""What a provider's report means for its call.

Reports arrive late, repeatedly, out of order and from more than one provider. Each event is noted once, and a call that
is over stays over. router.webhooks.providers verifies reports; router.calls.native has the calls that only a provider
reports.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, Literal

from cachetools import FIFOCache

from adapters.base import ErrorKind, ProviderEvent
from crypto import Keyring
from router.calls.events import CallEvents, state_of
from router.calls.legs import is_being_moved, is_noted
from router.calls.recorder import Recorder
from router.calls.state import CallState, open_latest
from router.calls.steps import INBOUND, SAID, Step
from router.calls.transcripts import write_turns
from router.clock import Clock
from router.routing.circuit import Circuits, usage_of
from router.routing.failures import REFUSALS
from router.routing.route import Access
from router.store.calls.calls import Fact, StoredCall, find_latest_answer
from router.store.calls.records import SetStory
from router.store.calls.reports import ReportedCall, find_reported_call, is_step_claimed
from router.store.guard import DatabaseAwayError
from router.store.pool import Database

_ENDS: Final = ("ai.ended", "ai.failed")
_MOST_KINDS: Final = 20  # of reports without a meaning to us, for a provider and call
_MOST_KNOWN: Final = 10_000
_FLUSH_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Reports:
    """Takes verified reports. `redirected`: the providers to which a call may have been redirected."""

    database: Database
    keyring: Keyring
    recorder: Recorder
    events: CallEvents
    circuits: Circuits
    clock: Clock
    redirected: Collection[str]
    _taken: FIFOCache[tuple[str | None, ...], None] = field(default_factory=lambda: FIFOCache(_MOST_KNOWN))

    async def take(
        self, provider: str, agency_id: str, event: ProviderEvent
    ) -> Literal["unknown_call", "foreign_call"] | None:
        """Durable when it returns. None: taken; else why not. Raises DATABASE_ERRORS: the provider has to send it again."""
        mark = (provider, agency_id, event.provider_call_id, event.call_id, event.original)
        if event.kind == "other" and mark in self._taken:
            return None
        call = await find_reported_call(
            self.database.webhooks, agency_id, provider, event.call_id, event.provider_call_id
        )
        if call is None and self.recorder.spooling:
            raise DatabaseAwayError  # it may not be there yet
        if call is None:
            return "unknown_call"
        if call.agency_id != agency_id:
            return "foreign_call"
        await self._note(call, provider, event)
        if event.kind == "other":
            self._taken[mark] = None
        return None

    def keep_story(self, call_id: str, provider: str, event: ProviderEvent) -> None:
        """Keep what the report says about the whole call."""
        if event.kind not in ("ended", "analyzed"):
            return
        self.recorder.note(
            SetStory(
                call_id,
                provider,
                provider_call_id=event.provider_call_id,
                end_reason=event.reason,
                summary=event.summary,
                transcript=event.transcript,
                turns=write_turns(event.turns),
                cost=event.cost,
                ai_seconds=event.seconds,
            )
        )

    def keep_other(self, state: CallState, provider: str, event: ProviderEvent, facts: Iterable[Fact]) -> None:
        """Keep the name of a report without a meaning to us: once, and only for the first few."""
        kinds = {fact.step for fact in facts if fact.event == "ai.reported" and fact.provider == provider}
        kind = event.original
        if kind in kinds or len(kinds) >= _MOST_KINDS:
            return
        self.events.note(
            state, "ai.reported", step=kind, provider=provider, reason=kind, provider_call_id=event.provider_call_id
        )

    def keep_end(self, state: CallState, provider: str, event: ProviderEvent, *, failed: bool) -> bool:
        """Note how the provider's part of the call ended. False: it was known."""
        return self.events.note(
            state,
            "ai.failed" if failed else "ai.ended",
            provider=provider,
            reason=event.reason,
            seconds=event.seconds,
            provider_call_id=event.provider_call_id,
        )

    def count_end(self, state: CallState, provider: str, failure: ErrorKind | None, *, key_version: int | None) -> None:
        """Count the end of a call, failed or not, for the circuits and for the key with which the call was made."""
        if key_version is None:
            return
        route = replace(state.route, accesses=(Access(provider, key_version=key_version),))
        self.circuits.report_leg(usage_of(route, provider), failure)
        if failure is not None:
            self.events.learn_of_failure(route, provider, failure)

    async def _note(self, call: ReportedCall, provider: str, event: ProviderEvent) -> None:
        state, facts = state_of(call, SAID), call.facts
        ended = event.kind == "ended" and self._note_end(state, provider, event, facts)
        if event.kind == "started":
            await self._note_start(call, state, provider, facts)
        elif event.kind == "ended":
            await self._note_talk(call, provider, event, facts)
        elif event.kind == "other":
            self.keep_other(state, provider, event, facts)
        self.keep_story(call.id, provider, event)
        await self.recorder.flush(_FLUSH_SECONDS)
        if ended and not event.unanswered and _counts(call, provider, event.failure, facts):
            self.count_end(state, provider, event.failure, key_version=call.key_version)

    async def _note_start(self, call: StoredCall, state: CallState, provider: str, facts: tuple[Fact, ...]) -> None:
        """Note that the AI answered, unless its leg is over or the answer is known."""
        step = _step_of_leg(facts, provider)
        if (
            step is None
            or call.ended_at is not None
            or _ends(facts, provider)
            or is_noted(facts, "call.answered", step)
        ):
            return
        if not await is_step_claimed(self.database.webhooks, call, str(step)):
            self.events.note_answer(replace(state, step=step), "ai", provider, self.clock())

    async def _note_talk(self, call: StoredCall, provider: str, event: ProviderEvent, facts: tuple[Fact, ...]) -> None:
        """Note that the AI answered a call redirected to it: only its provider tells that, and only at the end."""
        step = _step_of_leg(facts, provider)
        if provider not in self.redirected or step is None or not event.seconds:
            return
        if is_noted(facts, "call.answered", step):
            return
        latest = await find_latest_answer(self.database.webhooks, call.account_sid, call.call_sid)
        state = open_latest(self.keyring, latest, call.account_sid, call.call_sid)
        if state is not None and state.media == "redirect" and state.step == step:
            ended_at = call.ended_at or self.clock()
            self.events.note_answer(state, "ai", provider, ended_at - timedelta(seconds=event.seconds))

    def _note_end(self, state: CallState, provider: str, event: ProviderEvent, facts: tuple[Fact, ...]) -> bool:
        """Note one end for each provider. False for a repetition."""
        failure = None if is_being_moved(facts) else event.failure
        known = _ends(facts, provider)
        explained = failure is None or any(end.event == "ai.failed" or end.reason for end in known)
        if known and explained:
            return False
        return self.keep_end(state, provider, event, failed=failure is not None)


def _ends(facts: tuple[Fact, ...], provider: str) -> list[Fact]:
    return [fact for fact in facts if fact.event in _ENDS and fact.provider == provider]


def _step_of_leg(facts: tuple[Fact, ...], provider: str) -> Step | None:
    """The leg on which the provider has the call: the one after the step with its handoff."""
    for fact in facts:
        if fact.event == "handoff.succeeded" and fact.provider == provider:
            return (Step.parse(fact.step) if fact.step else INBOUND).after("ai")
    return None


def _counts(call: StoredCall, provider: str, failure: ErrorKind | None, facts: tuple[Fact, ...]) -> bool:
    """Whether the end counts: not if the failed leg did, if we moved the call, or if the caller hung up before an answer."""
    if failure is None:
        return True
    if is_being_moved(facts) or any(fact.event == "handoff.failed" and fact.provider == provider for fact in facts):
        return False
    step = _step_of_leg(facts, provider)
    waited_for = call.ended_at is None or (step is not None and is_noted(facts, "call.answered", step))
    return waited_for or failure in REFUSALS
