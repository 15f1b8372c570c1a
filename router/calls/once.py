"""Every step of a call is answered once: the first request's answer is stored, later ones find it.

The claim itself is part of the statements in router.store.calls.calls; what a repeat means for the call is router.calls.flow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from cachetools import FIFOCache

from crypto import Keyring
from router.calls.recorder import Recorder
from router.calls.state import Answer, CallState, StateError, open_answer, seal_answer
from router.routing.dispatch import Deadline
from router.store.calls.calls import find_latest_answer, find_step, forget_step
from router.store.calls.records import StoreAnswer
from router.store.guard import Guard
from router.store.pool import DATABASE_ERRORS, Pool

GOOD_FOR: Final = timedelta(seconds=60)
_FLUSH_SECONDS: Final = 2.0
_REPLY_SECONDS: Final = 0.4
_FIRST_POLL_SECONDS: Final = 0.03
_LAST_POLL_SECONDS: Final = 0.25
_MOST_OWN: Final = 10_000

_Step: TypeAlias = tuple[str, str, str]  # account SID, call SID, step


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer of this process."""

    sealed: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """What there is for a repeated request: a document that is still good, or where the call stands, or neither."""

    call_id: str | None = None
    document: str | None = None
    latest: CallState | None = None


class StepKeeper:
    """Keeps and finds the answers of steps."""

    def __init__(
        self,
        pool: Pool,
        guard: Guard,
        keyring: Keyring,
        recorder: Recorder,
        clock: Callable[[], datetime],
        answer_deadline: float,
    ) -> None:
        self._pool = pool
        self._guard = guard
        self._keyring = keyring
        self._recorder = recorder
        self._clock = clock
        self._answer_deadline = timedelta(seconds=answer_deadline)
        self._own: FIFOCache[_Step, asyncio.Future[_Kept]] = FIFOCache(_MOST_OWN)

    def begin(self, account_sid: str, call_sid: str, step: str) -> bool:
        """Take a step on in this process. False: it was, and is answered or being answered."""
        mark = (account_sid, call_sid, step)
        if mark in self._own:
            return False
        self._own[mark] = asyncio.get_running_loop().create_future()
        return True

    async def keep(self, state: CallState, answer: Answer, deadline: Deadline) -> str:
        """Store the answer to the step that `state` came with; durable, with all events noted before, or late."""
        sealed = seal_answer(self._keyring, answer, state.account_sid, state.call_sid, state.step)
        now = self._clock()
        self._recorder.note(StoreAnswer(state.account_sid, state.call_sid, state.step, now, sealed))
        await self._recorder.flush(min(_FLUSH_SECONDS, deadline.left() - _REPLY_SECONDS))
        own = self._own.get((state.account_sid, state.call_sid, state.step))
        if own is not None and not own.done():
            own.set_result(_Kept(sealed, now))
        return answer.document

    async def forget(self, state: CallState) -> None:
        """The step that `state` came with was not taken after all: whoever comes next takes it."""
        self._own.pop((state.account_sid, state.call_sid, state.step), None)
        await self._guard.ask(lambda: forget_step(self._pool, state.account_sid, state.call_sid, state.step))

    async def find_answer(self, state: CallState, deadline: Deadline) -> Found:
        """Wait for whoever is at work on this step, until the deadline or theirs.

        The database knows best, but not what is still on its way there from this process.
        """
        try:
            return await self._find_stored(state, deadline)
        except DATABASE_ERRORS:
            return await self._find_own(state, deadline)

    async def _find_own(self, state: CallState, deadline: Deadline) -> Found:
        own = self._own.get((state.account_sid, state.call_sid, state.step))
        if own is None:
            return Found()
        await asyncio.wait({own}, timeout=max(deadline.left() - _REPLY_SECONDS, 0))
        if not own.done():
            return Found(state.call_id)
        answer = self._open(state, own.result().sealed, state.step)
        if answer is None:
            return Found(state.call_id)
        later = self._open_later(answer)
        if later is None and self._clock() - own.result().at < GOOD_FOR:
            return Found(state.call_id, answer.document)
        return Found(state.call_id, latest=(later or answer).state)

    def _open_later(self, answer: Answer) -> Answer | None:
        """What this process answered to the last of the steps that followed, if there was one."""
        later = None
        while state := (later or answer).state:
            own = self._own.get((state.account_sid, state.call_sid, state.step))
            following = self._open(state, own.result().sealed, state.step) if own is not None and own.done() else None
            if following is None:
                break
            later = following
        return later

    async def _find_stored(self, state: CallState, deadline: Deadline) -> Found:
        pause = _FIRST_POLL_SECONDS
        while True:
            stored = await self._guard.ask(lambda: find_step(self._pool, state.account_sid, state.call_sid, state.step))
            if stored is None or (stored.answer is None and self._is_answered_here(state)):
                return await self._find_own(state, deadline)
            if stored.answer is not None and stored.answered_at is not None:
                fresh = self._clock() - stored.answered_at < GOOD_FOR and not stored.passed
                document = self._open(state, stored.answer, state.step) if fresh else None
                if document is not None:
                    return Found(stored.call_id, document.document)
                return Found(stored.call_id, latest=await self._find_latest(state))
            given_up = self._clock() - stored.claimed_at >= self._answer_deadline
            if given_up or deadline.left() <= pause + _REPLY_SECONDS:
                return Found(stored.call_id)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LAST_POLL_SECONDS)

    def _is_answered_here(self, state: CallState) -> bool:
        own = self._own.get((state.account_sid, state.call_sid, state.step))
        return own is not None and own.done()

    async def _find_latest(self, state: CallState) -> CallState | None:
        found = await self._guard.ask(lambda: find_latest_answer(self._pool, state.account_sid, state.call_sid))
        if found is None:
            return None
        step, sealed = found
        answer = self._open(state, sealed, step)
        return answer.state if answer else None

    def _open(self, state: CallState, sealed: str, step: str) -> Answer | None:
        try:
            return open_answer(self._keyring, sealed, state.account_sid, state.call_sid, step)
        except StateError:
            return None
