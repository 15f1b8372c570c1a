"""Every step of a call is answered once: the answer to the first request is stored and given to repeated ones.

Claiming a step is router.calls.claims; what a repeated request means for the call is router.calls.flow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from crypto import Keyring
from router.calls.own_steps import Kept, OwnSteps
from router.calls.recorder import Recorder
from router.calls.state import Answer, CallState, Mark, StateError, open_answer, open_latest, seal_answer
from router.calls.steps import INBOUND, Step
from router.clock import Clock
from router.routing.deadline import Deadline
from router.store.calls.calls import find_answers, find_latest_answer, find_step, forget_step
from router.store.calls.records import StoreAnswer
from router.store.guard import Guard
from router.store.pool import DATABASE_ERRORS, Pool

GOOD_FOR: Final = timedelta(seconds=60)
_FLUSH_SECONDS: Final = 2.0
_FIRST_POLL_SECONDS: Final = 0.03
_LAST_POLL_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Answers:
    """Keeps and finds the answers of steps."""

    pool: Pool
    guard: Guard
    keyring: Keyring
    recorder: Recorder
    own_steps: OwnSteps
    clock: Clock
    answer_deadline: float

    async def keep(self, state: CallState, answer: Answer, deadline: Deadline) -> str:
        """Store the answer to the step of `state`, durably and after all events noted before, unless time runs out."""
        sealed = seal_answer(self.keyring, answer, *state.mark)
        now = self.clock()
        self.recorder.note(StoreAnswer(state.account_sid, state.call_sid, str(state.step), now, sealed))
        await self.recorder.flush(min(_FLUSH_SECONDS, deadline.left_for_work()))
        self.own_steps.settle(state.mark, Kept(sealed, now))
        return answer.document

    async def forget(self, state: CallState) -> None:
        """Release the step of `state`, so that the next request can claim it."""
        self.own_steps.drop(state.mark)
        await self.guard.ask(lambda: forget_step(self.pool, state.account_sid, state.call_sid, str(state.step)))

    async def find(self, state: CallState, deadline: Deadline) -> str | CallState | None:
        """For a repeated request: a document that is still valid, or where the call stands, or neither.

        Waits for the answer to this step until the deadline, or that of the request that claimed it.

        The database comes first, but may lack what this process has not written yet.
        """
        try:
            return await self._find_stored(state, deadline)
        except DATABASE_ERRORS:
            return await self._find_own(state, deadline)

    async def _find_own(self, state: CallState, deadline: Deadline) -> str | CallState | None:
        kept = await self.own_steps.wait_for(state.mark, deadline.left_for_work())
        answer = None if kept is None else self._open(state.mark, kept.sealed)
        if kept is None or answer is None:
            return None
        later = next(reversed([*self._later_answers(answer)]), None)
        if later is None and self.clock() - kept.at < GOOD_FOR:
            return answer.document
        return (later or answer).state

    async def find_all(self, account_sid: str, call_sid: str) -> list[Answer]:
        """The answers to a call's steps so far, in order."""
        try:
            stored = await self.guard.ask(lambda: find_answers(self.pool, account_sid, call_sid))
        except DATABASE_ERRORS:
            stored = ()
        answers = [self._open((account_sid, call_sid, Step.parse(step)), sealed) for step, sealed in stored]
        return [each for each in answers if each is not None] or self._own_answers(account_sid, call_sid)

    def _own_answers(self, account_sid: str, call_sid: str) -> list[Answer]:
        """Those of this process, from the call's beginning."""
        kept = self.own_steps.answer_to((account_sid, call_sid, INBOUND))
        first = None if kept is None else self._open((account_sid, call_sid, INBOUND), kept.sealed)
        return [] if first is None else [first, *self._later_answers(first)]

    def _later_answers(self, answer: Answer) -> Iterator[Answer]:
        """The answers of this process to the steps that followed."""
        following: Answer | None = answer
        while following is not None and (state := following.state):
            kept = self.own_steps.answer_to(state.mark)
            following = None if kept is None else self._open(state.mark, kept.sealed)
            if following is not None:
                yield following

    async def _find_stored(self, state: CallState, deadline: Deadline) -> str | CallState | None:
        pause, step = _FIRST_POLL_SECONDS, str(state.step)
        while True:
            stored = await self.guard.ask(lambda: find_step(self.pool, state.account_sid, state.call_sid, step))
            if stored is None or (stored.answer is None and self.own_steps.answer_to(state.mark)):
                return await self._find_own(state, deadline)
            if stored.answer is not None and stored.answered_at is not None:
                fresh = self.clock() - stored.answered_at < GOOD_FOR and not stored.passed
                answer = self._open(state.mark, stored.answer) if fresh else None
                if answer is not None:
                    return answer.document
                return await self._find_latest(state)
            given_up = (self.clock() - stored.claimed_at).total_seconds() >= self.answer_deadline
            if given_up or deadline.left_for_work() <= pause:
                return None
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LAST_POLL_SECONDS)

    async def _find_latest(self, state: CallState) -> CallState | None:
        latest = await self.guard.ask(lambda: find_latest_answer(self.pool, state.account_sid, state.call_sid))
        return open_latest(self.keyring, latest, state.account_sid, state.call_sid)

    def _open(self, mark: Mark, sealed: str) -> Answer | None:
        try:
            return open_answer(self.keyring, sealed, *mark)
        except StateError:
            return None
